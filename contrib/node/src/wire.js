// Frames, the preface, messages, and the one connection they travel on.

import { existsSync } from 'node:fs';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import {
  ConnectionClosed,
  Failure,
  NoDaemon,
  ProtocolError,
  Refused,
  RequestTimeout,
  VersionMismatch,
} from './errors.js';

const VERSION = 1;
/** The largest frame either side may send. */
const MAX_FRAME = 1024 * 1024;
const SYSTEM_SOCKET = '/run/wasessiond/control.sock';
/** How many messages wait for a reader before the socket is not read any more. */
const QUEUE = 64;
/** Between two attempts to get into a daemon's queue that is full, in milliseconds: nobody says when there is room. */
const QUEUE_IS_FULL = 10;

export const DEFAULTS = {
  name: 'node-wasession/0.1.0',
  connectTimeout: 5_000,
  // Longer than the daemon's own deadlines, so that it is the daemon who says what went wrong.
  requestTimeout: 60_000,
};

/**
 * The socket to connect to, as wactl finds it: the given one; else $WASESSIOND_SOCKET; else that of the
 * user's own daemon, where it exists; else the system's.
 */
export function socketPath(given) {
  if (given) return given;
  const { WASESSIOND_SOCKET: named, XDG_RUNTIME_DIR: runtime } = process.env;
  if (named) return named;
  const own = runtime && join(runtime, 'wasessiond/control.sock');
  return own && existsSync(own) ? own : SYSTEM_SOCKET;
}

function frame(body) {
  if (body.length > MAX_FRAME) {
    throw new RangeError(`a message has at most ${MAX_FRAME} bytes, and this one ${body.length}`);
  }
  const head = Buffer.alloc(4);
  head.writeUInt32BE(body.length);
  return Buffer.concat([head, body]);
}

/** A request as a frame. */
export function request(id, command) {
  return frame(Buffer.from(JSON.stringify({ id, command })));
}

function hello(name) {
  // It is one line of at most 256 bytes; control characters would break the daemon's log.
  const short = [...name].filter((c) => !/\p{C}/u.test(c)).slice(0, 32).join('');
  return frame(Buffer.from(`wasession/${VERSION} json ${short}`));
}

function checkWelcome(body) {
  const text = body.subarray(0, 512).toString();
  const [, version, word, rest] = /^wasession\/(\d+)(?: (\S+) ?([^]*))?/.exec(text) ?? [];
  if (version === undefined) {
    throw new ProtocolError('this is not the control socket of a wasessiond');
  }
  if (Number(version) !== VERSION) {
    throw new VersionMismatch(
      `the daemon speaks version ${version} of the protocol, this client version ${VERSION}: ` +
        'use a client and a daemon of the same release',
    );
  }
  if (word === 'ok') return rest;
  if (word === 'error') throw new Refused(`the daemon refused the connection: ${rest}`);
  throw new ProtocolError('this is not the control socket of a wasessiond');
}

/** The name of a message, and what belongs to it: it is an object with one key, or a word. */
function message(body) {
  let value;
  try {
    value = JSON.parse(body.toString());
  } catch (error) {
    throw new ProtocolError(`not a message: ${error.message}`);
  }
  if (typeof value === 'string') return [value, null];
  const entries = Array.isArray(value) ? [] : Object.entries(value ?? {});
  if (entries.length !== 1) throw new ProtocolError('not a message: an object with one key is expected');
  return entries[0];
}

/** What belongs to an answer that must be this one. */
export function take(answer, name) {
  const content = answer?.[name];
  if (content === undefined) {
    const came = typeof answer === 'object' ? Object.keys(answer ?? {})[0] : answer;
    const [expected, instead] = [name, came].map((word) => JSON.stringify(word));
    throw new ProtocolError(`an answer that is not ${expected} but ${instead}: the daemon may be newer`);
  }
  return content;
}

/** The number of a reply, and what it brings: an answer, or a failure as an error. */
export function result(reply) {
  const { Ok: answer, Err: failure } = reply?.result ?? {};
  if (!Number.isSafeInteger(reply?.id) || (answer === undefined) === (failure === undefined)) {
    throw new ProtocolError('not a reply');
  }
  return { id: reply.id, answer, failure: failure && new Failure(failure) };
}

/** Waits for a promise, but not for ever. */
export function within(milliseconds, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new RequestTimeout(milliseconds)), milliseconds);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** A connection to the daemon. */
export class Stream {
  #socket;
  #bytes = Buffer.alloc(0);
  #frames = [];
  #waiting = null;
  #end = null;
  #closed;
  /** What the daemon calls itself. */
  server = '';

  /**
   * Connects, with the preface. A daemon that is there, but whose queue others have filled, is tried again.
   * `signal` breaks it off.
   */
  static async open(path, settings, signal) {
    const { connectTimeout } = settings;
    const end = performance.now() + connectTimeout;
    for (;;) {
      try {
        return await Stream.#knock(path, settings, signal);
      } catch (error) {
        if (!(error instanceof NoDaemon && error.cause.code === 'EAGAIN')) throw error;
        if (performance.now() >= end) throw new RequestTimeout(connectTimeout);
      }
      await sleep(QUEUE_IS_FULL, undefined, { signal });
    }
  }

  static async #knock(path, { name, connectTimeout }, signal) {
    const stream = new Stream(path);
    const stop = () => stream.close();
    signal?.addEventListener('abort', stop);
    try {
      stream.send(hello(name));
      stream.server = checkWelcome(await within(connectTimeout, stream.#frame()));
      return stream;
    } catch (error) {
      stream.close();
      throw error;
    } finally {
      signal?.removeEventListener('abort', stop);
    }
  }

  constructor(path) {
    let connected = false;
    this.#socket = createConnection({ path });
    this.#socket.on('connect', () => {
      connected = true;
    });
    this.#socket.on('data', (data) => this.#feed(data));
    this.#socket.on('error', (error) => {
      // After the connection: the daemon is gone, and 'close' follows.
      if (!connected) this.#finish(new NoDaemon(path, error));
    });
    this.#closed = /** @type {Promise<void>} */ (new Promise((resolve) => {
      this.#socket.on('close', () => {
        this.#finish(new ConnectionClosed());
        resolve();
      });
    }));
  }

  /** Sends a frame. Whether it arrives, the reply tells. */
  send(bytes) {
    if (this.#socket.writable) this.#socket.write(bytes);
  }

  /** Waits for a message: its one key, and what belongs to it. One reader. */
  async receive() {
    const [key, content] = message(await this.#frame());
    if (key === 'closing') throw new ConnectionClosed(new Failure(content));
    return [key, content];
  }

  #frame() {
    if (this.#frames.length > 0) {
      const body = this.#frames.shift();
      if (this.#frames.length < QUEUE) this.#socket.resume();
      return Promise.resolve(body);
    }
    if (this.#end) return Promise.reject(this.#end);
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
    });
  }

  #feed(data) {
    this.#bytes = this.#bytes.length > 0 ? Buffer.concat([this.#bytes, data]) : data;
    while (this.#bytes.length >= 4) {
      const length = this.#bytes.readUInt32BE();
      if (length > MAX_FRAME) {
        this.#finish(new ProtocolError(`a frame of ${length} bytes: this is not a wasessiond`));
        this.close();
        return;
      }
      if (this.#bytes.length < 4 + length) return;
      this.#arrived(this.#bytes.subarray(4, 4 + length));
      this.#bytes = this.#bytes.subarray(4 + length);
    }
  }

  #arrived(body) {
    const waiting = this.#waiting;
    if (waiting) {
      this.#waiting = null;
      waiting.resolve(body);
      return;
    }
    this.#frames.push(body);
    if (this.#frames.length >= QUEUE) this.#socket.pause();
  }

  #finish(error) {
    this.#end ??= error;
    const waiting = this.#waiting;
    this.#waiting = null;
    waiting?.reject(this.#end);
  }

  /** Ends it; returns when nothing of it is left. */
  async close() {
    this.#socket.destroy();
    await this.#closed;
  }
}
