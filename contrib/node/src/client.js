// One connection to the daemon: requests and their replies.

import { ConnectionClosed, ProtocolError } from './errors.js';
import { Follow } from './follow.js';
import { DEFAULTS, Stream, request, result, socketPath, take, within } from './wire.js';

/** How many ended sessions are told where nobody says how many. */
const DEFAULT_HISTORY = 100;

/** A connection to the daemon. Requests may be made at once; a slow one holds up no other. */
export class Client {
  #stream;
  #options;
  #last = 0;
  #pending = new Map();
  #end = null;
  #reading;

  /** Connects to `options.socket`, or where wactl would. */
  static async connect(options = {}) {
    const path = socketPath(options.socket);
    const given = Object.entries(options).filter(([, value]) => value !== undefined);
    const settings = { ...DEFAULTS, ...Object.fromEntries(given), path };
    return new Client(await Stream.open(path, settings), settings);
  }

  /** Use `Client.connect`. */
  constructor(stream, settings) {
    this.#stream = stream;
    this.#options = settings;
    this.#reading = this.#read();
  }

  /** What the daemon calls itself: `wasessiond/<version>`. */
  get server() {
    return this.#stream.server;
  }

  async ping() {
    if ((await this.request('ping')) !== 'pong') throw new ProtocolError('an answer that is not "pong"');
  }

  async info() {
    return take(await this.request('info'), 'info');
  }

  async reload() {
    return take(await this.request('reload'), 'reloaded');
  }

  async rotateKey() {
    return take(await this.request('rotate_key'), 'rotated_key');
  }

  async connect(user, { phone = null, expect = null, proxy = null } = {}) {
    return take(await this.request({ connect: { user, phone, expect, proxy } }), 'status');
  }

  async disconnect(user) {
    const answer = await this.request({ disconnect: { user } });
    // A pairing has nothing to keep.
    return answer?.logged_out
      ? { kept: null, removed: answer.logged_out }
      : { kept: take(answer, 'status'), removed: null };
  }

  async forceLogout(user) {
    return take(await this.request({ force_logout: { user } }), 'logged_out');
  }

  async status(user) {
    return take(await this.request({ status: { user } }), 'status');
  }

  async list() {
    const all = [];
    let after = null;
    do {
      const { sessions, next } = take(await this.request({ list: { after } }), 'sessions');
      if (next !== null && sessions.length === 0) throw new ProtocolError('a list without an end');
      all.push(...sessions);
      after = next;
    } while (after !== null);
    return all;
  }

  async history({ user = null, limit = DEFAULT_HISTORY } = {}) {
    const all = [];
    let before = null;
    do {
      const left = limit - all.length;
      const page = take(await this.request({ history: { user, limit: left, before } }), 'history');
      if (page.next !== null && page.entries.length === 0) {
        throw new ProtocolError('a history without an end');
      }
      all.push(...page.entries.slice(0, left));
      before = page.next;
    } while (before !== null && all.length < limit);
    return all;
  }

  async passkeyChallenge(user) {
    return take(await this.request({ passkey: { user, action: 'challenge' } }), 'passkey');
  }

  async passkeyAssert(user, assertion) {
    const action = { assert: typeof assertion === 'string' ? assertion : JSON.stringify(assertion) };
    return take(await this.request({ passkey: { user, action } }), 'status');
  }

  async passkeyConfirm(user) {
    return take(await this.request({ passkey: { user, action: 'confirm' } }), 'status');
  }

  async groups(user) {
    return take(await this.request({ groups: { user } }), 'groups');
  }

  async targets(user, edit = 'show') {
    return take(await this.request({ targets: { user, edit } }), 'targets');
  }

  async proxy(user, edit = 'show') {
    return take(await this.request({ proxy: { user, edit } }), 'proxy');
  }

  /** Follows these users, or everyone; resolves when the whole state is here. */
  follow({ users = [], since = null } = {}) {
    return Follow.begin(this.#options, users, since);
  }

  /** Sends a command as it travels, and returns its answer as it travels. */
  async request(command) {
    if (this.#end) throw this.#end;
    const id = ++this.#last;
    const frame = request(id, command);
    const answer = new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject });
    });
    try {
      this.#stream.send(frame);
      return await within(this.#options.requestTimeout, answer);
    } finally {
      this.#pending.delete(id);
    }
  }

  async #read() {
    try {
      for (;;) {
        const [key, content] = await this.#stream.receive();
        if (key !== 'reply') continue;
        const { id, answer, failure } = result(content);
        if (id < 1 || id > this.#last) {
          throw new ProtocolError(`a reply to request ${id}, which was never sent`);
        }
        const waiting = this.#pending.get(id);
        // None: its request was given up.
        if (failure) waiting?.reject(failure);
        else waiting?.resolve(answer);
      }
    } catch (error) {
      this.#finish(error);
    }
    await this.#stream.close();
  }

  #finish(error) {
    this.#end ??= error;
    for (const { reject } of this.#pending.values()) reject(this.#end);
    this.#pending.clear();
  }

  /** Closes the connection. Requests that wait learn that it is closed. */
  async close() {
    this.#finish(new ConnectionClosed(null, 'this client is closed'));
    await this.#stream.close();
    await this.#reading;
  }

  async [Symbol.asyncDispose ?? Symbol.for('Symbol.asyncDispose')]() {
    await this.close();
  }
}
