// The stage of the tests: the real daemon, and the simulator with its phones.
//
// The project's test command sets it up (tests/other_languages.rs) and says where things are: the daemon's
// program in $TEST_WASESSIOND, the simulator's URL in $TEST_ENDPOINT, its control socket in $TEST_WASIM.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, openSync, readdirSync, readFileSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setImmediate as turn } from 'node:timers/promises';

import { Client } from '../index.js';

/** How long anything may take on a busy machine, in milliseconds. */
const PATIENCE = 60_000;

let phones = 0;

/** The number of a phone that no other test uses: each file of tests is a process. */
export function newPhone() {
  phones += 1;
  return `1${String(process.pid).padStart(8, '5')}${String(phones).padStart(3, '0')}`;
}

export function soon(promise, what = 'it') {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} did not happen in time`)), PATIENCE);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Has the simulator do something: most of it is what a person does on the phone. */
export async function phone(command, fields = {}) {
  const control = createConnection(process.env.TEST_WASIM);
  control.write(`${JSON.stringify({ command, ...fields })}\n`);
  const [line] = await soon(once(createInterface({ input: control }), 'line'), command);
  control.destroy();
  const answer = JSON.parse(line);
  if (answer.error) throw new Error(`${command}: ${answer.error}`);
  return answer;
}

/** The phone scans a code. Resolves with the JID of the device. */
export async function scan(qr, number) {
  return (await phone('scan', { qr, phone: number })).device;
}

/** A daemon with a directory of its own. */
export class Stage {
  #dir = mkdtempSync(join(tmpdir(), 'wasession-'));
  #daemon;
  #closing = [];

  static async set(test) {
    const stage = new Stage();
    test.after(() => stage.#close());
    await stage.start();
    return stage;
  }

  constructor() {
    const config = `[whatsapp]\nendpoint = "${process.env.TEST_ENDPOINT}"\nversion = "2.3000.1"\n`;
    writeFileSync(this.path('config.toml'), config);
    this.openWay();
  }

  path(name) {
    return join(this.#dir, name);
  }

  get real() {
    return this.path('control.sock');
  }

  /** A way to the daemon that can be taken away while the daemon runs. */
  get socket() {
    return this.path('way.sock');
  }

  openWay() {
    symlinkSync('control.sock', this.socket);
  }

  closeWay() {
    unlinkSync(this.socket);
  }

  get pid() {
    return this.#daemon.pid;
  }

  /**
   * Starts the daemon, and waits until it is ready: for systemd's READY Node has no datagram sockets, so its
   * log says so.
   */
  async start() {
    const files = ['--config', 'config.toml', '--state', 'state', '--socket', this.real];
    this.#daemon = spawn(process.env.TEST_WASESSIOND, files, {
      cwd: this.#dir,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const log = openSync(this.path('daemon.log'), 'a');
    const lines = createInterface({ input: this.#daemon.stderr });
    await soon(
      new Promise((resolve, reject) => {
        lines.on('line', (line) => {
          writeFileSync(log, `${line}\n`);
          if (/ready: /.test(line)) resolve();
        });
        this.#daemon.once('exit', (code) => reject(new Error(`the daemon ended with ${code}: ${this.log}`)));
      }),
      'the start of the daemon',
    );
  }

  get log() {
    return readFileSync(this.path('daemon.log'), 'utf8');
  }

  /** Makes it hang: it is stopped, every thread of it, when this resolves. */
  async freeze() {
    this.#daemon.kill('SIGSTOP');
    const tasks = `/proc/${this.pid}/task`;
    const state = (task) => /State:\t(.)/.exec(readFileSync(`${tasks}/${task}/status`, 'utf8'))[1];
    // No event tells of it.
    while (!readdirSync(tasks).every((task) => state(task) === 'T')) await turn();
  }

  thaw() {
    this.#daemon.kill('SIGCONT');
  }

  /** Stops the daemon as systemd would. */
  async stop() {
    const code = await this.#end('SIGTERM');
    if (code !== 0) throw new Error(`the daemon ended with ${code}: ${this.log}`);
  }

  /** Kills it without warning. */
  async kill() {
    await this.#end('SIGKILL');
  }

  async #end(signal) {
    const ended = once(this.#daemon, 'close');
    this.#daemon.kill(signal);
    const [code] = await soon(ended, 'the end of the daemon');
    return code;
  }

  async #close() {
    for (const one of this.#closing) await one.close();
    if (this.#daemon.exitCode === null && this.#daemon.signalCode === null) await this.kill();
    this.remove();
  }

  /** Removes its directory: for a test that needs no more of it. */
  remove() {
    rmSync(this.#dir, { recursive: true });
  }

  async client(options = {}) {
    const client = await Client.connect({ socket: this.socket, ...options });
    this.#closing.push(client);
    return client;
  }

  async follow(options = {}, connection = {}) {
    const client = await this.client(connection);
    const follow = await client.follow(options);
    this.#closing.push(follow);
    return follow;
  }
}

/** Reads on to the first item that fits. */
export async function until(follow, fits, what = 'an item') {
  for (;;) {
    const item = await soon(follow.next(), what);
    if (fits(item)) return item;
  }
}

/** Waits for an event. */
export async function event(follow, user, kind) {
  const fits = (item) => item.type === 'event' && item.event.user === user && item.event.kind === kind;
  return (await until(follow, fits, `${kind} of ${user}`)).event;
}

/** Reads on to the next state. Resolves with who ended before it, and how that was told. */
export async function endsUntilState(follow) {
  const ends = [];
  await until(follow, (item) => {
    if (item.ended) ends.push(`${item.ended.user} ${item.type}`);
    return item.type === 'state';
  });
  return ends;
}

/** Waits until every session has ended. */
export async function nobodyLeft(follow) {
  while (follow.sessions.size > 0) await soon(follow.next());
}

/** Brings a session up until it is online. Resolves with the JID of its device. */
export async function pair(client, user, number = newPhone()) {
  const follow = await client.follow({ users: [user] });
  await client.connect(user);
  const { status } = await event(follow, user, 'qr');
  const device = await scan(status.qr.code, number);
  await event(follow, user, 'online');
  await follow.close();
  return device;
}
