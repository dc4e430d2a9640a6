// Following sessions over restarts of the daemon.

import assert from 'node:assert/strict';
import test from 'node:test';

import { Client, ConnectionClosed, NoDaemon } from '../index.js';
import { endsUntilState, event, nobodyLeft, pair, phone, soon, Stage, until } from './stage.js';

test('a restart is survived and is no logout', async (t) => {
  const stage = await Stage.set(t);
  const device = await pair(await stage.client(), 'alice');
  const follow = await stage.follow({ users: ['alice'] });
  const before = await soon(follow.next());
  assert.equal(before.sessions.get('alice').phase, 'online');

  await stage.stop();
  const { error } = await until(follow, (item) => item.type === 'lost');
  assert.ok(error instanceof ConnectionClosed);
  await stage.start();
  assert.deepEqual(await endsUntilState(follow), []);
  assert.notEqual(follow.position.epoch, before.epoch);
  while (follow.sessions.get('alice').phase !== 'online') await soon(follow.next());
  await phone('unlink', { device });
  assert.equal((await event(follow, 'alice', 'logged_out')).ended.cause, 'unlinked');
});

test('what ended behind its back is told from the history, once', async (t) => {
  const stage = await Stage.set(t);
  const client = await stage.client();
  const devices = [await pair(client, 'alice'), await pair(client, 'bob')];
  await pair(client, 'carol');
  await client.forceLogout('carol');
  const everyone = await stage.follow();
  const onlyBob = await stage.follow({ users: ['bob'] });
  const nobody = await stage.follow({ users: ['x', 'y'] });
  for (const follow of [everyone, onlyBob, nobody]) assert.deepEqual(await endsUntilState(follow), []);

  // Two end in a run of the daemon that no follower can be told of.
  stage.closeWay();
  await stage.kill();
  for (const device of devices) await phone('unlink', { device });
  await stage.start();
  const inside = await Client.connect({ socket: stage.real });
  const follow = await inside.follow();
  await nobodyLeft(follow);
  await follow.close();
  await inside.close();
  await stage.stop();
  stage.openWay();
  await stage.start();

  assert.deepEqual((await endsUntilState(everyone)).sort(), ['alice missed', 'bob missed']);
  assert.deepEqual(await endsUntilState(onlyBob), ['bob missed']);
  assert.deepEqual(await endsUntilState(nobody), []);
  assert.equal(everyone.sessions.size, 0);
});

test('no kill in the middle of logouts loses or doubles one', async (t) => {
  const stage = await Stage.set(t);
  const follow = await stage.follow();
  const told = [];
  let history;
  for (let round = 0; round < 3; round += 1) {
    const client = await stage.client();
    const devices = [];
    for (let n = 0; n < 3; n += 1) devices.push(await pair(client, `user${round}-${n}`));
    for (const device of devices) await phone('unlink', { device });
    await stage.kill();
    await stage.start();
    const inside = await Client.connect({ socket: stage.real });
    const inner = await inside.follow();
    await nobodyLeft(inner);
    await inner.close();
    const last = `done${round}`;
    await inside.connect(last);
    await inside.forceLogout(last);
    history = await inside.history({ limit: 1000 });
    await inside.close();
    while (!told.includes(last)) {
      const { ended } = await soon(follow.next());
      if (ended) told.push(ended.user);
    }
  }
  assert.deepEqual([...told].sort(), history.map((entry) => entry.user).sort());
  assert.equal(told.length, 12);
});

test('in the same run it goes on where another left off', async (t) => {
  const stage = await Stage.set(t);
  const client = await stage.client();
  const first = await stage.follow({ users: ['alice'] });
  const since = first.position;
  await first.close();
  const device = await pair(client, 'alice');
  await phone('unlink', { device });
  await nobodyLeft(await stage.follow({ users: ['alice'] }));

  const third = await stage.follow({ users: ['alice'], since });
  const kinds = [];
  let item = await soon(third.next());
  for (; item.type !== 'state'; item = await soon(third.next())) {
    assert.equal(item.type, 'replayed');
    kinds.push(item.event.kind);
  }
  assert.equal(item.gap, false);
  assert.deepEqual([kinds.at(-1), kinds.filter((kind) => kind === 'qr').length], ['logged_out', 1]);
  // Another run's numbers mean nothing: it says that there is a gap.
  const stranger = await stage.follow({ since: { epoch: 1, seq: 1 } });
  assert.equal((await soon(stranger.next())).gap, true);
});

test('closing ends whoever iterates, and leaving the loop closes', async (t) => {
  const stage = await Stage.set(t);
  const follow = await stage.follow();
  const items = [];
  const read = (async () => {
    for await (const item of follow) items.push(item.type);
  })();
  while (items.length === 0) await new Promise(setImmediate);
  await follow.close();
  await soon(read);
  assert.deepEqual(items, ['state']);
  await assert.rejects(follow.next(), ConnectionClosed);

  const other = await stage.follow();
  for await (const item of other) {
    assert.equal(item.type, 'state');
    break;
  }
  await assert.rejects(other.next(), ConnectionClosed);
});

test('it can be closed while the daemon is away or hangs', async (t) => {
  const stage = await Stage.set(t);
  const one = await stage.follow();
  await soon(one.next());
  await stage.kill();
  await until(one, (item) => item.type === 'lost');
  await soon(one.close());
  await assert.rejects(stage.follow(), NoDaemon);
  await stage.start();
  const other = await stage.follow();
  await stage.freeze();
  await soon(other.close());
  stage.thaw();
});

test('a reader that does not read loses no end', async (t) => {
  const stage = await Stage.set(t);
  const client = await stage.client();
  const follow = await stage.follow();
  const users = Array.from({ length: 60 }, (_, n) => `user${n}`);
  // Each makes several events; nobody reads them.
  for (const user of users) {
    await client.connect(user);
    await client.forceLogout(user);
  }
  const told = [];
  while (told.length < users.length) {
    const { ended } = await soon(follow.next());
    if (ended) told.push(ended.user);
  }
  assert.deepEqual(told, users);
});
