// The client against the real daemon.

import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import test from 'node:test';

import {
  Client, ConnectionClosed, Failure, NoDaemon, ProtocolError, Refused, RequestTimeout, VersionMismatch,
  socketPath,
} from '../index.js';
import { event, newPhone, pair, phone, scan, soon, Stage } from './stage.js';

async function fails(code, promise) {
  let failure;
  await assert.rejects(promise, (error) => {
    failure = error;
    return error instanceof Failure && error.code === code && error.message.length > 0;
  });
  return failure;
}

test('a daemon says who it is', async (t) => {
  const stage = await Stage.set(t);
  const client = await stage.client();
  await client.ping();
  const info = await client.info();
  assert.equal(client.server, `wasessiond/${info.version}`);
  assert.deepEqual([info.pid, info.simulator], [stage.pid, true]);
  assert.deepEqual(await client.reload(), { changed: [], needs_restart: [] });
  const rotated = await client.rotateKey();
  assert.deepEqual([rotated.begun, rotated.left, rotated.finished], [true, [], true]);
  assert.deepEqual([info.master_key.source, (await client.info()).master_key.id], ['file', rotated.id]);
  assert.notEqual(rotated.id, info.master_key.id);
});

test('a session from its QR code to its logout', async (t) => {
  const stage = await Stage.set(t);
  const client = await stage.client();
  const number = newPhone();
  const follow = await stage.follow({ users: ['alice'] });
  const first = await soon(follow.next());
  assert.deepEqual([first.type, first.sessions.size, first.gap], ['state', 0, false]);

  const begun = await client.connect('alice');
  assert.ok(['connecting', 'awaiting_scan'].includes(begun.phase), begun.phase);
  const shown = (await event(follow, 'alice', 'qr')).status;
  assert.deepEqual([shown.phase, shown.qr.number, shown.qr.remaining], ['awaiting_scan', 1, 5]);
  assert.equal((await client.list())[0].qr.code, null);

  const device = await scan(shown.qr.code, number);
  await event(follow, 'alice', 'paired');
  await event(follow, 'alice', 'online');
  const status = await client.status('alice');
  assert.deepEqual(
    [status.phase, status.account.jid, status.account.phone],
    ['online', device, `+${number}`],
  );

  const [one, two] = (await client.groups('alice')).map((group) => group.jid);
  assert.deepEqual(await client.targets('alice'), []);
  const standard = { source: 'default', url: null, authenticated: false, error: null };
  assert.deepEqual(await client.proxy('alice'), standard);
  assert.deepEqual(await client.proxy('alice', 'clear'), standard);
  assert.deepEqual(status.proxy, standard);
  // A session that is there already is refused another one than it has.
  await assert.rejects(client.connect('alice', { proxy: 'none' }), { code: 'invalid_argument' });
  assert.deepEqual(await client.targets('alice', { set: [one] }), [one]);
  assert.deepEqual(await client.targets('alice', { add: [two] }), [one, two]);
  assert.deepEqual(await client.targets('alice', { remove: [one] }), [two]);
  assert.deepEqual((await client.list()).map((s) => s.targets), [[two]]);
  assert.deepEqual(await client.targets('alice', 'clear'), []);

  await phone('unlink', { device });
  const { ended } = await event(follow, 'alice', 'logged_out');
  assert.deepEqual([ended.cause, ended.unlink, ended.account.jid], ['unlinked', 'not_linked', device]);
  assert.equal(follow.sessions.size, 0);
  const gone = await fails('not_found', client.status('alice'));
  assert.deepEqual(gone.lastLogout, ended);
  assert.deepEqual(await client.history({ user: 'alice' }), [ended]);
  assert.deepEqual(await client.list(), []);
});

test('a force-logout unlinks and says how it went', async (t) => {
  const stage = await Stage.set(t);
  const client = await stage.client();
  const number = newPhone();
  const device = await pair(client, 'alice', number);
  const linked = async () => (await phone('devices', { phone: number })).devices.map((d) => d.jid);
  assert.deepEqual(await linked(), [device]);
  const { entry, next_action: advice } = await client.forceLogout('alice');
  assert.deepEqual([entry.cause, entry.unlink], ['force_logout', 'confirmed']);
  assert.equal(entry.requested_by, process.getuid());
  assert.ok(entry.removed.files > 0 && advice);
  assert.deepEqual(await linked(), []);
  await fails('not_found', client.forceLogout('alice'));
});

test('a disconnect keeps what is paired and removes what is not', async (t) => {
  const stage = await Stage.set(t);
  const client = await stage.client();
  const device = await pair(client, 'alice');
  const { kept, removed } = await client.disconnect('alice');
  assert.deepEqual([kept.phase, removed], ['disconnected', null]);
  const follow = await stage.follow({ users: ['alice'] });
  await client.connect('alice');
  assert.equal((await event(follow, 'alice', 'online')).status.account.jid, device);
  await client.connect('bob');
  const pairing = await client.disconnect('bob');
  assert.deepEqual([pairing.kept, pairing.removed.entry.cause], [null, 'pairing_abandoned']);
});

test('restrictions and warnings are told while it stays online', async (t) => {
  const stage = await Stage.set(t);
  const client = await stage.client();
  const number = newPhone();
  const device = await pair(client, 'alice', number);
  const follow = await stage.follow({ users: ['alice'] });
  const until = Math.floor(Date.now() / 1000) + 7 * 24 * 3600;
  const end = new Date(until * 1000).getTime();

  const limit = { status: 'SECOND_WARNING', total: 50, used: 45, ends: until };
  await phone('set_chat_limit', { phone: number, limit });
  const warned = (await event(follow, 'alice', 'warnings')).status;
  assert.deepEqual([warned.phase, warned.restrictions, warned.warnings.length], ['online', [], 1]);
  const [warning] = warned.warnings;
  assert.deepEqual([warning.kind, Date.parse(warning.due)], ['new_chat_limit_near', end]);
  assert.match(warning.text, /45 of 50/);
  assert.deepEqual((await client.list())[0].warnings, [warning]);

  const timelock = { kind: 'RESTRICT_ALL_COMPANIONS', until };
  await phone('set_timelock', { phone: number, timelock });
  const [restriction] = (await event(follow, 'alice', 'restrictions')).status.restrictions;
  assert.deepEqual([restriction.kind, Date.parse(restriction.until)], ['reachout_timelock', end]);
  assert.equal(restriction.detail, 'RESTRICT_ALL_COMPANIONS');
  assert.deepEqual((await client.status('alice')).restrictions, [restriction]);

  // What concerns the daemon is told by the daemon.
  assert.deepEqual((await client.info()).warnings, []);
  const expires = { tag: 'client_expiration', attrs: { t: String(until) } };
  const stanza = { tag: 'ib', attrs: { from: 's.whatsapp.net' }, children: [expires] };
  await phone('send_raw', { device, stanza });
  // A question and its answer: it has been read by then.
  await client.groups('alice');
  const [expiry] = (await client.info()).warnings;
  assert.deepEqual([expiry.kind, Date.parse(expiry.due)], ['client_expires', end]);
  assert.deepEqual((await client.status('alice')).warnings, [warning]);

  await phone('unlink', { device });
  assert.deepEqual((await event(follow, 'alice', 'logged_out')).ended.restrictions, [restriction]);
});

test('a pair code is typed on the phone', async (t) => {
  const stage = await Stage.set(t);
  const number = newPhone();
  const follow = await stage.follow({ users: ['alice'] });
  await (await stage.client()).connect('alice', { phone: `+${number}` });
  const { status } = await event(follow, 'alice', 'pair_code');
  await phone('link', { phone: number, code: status.pair_code.code });
  await event(follow, 'alice', 'online');
});

test('every no has its code, and the connection goes on', async (t) => {
  const stage = await Stage.set(t);
  const client = await stage.client();
  await client.connect('alice');
  await fails('invalid_user', client.connect('../alice'));
  await fails('invalid_user', client.status(''));
  await fails('invalid_user', client.follow({ users: ['a b'] }));
  await fails('invalid_argument', client.connect('bob', { phone: '12' }));
  await fails('not_found', client.status('nobody'));
  await fails('not_online', client.groups('alice'));
  await fails('invalid_argument', client.targets('alice', { add: ['no jid'] }));
  await fails('unknown_command', client.request('fly'));
  await fails('invalid_request', client.request({ status: {} }));
  await fails('invalid_request', client.status(7));
  await fails('invalid_request', client.targets('alice', { paint: [] }));
  await assert.rejects(client.status('x'.repeat(1 << 20)), RangeError);
  await assert.rejects(async () => client.follow({ users: 'alice' }), TypeError);
  await client.ping();
});

test('a slow request holds up no other', async (t) => {
  const stage = await Stage.set(t);
  const client = await stage.client();
  const device = await pair(client, 'alice');
  await phone('freeze', { device });
  let done = false;
  const slow = client.groups('alice').finally(() => {
    done = true;
  });
  // More than the daemon takes at once: the rest waits its turn.
  const quick = await soon(Promise.all(Array.from({ length: 100 }, () => client.status('alice'))));
  assert.ok(quick.every((status) => status.user === 'alice'));
  assert.equal(done, false);
  await phone('resume', { device });
  assert.equal((await soon(slow)).length, 2);
});

test('a daemon that hangs runs into the timeout', async (t) => {
  const stage = await Stage.set(t);
  const client = await stage.client({ requestTimeout: 200 });
  await stage.freeze();
  await assert.rejects(client.ping(), RequestTimeout);
  await assert.rejects(stage.client({ connectTimeout: 200 }), RequestTimeout);
  stage.thaw();
  // The late reply harms nobody: the next ones find their own requests.
  const patient = await stage.client();
  await patient.ping();
  await client.ping();
});

test('whoever waits when it closes learns of it', async (t) => {
  const stage = await Stage.set(t);
  const client = await stage.client();
  await stage.freeze();
  const waiting = assert.rejects(client.ping(), ConnectionClosed);
  await client.close();
  await waiting;
  await assert.rejects(client.ping(), /this client is closed/);
  await client.close();
  stage.thaw();
});

test('a daemon that stops says so', async (t) => {
  const stage = await Stage.set(t);
  const client = await stage.client();
  const device = await pair(client, 'alice');
  await phone('freeze', { device });
  const waiting = assert.rejects(client.groups('alice'), (error) => {
    // As a reply, or as a goodbye.
    const failure = error instanceof ConnectionClosed ? error.failure : error;
    return failure.code === 'stopping' || failure.code === 'not_online';
  });
  await stage.stop();
  await waiting;
  await assert.rejects(client.ping(), ConnectionClosed);
  await assert.rejects(stage.client(), (e) => e instanceof NoDaemon && /nobody listens|no socket/.test(e.message));
  stage.closeWay();
  await assert.rejects(stage.client(), /there is no socket/);
  stage.openWay();
});

test('long lists are read to their end', async (t) => {
  const stage = await Stage.set(t);
  const first = await stage.client();
  await first.connect('template');
  await first.disconnect('template');
  const [template] = await first.history();
  await stage.stop();
  // As many ended sessions as fill several pages, and as many that cannot be read.
  const path = stage.path('state/history.jsonl');
  const line = JSON.parse(readFileSync(path, 'utf8').trim());
  const lines = Array.from({ length: 2500 }, (_, n) =>
    `${JSON.stringify({ id: `id${n}`, entry: { ...line.entry, user: `user${n}` } })}\n`);
  writeFileSync(path, lines.join(''));
  const users = Array.from({ length: 900 }, (_, n) => `s${String(n).padStart(4, '0')}`);
  for (const user of users) {
    mkdirSync(stage.path(`state/sessions/${user}`), { mode: 0o700 });
    writeFileSync(stage.path(`state/sessions/${user}/session.toml`), 'no record');
  }
  await stage.start();

  const client = await stage.client();
  const sessions = await client.list();
  assert.deepEqual(sessions.map((s) => s.user), users);
  assert.ok(sessions.every((s) => s.phase === 'store_corrupt'));
  assert.ok(JSON.stringify(sessions).length > 256 * 1024, 'it would be one page');
  const newestFirst = Array.from({ length: 2500 }, (_, n) => ({ ...template, user: `user${2499 - n}` }));
  assert.deepEqual(await client.history({ limit: 5000 }), newestFirst);
  assert.deepEqual(await client.history(), newestFirst.slice(0, 100));
  assert.deepEqual(await client.history({ limit: 1001 }), newestFirst.slice(0, 1001));
  assert.deepEqual(await client.history({ user: 'user7' }), [newestFirst.at(-8)]);
  const follow = await stage.follow();
  assert.deepEqual([...follow.sessions.keys()], users);
});

test('the nearest socket wins', (t) => {
  const stage = new Stage();
  t.after(() => stage.remove());
  const before = { ...process.env };
  t.after(() => Object.assign(process.env, before));
  delete process.env.WASESSIOND_SOCKET;
  delete process.env.XDG_RUNTIME_DIR;
  assert.equal(socketPath(), '/run/wasessiond/control.sock');
  process.env.XDG_RUNTIME_DIR = stage.path('run');
  assert.equal(socketPath(), '/run/wasessiond/control.sock');
  const own = stage.path('run/wasessiond/control.sock');
  mkdirSync(own, { recursive: true });
  assert.equal(socketPath(), own);
  process.env.WASESSIOND_SOCKET = '';
  assert.equal(socketPath(), own);
  process.env.WASESSIOND_SOCKET = '/b';
  assert.equal(socketPath(), '/b');
  assert.equal(socketPath('/a'), '/a');
  delete process.env.WASESSIOND_SOCKET;
});

test('another end that is no wasessiond of this version', async (t) => {
  const stage = new Stage();
  t.after(() => stage.remove());
  const path = stage.path('stranger.sock');
  let parts = [];
  const stranger = createServer((stream) => {
    stream.on('error', () => {});
    for (const part of parts) {
      const head = Buffer.alloc(4);
      head.writeUInt32BE(part.length);
      stream.write(part.raw ?? Buffer.concat([head, Buffer.from(part)]));
    }
  });
  await new Promise((resolve) => {
    stranger.listen(path, resolve);
  });
  t.after(() => stranger.close());
  const connect = () => Client.connect({ socket: path });
  for (const [said, kind, why] of [
    ['wasession/2 ok wasessiond/9', VersionMismatch, /version 2/],
    ['wasession/1 error no room', Refused, /no room/],
    ['wasession/1 hm', ProtocolError, /not the control socket/],
    ['SSH-2.0-x', ProtocolError, /not the control socket/],
  ]) {
    parts = [said];
    await assert.rejects(connect(), (error) => error instanceof kind && why.test(error.message), said);
  }
  const reply = (of) => `{"reply": {"id": ${of}, "result": {"Ok": "pong"}}}`;
  for (const said of ['{}', '[]', '[1]', '7', 'null', 'no json', reply(7), reply('"1"'), '{"reply": {"id": 1}}']) {
    parts = ['wasession/1 ok x', said];
    const client = await connect();
    await assert.rejects(client.ping(), ProtocolError, said);
    await assert.rejects(client.ping(), ProtocolError, said);
    await client.close();
  }
  parts = [{ length: 0, raw: Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n') }];
  await assert.rejects(connect(), /frame of/);
});

test('a newer daemon is understood as far as that goes', async (t) => {
  const stage = new Stage();
  t.after(() => stage.remove());
  const path = stage.path('newer.sock');
  const at = '2026-11-24T09:12:03Z';
  const status = {
    user: 'alice', phase: 'restricted', since: at, next_action: 'Wait until Tuesday.', owner: 1000, account: null,
    connecting: null, qr: null, pair_code: null, retry_at: null, held_until: null, reason: 'spam_reported',
    error: null, targets: [], last_activity: null, of_tomorrow: [{ of: 'send' }],
  };
  const entry = {
    at, user: 'alice', cause: 'passkey_changed', account: null, owner: 1000, requested_by: null, unlink: 'queued',
    removed: { files: 4, bytes: 5, targets: 0 }, text: null, appeal_token: null, unread: 7,
  };
  const happened = (seq, kind, after) => ({ event: { seq, at, user: 'alice', kind, status: after, of: [] } });
  // What is said to each request, by its command.
  const script = {
    history: [(id) => ({ reply: { id, result: { Ok: { history: { entries: [], next: null } } } } })],
    watch: [
      (id) => ({ reply: { id, result: { Ok: { watching: { epoch: 1, seq: 4, gap: false, more: {} } } } } }),
      { presence: { user: 'alice' } }, { present: status }, 'heartbeat', { in_sync: { seq: 4, more: 1 } },
      { presence: { user: 'alice' } },
      happened(5, { restriction: { until: 'Tuesday' } }, status),
      happened(6, 'migrated', { ...status, phase: 'online' }),
      happened(7, { logged_out: entry }, null),
    ],
    connect: [(id) => ({ reply: { id, result: { Ok: { queued: { place: 3 } } } } })],
    groups: [(id) => ({ reply: { id, result: { Err: { code: 'restricted', message: 'so it is', until: 1 } } } })],
    ping: ['heartbeat', (id) => ({ reply: { id, result: { Ok: 'pong' } } })],
  };
  const newer = createServer((stream) => {
    stream.on('error', () => {});
    const say = (text) => {
      const body = Buffer.from(text);
      const head = Buffer.alloc(4);
      head.writeUInt32BE(body.length);
      stream.write(Buffer.concat([head, body]));
    };
    let bytes = Buffer.alloc(0);
    stream.on('data', (data) => {
      bytes = Buffer.concat([bytes, data]);
      while (bytes.length >= 4 && bytes.length >= 4 + bytes.readUInt32BE()) {
        const end = 4 + bytes.readUInt32BE();
        const body = bytes.subarray(4, end).toString();
        bytes = bytes.subarray(end);
        if (body.startsWith('wasession/')) {
          say('wasession/1 ok x');
          continue;
        }
        const { id, command } = JSON.parse(body);
        for (const said of script[typeof command === 'string' ? command : Object.keys(command)[0]]) {
          say(JSON.stringify(typeof said === 'function' ? said(id) : said));
        }
      }
    });
  });
  await new Promise((resolve) => {
    newer.listen(path, resolve);
  });
  t.after(() => newer.close());

  const client = await Client.connect({ socket: path });
  const follow = await client.follow({ users: ['alice'] });
  const [state, restricted, migrated, ended] = [
    await soon(follow.next()), await soon(follow.next()), await soon(follow.next()), await soon(follow.next()),
  ];
  assert.deepEqual(state.sessions.get('alice'), status);
  assert.deepEqual(
    [restricted.event.kind, restricted.ended, restricted.event.status.phase],
    ['restriction', null, 'restricted'],
  );
  assert.deepEqual([migrated.event.kind, migrated.event.seq], ['migrated', 6]);
  assert.deepEqual([ended.ended.cause, ended.ended.unlink], ['passkey_changed', 'queued']);
  assert.deepEqual([follow.sessions.size, follow.position.seq], [0, 7]);
  await follow.close();

  await assert.rejects(client.connect('alice'), /"queued"/);
  const failure = await fails('restricted', client.groups('alice'));
  assert.equal(failure.message, 'so it is');
  await client.ping();
  await client.close();
});

test('a queue that others have filled is waited for', async (t) => {
  const stage = new Stage();
  t.after(() => stage.remove());
  const path = stage.path('full.sock');
  const welcome = 'wasession/1 ok x';
  const busy = createServer((stream) => {
    stream.on('error', () => {});
    stream.write(Buffer.concat([Buffer.from([0, 0, 0, welcome.length]), Buffer.from(welcome)]));
  });
  await new Promise((resolve) => {
    busy.listen({ path, backlog: 1 }, resolve);
  });
  t.after(() => busy.close());
  // All of them knock before this process can let one in.
  const clients = await soon(Promise.all(Array.from({ length: 8 }, () => Client.connect({ socket: path }))));
  for (const client of clients) await client.close();
});

test('the types have every field of the protocol', () => {
  const read = (name) => readFileSync(new URL(name, import.meta.url), 'utf8');
  const { $defs: protocol } = JSON.parse(read('../../schema/wasession-1.json'));
  const interfaces = [...read('../index.d.ts').matchAll(/^export interface (\w+) \{\n([^]*?)^\}/gm)];
  const compared = [];
  for (const [, name, body] of interfaces) {
    // An event's end stands beside its kind.
    const of = name === 'SessionEvent' ? 'Event' : name;
    if (!protocol[of]) continue;
    const fields = [...body.matchAll(/^  (\w+)\??:/gm)].map(([, field]) => field);
    const there = [...Object.keys(protocol[of].properties), ...(of === 'Event' ? ['ended'] : [])];
    assert.deepEqual(fields.sort(), there.sort(), name);
    compared.push(of);
  }
  for (const of of ['Event', 'HistoryEntry', 'Info', 'Status']) assert.ok(compared.includes(of), of);
});

test('the types name every word of the protocol', () => {
  const read = (name) => readFileSync(new URL(name, import.meta.url), 'utf8');
  const { $defs: protocol } = JSON.parse(read('../../schema/wasession-1.json'));
  const named = new Set([...read('../index.d.ts').matchAll(/'(\w+)'/g)].map(([, word]) => word));
  for (const name of [
    'Cause', 'EventKind', 'FailureCode', 'PasskeyStep', 'Phase', 'RestrictionKind', 'Stage', 'Unlink', 'WarningKind',
  ]) {
    const words = protocol[name].anyOf.flatMap((word) => word.const ?? word.enum ?? word.required ?? []);
    assert.ok(words.length > 1, name);
    assert.deepEqual(words.filter((word) => !named.has(word)), [], name);
  }
});
