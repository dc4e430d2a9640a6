#!/usr/bin/env node
// Keeps one user's session up: shows its QR code, reacts to its logout, survives restarts of the daemon.
//
//     node examples/supervisor.js alice

import { spawnSync } from 'node:child_process';

import { Client, ConnectionClosed, Failure, NoDaemon, RequestTimeout, WasessionError } from '../index.js';

const say = (text) => console.log(text);

/**
 * Brings the session up. While the daemon is away there is nothing to do: the follower says when it is back,
 * and then the session is looked at anew.
 */
async function connect(user) {
  let client;
  try {
    client = await Client.connect();
    await client.connect(user);
  } catch (error) {
    const away = [NoDaemon, ConnectionClosed, RequestTimeout].some((kind) => error instanceof kind);
    if (!away && !(error instanceof Failure && error.code === 'stopping')) throw error;
  } finally {
    await client?.close();
  }
}

/** Tells what the session does, and what helps. */
function show(user, { phase, qr, account, next_action: advice }) {
  if (qr) {
    // On a terminal wactl draws it. Anything that draws QR codes may be given the text instead.
    const drawn = process.stdout.isTTY && spawnSync('wactl', ['qr', user], { stdio: 'inherit' });
    if (drawn?.status !== 0) say(`qr: ${qr.code}`);
  } else if (phase === 'online' && account) {
    say(`online: ${account.phone}`);
  } else {
    say(`${phase}: ${advice}`);
  }
}

/** The follower has a connection of its own: the one it is made with is not needed any more. */
async function begin(user) {
  const client = await Client.connect();
  try {
    return await client.follow({ users: [user] });
  } finally {
    await client.close();
  }
}

async function supervise(user) {
  const follow = await begin(user);
  for await (const item of follow) {
    if (item.ended) say(`ended: ${item.ended.cause}`);
    if (item.type === 'lost') {
      say(`waiting: ${item.error.message}`);
    } else if (item.type === 'state') {
      // At the start, and whenever the daemon was away: as it is now.
      const status = follow.sessions.get(user);
      if (status) show(user, status);
      else await connect(user);
    } else if (item.type === 'event') {
      const { kind, status } = item.event;
      if (kind === 'logged_out') {
        // Nothing of the session is left: a fresh QR code, at once.
        await connect(user);
      } else if (kind === 'pairing_expired') {
        throw new WasessionError('nobody scanned the QR code: run this again when somebody is there');
      } else if (status) {
        show(user, status);
      }
    }
  }
}

const [user, ...more] = process.argv.slice(2);
try {
  if (!user || more.length > 0) throw new WasessionError('usage: supervisor.js USER');
  await supervise(user);
} catch (error) {
  if (!(error instanceof WasessionError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
