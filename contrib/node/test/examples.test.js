// The examples, as they are run.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import test from 'node:test';
import { fileURLToPath } from 'node:url';

import { newPhone, phone, scan, soon, Stage } from './stage.js';

const SUPERVISOR = fileURLToPath(new URL('../examples/supervisor.js', import.meta.url));

function run(t, stage, ...words) {
  const child = spawn(process.execPath, [SUPERVISOR, ...words], {
    env: { ...process.env, WASESSIOND_SOCKET: stage.socket },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  t.after(() => child.kill('SIGKILL'));
  return child;
}

test('the supervisor keeps a session up over a restart and a logout', async (t) => {
  const stage = await Stage.set(t);
  const lines = createInterface({ input: run(t, stage, 'alice').stdout })[Symbol.asyncIterator]();
  const line = async (beginning) => {
    for (;;) {
      const { value, done } = await soon(lines.next(), beginning);
      assert.ok(!done, `no line begins with ${beginning}`);
      if (value.startsWith(beginning)) return value.slice(beginning.length);
    }
  };
  const number = newPhone();
  const device = await scan(await line('qr: '), number);
  assert.equal(await line('online: '), `+${number}`);

  await stage.stop();
  await line('waiting: ');
  await stage.start();
  await line('online: ');

  await phone('unlink', { device });
  assert.equal(await line('ended: '), 'unlinked');
  assert.notEqual(await scan(await line('qr: '), number), device);
  assert.equal(await line('online: '), `+${number}`);
});

test('the supervisor says what is wrong', async (t) => {
  const stage = await Stage.set(t);
  const complaint = async (...words) => {
    const child = run(t, stage, ...words);
    let said = '';
    child.stderr.on('data', (data) => {
      said += data;
    });
    const [code] = await soon(once(child, 'close'));
    assert.equal(code, 1, said);
    return said;
  };
  assert.match(await complaint(), /usage/);
  assert.match(await complaint('../alice'), /not a user id/);
  await stage.stop();
  assert.match(await complaint('alice'), /no daemon/);
});
