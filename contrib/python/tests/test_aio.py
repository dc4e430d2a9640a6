"""The client for asyncio against the real daemon."""

import asyncio

import wasession
from stage import PATIENCE, Case, new_phone, phone, scan
from wasession import Happened, Lost, Missed, State, aio


async def soon(awaitable):
    return await asyncio.wait_for(awaitable, PATIENCE)


async def off(function, *arguments, **fields):
    """Something that blocks, beside the loop."""
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(None, lambda: function(*arguments, **fields))


async def event(follow, kind):
    while True:
        item = await soon(follow.next())
        if isinstance(item, Happened) and item.event.kind == kind:
            return item.event


class Asyncio(Case):
    def play(self, coroutine):
        """Runs a test, which must leave no task behind."""

        async def whole():
            await coroutine
            self.assertEqual(asyncio.all_tasks(), {asyncio.current_task()})

        asyncio.run(whole())

    def connect(self, **options):
        return aio.Client(self.stage.socket, **options)

    async def link(self, client, user):
        """Brings a session up until it is online. Returns the JID of its device."""
        async with await client.follow([user]) as follow:
            await client.connect(user)
            shown = (await event(follow, "qr")).status
            device = await off(scan, shown.qr.code, new_phone())
            await event(follow, "online")
        return device

    def test_a_session_from_its_qr_code_to_its_logout(self):
        async def life():
            async with self.connect() as client:
                await client.ping()
                self.assertEqual(f"wasessiond/{(await client.info()).version}", client.server)
                self.assertEqual((await client.reload()).changed, [])
                self.assertTrue((await client.rotate_key()).finished)
                device = await self.link(client, "alice")
                status = await client.status("alice")
                self.assertEqual((status.phase, status.account.jid), ("online", device))
                one, two = (group.jid for group in await client.groups("alice"))
                self.assertEqual(await client.targets("alice", add=[one]), [one])
                self.assertEqual(await client.targets("alice", clear=True), [])
                self.assertEqual((await client.proxy("alice")).source, "default")
                self.assertEqual([s.user for s in await client.list()], ["alice"])

                async with await client.follow(["alice"]) as follow:
                    await off(phone, "unlink", device=device)
                    ended = (await event(follow, "logged_out")).ended
                    self.assertEqual((ended.cause, follow.sessions), ("unlinked", {}))
                self.assertEqual(await client.history("alice"), [ended])
                with self.assertRaises(wasession.Failure) as caught:
                    await client.status("alice")
                self.assertEqual(caught.exception.code, "not_found")
                self.assertEqual(caught.exception.last_logout, ended)

                await self.link(client, "bob")
                kept = await client.disconnect("bob")
                self.assertEqual(kept.phase, "disconnected")
                report = await client.force_logout("bob")
                self.assertEqual(report.entry.unlink, "confirmed")

        self.play(life())

    def test_requests_at_once(self):
        async def requests():
            async with self.connect() as client:
                device = await self.link(client, "alice")
                await off(phone, "freeze", device=device)
                slow = asyncio.create_task(client.groups("alice"))
                quick = await soon(asyncio.gather(*(client.status("alice") for _ in range(100))))
                self.assertEqual({status.user for status in quick}, {"alice"})
                self.assertFalse(slow.done())
                await off(phone, "resume", device=device)
                self.assertEqual(len(await soon(slow)), 2)

        self.play(requests())

    def test_timeouts_and_cancelled_requests_harm_nobody(self):
        async def hang():
            async with self.connect(request_timeout=0.2) as client:
                self.stage.freeze()
                with self.assertRaises(wasession.RequestTimeout):
                    await client.ping()
                given_up = asyncio.create_task(client.ping())
                await asyncio.sleep(0)
                given_up.cancel()
                await asyncio.gather(given_up, return_exceptions=True)
                with self.assertRaises(wasession.RequestTimeout):
                    await self.connect(connect_timeout=0.2).open()
                self.stage.thaw()
                async with self.connect() as patient:
                    await patient.ping()
                self.assertIsNone(client._end)
                self.assertEqual(client._pending, {})

        self.play(hang())

    def test_whoever_waits_when_it_closes_learns_of_it(self):
        async def close():
            client = await self.connect().open()
            self.stage.freeze()
            waiting = asyncio.create_task(client.ping())
            await asyncio.sleep(0)
            await client.close()
            with self.assertRaises(wasession.ConnectionClosed):
                await waiting
            with self.assertRaisesRegex(wasession.ConnectionClosed, "this client is closed"):
                await client.ping()
            self.stage.thaw()
            with self.assertRaisesRegex(RuntimeError, "not open"):
                await self.connect().ping()

            follow = await aio.Follow(path=self.stage.socket).begin()
            await soon(follow.next())
            waiting = asyncio.create_task(follow.next())
            await asyncio.sleep(0)
            await follow.close()
            with self.assertRaises(wasession.ConnectionClosed):
                await soon(waiting)
            self.assertEqual([item async for item in follow], [])

        self.play(close())

    def test_a_cancelled_wait_loses_nothing(self):
        async def cancel():
            async with self.connect() as client, await client.follow(["alice"]) as follow:
                self.assertIsInstance(await soon(follow.next()), State)
                await client.connect("alice")
                while True:
                    try:
                        item = await asyncio.wait_for(follow.next(), 0.001)
                    except asyncio.TimeoutError:
                        continue
                    if item.event.kind == "qr":
                        break
                self.assertEqual(follow.position.seq, item.event.seq)
                self.assertEqual(follow.sessions["alice"], item.event.status)

        self.play(cancel())

    def test_no_restart_loses_a_logout(self):
        async def restarts():
            async with self.connect() as client:
                device = await self.link(client, "alice")
            async with aio.Follow(path=self.stage.socket) as follow:
                self.assertIn("alice", (await soon(follow.next())).sessions)
                self.stage.close_way()
                await off(self.stage.kill)
                await off(phone, "unlink", device=device)
                await off(self.stage.start)
                async with aio.Follow(path=self.stage.real) as inside:
                    while inside.sessions:
                        await soon(inside.next())
                await off(self.stage.stop)
                self.stage.open_way()
                await off(self.stage.start)
                items = [await soon(follow.next()) for _ in range(3)]
                self.assertEqual([type(item) for item in items], [Lost, Missed, State])
                self.assertEqual(items[1].entry.user, "alice")
                self.assertEqual(follow.sessions, {})

        self.play(restarts())

    def test_trying_again_does_not_help_everything(self):
        async def refused():
            with self.assertRaises(wasession.Failure) as caught:
                await aio.Follow(["../alice"], path=self.stage.socket).begin()
            self.assertEqual(caught.exception.code, "invalid_user")
            await off(self.stage.stop)
            with self.assertRaises(wasession.NoDaemon):
                await self.connect().open()

        self.play(refused())
