// Following what happens to sessions over restarts of the daemon.
//
// A follower has a connection of its own, which nobody else uses. A reader that is slow slows down only
// that one: the daemon then says that events were lost, and nothing grows.

import { setTimeout as sleep } from 'node:timers/promises';

import { ConnectionClosed, Failure, NoDaemon, ProtocolError, Refused, RequestTimeout } from './errors.js';
import { Stream, request, result, take, within } from './wire.js';

/** Before the first try to connect again, in milliseconds; it doubles with each, up to the longest. */
const FIRST_PAUSE = 100;
const LONGEST_PAUSE = 5_000;
/** How many items wait for a reader. */
const QUEUE = 64;
/** The most ended sessions on one page of the history. */
const MAX_HISTORY = 1000;
/** How many names of ends are kept before the history is read only to be able to forget them. */
const MANY = 4096;

/** The messages that this client knows. What else a newer daemon says is passed over. */
const KNOWN = ['reply', 'replayed', 'present', 'in_sync', 'event', 'lagged', 'closing'];
/** The kinds of event that tell the end of a session. There will be no others. */
const ENDS = ['logged_out', 'pairing_expired'];

/** The reader is gone. */
class ReaderGone extends Error {}

const nameOf = (entry) => `${entry.user} ${entry.at}`;

/** An event, whose kind travels as a word or as an object with one. */
function eventOf(content) {
  if (typeof content?.kind === 'string') return { ...content, ended: null };
  const [[kind, ended], ...more] = Object.entries(content?.kind ?? {});
  if (kind === undefined || more.length > 0) throw new ProtocolError('not an event');
  // What belongs to a kind of a newer daemon is not an end.
  return { ...content, kind, ended: ENDS.includes(kind) ? ended : null };
}

/** Whether it makes sense to try again: the daemon is gone, stopping, or has too much to do. */
function isTemporary(error) {
  if (error instanceof ConnectionClosed) return error.failure?.code !== 'not_allowed';
  if (error instanceof Failure) {
    return ['stopping', 'quota_exceeded', 'deadline_exceeded', 'internal'].includes(error.code);
  }
  return error instanceof NoDaemon || error instanceof Refused || error instanceof RequestTimeout;
}

/**
 * The state of some sessions and everything that happens to them, over restarts of the daemon: iterate
 * over it with `for await`. Items are described in index.d.ts.
 */
export class Follow {
  #options;
  #users;
  #abort = new AbortController();
  #worker = null;
  // The reader's side.
  #items = [];
  #reader = null;
  #room = null;
  #ended = false;
  /** The sessions after the last item, by user. */
  sessions = new Map();
  /** What to give as `since` to go on from here in another run of the program. */
  position = null;
  // The worker's side.
  #stream = null;
  #last = 0;
  #early = [];
  #since;
  #state = null;
  #replayed = [];
  // The newest entry of the history when it was last read (it and all older ones are known), and the ends
  // that were told since. Ends of different users may be announced in another order.
  #newest = null;
  #told = new Set();
  #historyIsDue = false;

  /** Use `client.follow()`. */
  static async begin(options, users, since) {
    const follow = new Follow(options, users, since);
    try {
      await follow.#begin();
    } catch (error) {
      await follow.#stream?.close();
      throw error;
    }
    follow.#take({ type: 'state', ...follow.#state });
    follow.#worker = follow.#work();
    return follow;
  }

  constructor(options, users, since) {
    if (typeof users === 'string') throw new TypeError('a list of users is expected, not one string');
    this.#options = options;
    this.#users = [...users];
    this.#since = since;
  }

  // ---- the reader's side --------------------------------------------------------------------------

  /**
   * Waits for what comes next. It rejects with ConnectionClosed after `close`; what else it rejects with,
   * trying again cannot help. One reader.
   */
  async next() {
    for (;;) {
      while (this.#items.length === 0) {
        if (this.#ended) throw new ConnectionClosed(null, 'this follower is closed');
        await new Promise((resolve) => {
          this.#reader = resolve;
        });
      }
      const item = this.#items.shift();
      this.#room?.();
      if (item instanceof Error) throw item;
      if (this.#take(item)) return item;
    }
  }

  async *[Symbol.asyncIterator]() {
    try {
      while (!this.#abort.signal.aborted) yield await this.next();
    } catch (error) {
      if (!this.#abort.signal.aborted) throw error;
    } finally {
      await this.close();
    }
  }

  /** Ends it. Whoever waits for an item waits no more. */
  async close() {
    this.#abort.abort();
    this.#items = [];
    this.#end();
    this.#room?.();
    await this.#stream?.close();
    await this.#worker;
  }

  async [Symbol.asyncDispose ?? Symbol.for('Symbol.asyncDispose')]() {
    await this.close();
  }

  /** Takes an item into the state; false: the reader need not see it. */
  #take(item) {
    if (item.type === 'state') {
      this.sessions = new Map(item.sessions);
      this.position = { epoch: item.epoch, seq: item.seq };
    } else if (item.type === 'event' || item.type === 'known_end') {
      const { seq, user, status } = item.event;
      // A known end may be from before the state.
      if (seq > this.position.seq) {
        this.position = { ...this.position, seq };
        if (status) this.sessions.set(user, status);
        else this.sessions.delete(user);
      }
    }
    return item.type !== 'known_end';
  }

  #end() {
    this.#ended = true;
    this.#reader?.();
  }

  // ---- the worker's side --------------------------------------------------------------------------

  async #work() {
    try {
      await this.#run();
    } catch (error) {
      if (!(error instanceof ReaderGone)) this.#items.push(error);
    }
    this.#end();
    await this.#stream.close();
  }

  async #run() {
    for (;;) {
      try {
        await this.#deliverAll();
      } catch (error) {
        if (!isTemporary(error)) throw error;
        await this.#stream.close();
        await this.#deliver({ type: 'lost', error, ended: null });
      }
      await this.#connectAgain();
    }
  }

  async #begin() {
    this.#stream = await Stream.open(this.#options.path, this.#options);
    // Before the watch begins: what ends in between is told in any case.
    const { entries } = await this.#page(1, null);
    this.#newest = entries.length > 0 ? nameOf(entries[0]) : null;
    await this.#watch();
  }

  async #connectAgain() {
    for (let pause = FIRST_PAUSE; ; pause = Math.min(pause * 2, LONGEST_PAUSE)) {
      await this.#pause(pause);
      try {
        this.#stream = await Stream.open(this.#options.path, this.#options, this.#abort.signal);
        this.#early = [];
        await this.#watch();
        this.#historyIsDue ||= this.#state.gap;
        return;
      } catch (error) {
        await this.#stream.close();
        if (this.#abort.signal.aborted) throw new ReaderGone();
        if (!isTemporary(error)) throw error;
      }
    }
  }

  async #watch() {
    const command = { watch: { users: this.#users, since: this.#since } };
    const { epoch, gap } = take(await this.#ask(command), 'watching');
    this.#replayed = [];
    this.#state = await this.#arrive(epoch, gap);
  }

  /** Reads a state to its end. */
  async #arrive(epoch, gap) {
    const sessions = new Map();
    for (;;) {
      const [key, content] = await this.#next(this.#options.requestTimeout);
      if (key === 'present') {
        sessions.set(content.user, content);
      } else if (key === 'replayed') {
        this.#replayed.push(eventOf(content));
      } else if (key === 'in_sync') {
        return { sessions, epoch, seq: content.seq, gap, ended: null };
      } else if (key === 'lagged') {
        sessions.clear();
        gap = true;
      } else if (KNOWN.includes(key)) {
        throw new ProtocolError(`${JSON.stringify(key)} inside of a state`);
      }
    }
  }

  async #deliverAll() {
    const { epoch } = this.#state;
    await this.#deliverMissedEnds();
    for (const event of this.#replayed) await this.#deliverEvent('replayed', event);
    await this.#deliverState();
    for (;;) {
      const [key, content] = await this.#next();
      if (key === 'event') {
        const event = eventOf(content);
        await this.#deliverEvent('event', event);
        this.#since = { epoch, seq: event.seq };
      } else if (key === 'lagged') {
        this.#historyIsDue = true;
        this.#state = await this.#arrive(epoch, true);
        await this.#deliverMissedEnds();
        await this.#deliverState();
      } else if (KNOWN.includes(key)) {
        throw new ProtocolError(`${JSON.stringify(key)} in a watch`);
      }
      if (this.#told.size > MANY) {
        this.#historyIsDue = true;
        await this.#deliverMissedEnds();
      }
    }
  }

  async #deliverState() {
    const { epoch, seq } = this.#state;
    await this.#deliver({ type: 'state', ...this.#state });
    this.#since = { epoch, seq };
  }

  async #deliverEvent(type, event) {
    const { ended } = event;
    const known = ended !== null && this.#told.has(nameOf(ended));
    if (ended) this.#told.add(nameOf(ended));
    await this.#deliver({ type: known ? 'known_end' : type, event, ended });
  }

  /** Tells the ends that no event told. */
  async #deliverMissedEnds() {
    if (!this.#historyIsDue) return;
    for (const entry of await this.#missed()) await this.#deliver({ type: 'missed', entry, ended: entry });
    this.#historyIsDue = false;
  }

  /** The ends that nobody told so far, oldest first. */
  async #missed() {
    let newest = null;
    const missed = [];
    let before = null;
    do {
      const { entries, next } = await this.#page(MAX_HISTORY, before);
      before = next;
      for (const entry of entries) {
        const name = nameOf(entry);
        if (name === this.#newest) {
          before = null;
          break;
        }
        newest ??= name;
        const wanted = this.#users.length === 0 || this.#users.includes(entry.user);
        if (wanted && !this.#told.has(name)) missed.push(entry);
      }
    } while (before !== null);
    this.#newest = newest ?? this.#newest;
    // An event told them, so they are not newer than the newest entry.
    if (this.#told.size > MANY) this.#told.clear();
    // Their events may still be on their way.
    for (const entry of missed) this.#told.add(nameOf(entry));
    return missed.reverse();
  }

  async #page(limit, before) {
    const user = this.#users.length === 1 ? this.#users[0] : null;
    const page = take(await this.#ask({ history: { user, limit, before } }), 'history');
    if (page.next !== null && page.entries.length === 0) {
      throw new ProtocolError('a history without an end');
    }
    return page;
  }

  /** Asks on the connection of the watch. What the watch says meanwhile is kept. */
  async #ask(command) {
    const id = ++this.#last;
    this.#stream.send(request(id, command));
    for (;;) {
      const [key, content] = await within(this.#options.requestTimeout, this.#stream.receive());
      if (key !== 'reply') {
        this.#early.push([key, content]);
        continue;
      }
      const { id: of, answer, failure } = result(content);
      if (of !== id) throw new ProtocolError(`a reply to request ${of}, which was never sent`);
      if (failure) throw failure;
      return answer;
    }
  }

  async #next(timeout) {
    if (this.#early.length > 0) return this.#early.shift();
    const message = this.#stream.receive();
    return timeout === undefined ? message : within(timeout, message);
  }

  async #deliver(item) {
    while (this.#items.length >= QUEUE && !this.#abort.signal.aborted) {
      await new Promise((resolve) => {
        this.#room = resolve;
      });
    }
    if (this.#abort.signal.aborted) throw new ReaderGone();
    this.#items.push(item);
    this.#reader?.();
  }

  async #pause(milliseconds) {
    try {
      await sleep(milliseconds, undefined, { signal: this.#abort.signal });
    } catch {
      throw new ReaderGone();
    }
  }
}
