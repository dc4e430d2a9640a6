"""The plain client against the real daemon."""

import dataclasses
import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone

import wasession
from stage import PATIENCE, Case, new_phone, phone, scan


class Life(Case):
    def test_a_daemon_says_who_it_is(self):
        with self.client() as client:
            client.ping()
            self.assertRegex(client.server, r"^wasessiond/\d")
            info = client.info()
            self.assertEqual(f"wasessiond/{info.version}", client.server)
            self.assertEqual(info.pid, self.stage.daemon.pid)
            self.assertTrue(info.simulator)
            self.assertIsNotNone(info.started_at.tzinfo)
            reloaded = client.reload()
            self.assertEqual((reloaded.changed, reloaded.needs_restart), ([], []))
            self.assertEqual((info.master_key.source, info.master_key.error), ("file", None))
            rotated = client.rotate_key()
            self.assertEqual((rotated.begun, rotated.left, rotated.finished), (True, [], True))
            self.assertNotEqual(rotated.id, info.master_key.id)
            self.assertEqual(client.info().master_key.id, rotated.id)

    def test_a_session_from_its_qr_code_to_its_logout(self):
        client, number = self.client(), new_phone()
        follow = client.follow(["alice"])
        self.addCleanup(follow.close)
        self.assertEqual(follow.next(PATIENCE).sessions, {})

        begun = client.connect("alice")
        self.assertIn(begun.phase, ("connecting", "awaiting_scan"))
        shown = self.event(follow, "alice", "qr").status
        self.assertEqual((shown.phase, shown.qr.number, shown.qr.remaining), ("awaiting_scan", 1, 5))
        # It links a device, so it is not in what may end in a log, nor in a list.
        self.assertNotIn(shown.qr.code, repr(shown))
        self.assertIsNone(client.list()[0].qr.code)

        device = scan(shown.qr.code, number)
        self.event(follow, "alice", "paired")
        self.event(follow, "alice", "online")
        status = client.status("alice")
        self.assertEqual((status.phase, status.account.jid), ("online", device))
        self.assertEqual(status.account.phone, f"+{number}")
        self.assertEqual((status.qr, status.owner), (None, os.getuid()))

        groups = client.groups("alice")
        self.assertEqual(len(groups), 2)
        one, two = (group.jid for group in groups)
        self.assertEqual(client.targets("alice"), [])
        default = wasession.SessionProxy("default", None, False, None)
        self.assertEqual(client.proxy("alice"), default)
        self.assertEqual(client.proxy("alice", clear=True), default)
        self.assertEqual(status.proxy, default)
        # A session that is there already is refused another one than it has.
        with self.assertRaises(wasession.Failure) as refused:
            client.connect("alice", proxy="none")
        self.assertEqual(refused.exception.code, "invalid_argument")
        self.assertEqual(client.targets("alice", set=[one]), [one])
        self.assertEqual(client.targets("alice", add=[two]), [one, two])
        self.assertEqual(client.targets("alice", remove=[one]), [two])
        self.assertEqual([s.targets for s in client.list()], [[two]])
        self.assertEqual(self.event(follow, "alice", "targets").status.targets, [one])

        phone("unlink", device=device)
        ended = self.event(follow, "alice", "logged_out").ended
        self.assertEqual((ended.cause, ended.unlink), ("unlinked", "not_linked"))
        self.assertEqual((ended.account.jid, ended.removed.targets), (device, 1))
        self.assertEqual(follow.sessions, {})
        gone = self.assertFails("not_found", client.status, "alice")
        self.assertEqual(gone.last_logout, ended)
        self.assertEqual(client.history("alice"), [ended])
        self.assertEqual(client.list(), [])

    def test_a_force_logout_unlinks_and_says_how_it_went(self):
        client, number = self.client(), new_phone()
        device = self.pair(client, "alice", number)
        [linked] = phone("devices", phone=number)["devices"]
        self.assertEqual(linked["jid"], device)
        report = client.force_logout("alice")
        self.assertEqual((report.entry.cause, report.entry.unlink), ("force_logout", "confirmed"))
        self.assertEqual(report.entry.requested_by, os.getuid())
        self.assertGreater(report.entry.removed.files, 0)
        self.assertTrue(report.next_action)
        self.assertEqual(phone("devices", phone=number)["devices"], [])
        self.assertFails("not_found", client.force_logout, "alice")

    def test_a_disconnect_keeps_what_is_paired_and_removes_what_is_not(self):
        client, number = self.client(), new_phone()
        device = self.pair(client, "alice", number)
        kept = client.disconnect("alice")
        self.assertIsInstance(kept, wasession.Status)
        self.assertEqual(kept.phase, "disconnected")
        with client.follow(["alice"]) as follow:
            client.connect("alice")
            self.assertEqual(self.event(follow, "alice", "online").status.account.jid, device)
        client.connect("bob")
        removed = client.disconnect("bob")
        self.assertIsInstance(removed, wasession.LogoutReport)
        self.assertEqual(removed.entry.cause, "pairing_abandoned")

    def test_restrictions_and_warnings_are_told_while_it_stays_online(self):
        client, number = self.client(), new_phone()
        device = self.pair(client, "alice", number)
        end = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(days=7)
        until = int(end.timestamp())
        with client.follow(["alice"]) as follow:
            limit = {"status": "SECOND_WARNING", "total": 50, "used": 45, "ends": until}
            phone("set_chat_limit", phone=number, limit=limit)
            status = self.event(follow, "alice", "warnings").status
            self.assertEqual((status.phase, status.restrictions), ("online", []))
            [warning] = status.warnings
            self.assertEqual((warning.kind, warning.due), ("new_chat_limit_near", end))
            self.assertIn("45 of 50", warning.text)
            self.assertEqual(client.list()[0].warnings, [warning])

            lock = {"kind": "RESTRICT_ALL_COMPANIONS", "until": until}
            phone("set_timelock", phone=number, timelock=lock)
            [restriction] = self.event(follow, "alice", "restrictions").status.restrictions
            self.assertEqual((restriction.kind, restriction.until), ("reachout_timelock", end))
            self.assertEqual(restriction.detail, "RESTRICT_ALL_COMPANIONS")
            self.assertEqual(client.status("alice").restrictions, [restriction])

            # What concerns the daemon is told by the daemon.
            self.assertEqual(client.info().warnings, [])
            expires = {"tag": "client_expiration", "attrs": {"t": str(until)}}
            told = {"tag": "ib", "attrs": {"from": "s.whatsapp.net"}, "children": [expires]}
            phone("send_raw", device=device, stanza=told)
            # A question and its answer: it has been read by then.
            client.groups("alice")
            [expiry] = client.info().warnings
            self.assertEqual((expiry.kind, expiry.due), ("client_expires", end))
            self.assertEqual(client.status("alice").warnings, [warning])

            phone("unlink", device=device)
            ended = self.event(follow, "alice", "logged_out").ended
            self.assertEqual(ended.restrictions, [restriction])

    def test_a_pair_code_is_typed_on_the_phone(self):
        client, number = self.client(), new_phone()
        with client.follow(["alice"]) as follow:
            client.connect("alice", phone=f"+{number}")
            shown = self.event(follow, "alice", "pair_code").status.pair_code
            self.assertNotIn(shown.code, repr(shown))
            phone("link", phone=number, code=shown.code)
            self.event(follow, "alice", "online")


class Trouble(Case):
    def test_every_no_has_its_code(self):
        client = self.client()
        client.connect("alice")
        self.assertFails("invalid_user", client.connect, "../alice")
        self.assertFails("invalid_user", client.status, "")
        self.assertFails("invalid_user", client.follow, ["a b"])
        self.assertFails("invalid_argument", client.connect, "bob", phone="12")
        self.assertFails("not_found", client.status, "nobody")
        self.assertFails("not_found", client.groups, "nobody")
        self.assertFails("not_online", client.groups, "alice")
        self.assertFails("invalid_argument", client.targets, "alice", add=["no jid"])
        # The connection goes on.
        client.ping()

    def test_what_the_daemon_cannot_read_is_refused_and_the_connection_goes_on(self):
        client = self.client()

        def ask(command):
            return wasession.client.drive(client.ask(command))

        self.assertFails("unknown_command", ask, "fly")
        self.assertFails("unknown_command", ask, {"fly": {"where": "away"}})
        self.assertFails("invalid_request", ask, {"status": {}})
        self.assertFails("invalid_request", ask, {"status": {"user": 7}})
        self.assertFails("invalid_request", client.status, 7)
        client.ping()

    def test_what_makes_no_sense_is_refused_here(self):
        client = self.client()
        with self.assertRaises(TypeError):
            client.targets("alice", add="1@g.us")
        with self.assertRaises(ValueError):
            client.targets("alice", add=[], clear=True)
        with self.assertRaises(ValueError):
            client.proxy("alice", none=True, clear=True)
        with self.assertRaises(TypeError):
            client.follow("alice")
        with self.assertRaises(ValueError):
            client.status("x" * (1 << 20))
        client.ping()

    def test_a_slow_request_holds_up_no_other(self):
        client = self.client()
        device = self.pair(client, "alice", new_phone())
        phone("freeze", device=device)
        with ThreadPoolExecutor(20) as threads:
            slow = threads.submit(client.groups, "alice")
            quick = [threads.submit(client.status, "alice") for _ in range(100)]
            for status in quick:
                self.assertEqual(status.result(PATIENCE).user, "alice")
            self.assertFalse(slow.done())
            phone("resume", device=device)
            self.assertEqual(len(slow.result(PATIENCE)), 2)

    def test_a_daemon_that_hangs_runs_into_the_timeout(self):
        client = self.client(request_timeout=0.2)
        self.stage.freeze()
        with self.assertRaises(wasession.RequestTimeout):
            client.ping()
        with self.assertRaises(wasession.RequestTimeout):
            wasession.Client(self.stage.socket, connect_timeout=0.2)
        with self.assertRaises(TimeoutError):
            self.follow("alice", connect_timeout=0.2)
        self.stage.thaw()
        # The late reply harms nobody.
        patient = self.client()
        patient.ping()
        self.assertIsNone(client._end)

    def test_whoever_waits_when_it_closes_learns_of_it(self):
        client = self.client()
        self.stage.freeze()
        with ThreadPoolExecutor(1) as threads:
            waiting = threads.submit(client.ping)
            while not client._pending:
                pass
            client.close()
            with self.assertRaises(wasession.ConnectionClosed):
                waiting.result(PATIENCE)
        with self.assertRaisesRegex(wasession.ConnectionClosed, "this client is closed"):
            client.ping()
        client.close()
        self.stage.thaw()

    def test_a_daemon_that_stops_says_so(self):
        client = self.client()
        self.stage.stop()
        client._reader.join(PATIENCE)
        with self.assertRaises(wasession.ConnectionClosed) as caught:
            client.ping()
        self.assertEqual(caught.exception.failure.code, "stopping")
        with self.assertRaisesRegex(wasession.NoDaemon, "no daemon"):
            wasession.Client(self.stage.socket)
        self.stage.close_way()
        with self.assertRaisesRegex(ConnectionError, "there is no socket"):
            wasession.Client(self.stage.socket)
        self.stage.open_way()

    def test_nothing_of_a_closed_client_is_left(self):
        before = threading.active_count(), len(os.listdir("/proc/self/fd"))
        for _ in range(3):
            with wasession.Client(self.stage.socket) as client:
                with client.follow() as follow:
                    follow.next(PATIENCE)
        self.assertEqual((threading.active_count(), len(os.listdir("/proc/self/fd"))), before)


class Large(Case):
    def test_long_lists_are_read_to_their_end(self):
        client = self.client()
        client.connect("template")
        client.disconnect("template")
        [template] = client.history()
        client.close()
        self.stage.stop()
        # As many ended sessions as fill several pages, and as many that cannot be read.
        with open(self.stage.path("state/history.jsonl")) as lines:
            line = json.loads(lines.readline())
        with open(self.stage.path("state/history.jsonl"), "w") as lines:
            for n in range(2500):
                entry = {**line["entry"], "user": f"user{n}"}
                lines.write(json.dumps({"id": f"id{n}", "entry": entry}) + "\n")
        for n in range(900):
            os.mkdir(self.stage.path(f"state/sessions/s{n:04}"), 0o700)
            with open(self.stage.path(f"state/sessions/s{n:04}/session.toml"), "w") as record:
                record.write("no record")
        self.stage.start()

        client = self.client()
        sessions = client.list()
        self.assertEqual([s.user for s in sessions], [f"s{n:04}" for n in range(900)])
        self.assertEqual({s.phase for s in sessions}, {"store_corrupt"})
        size = len(json.dumps([dataclasses.asdict(s) for s in sessions], default=str))
        self.assertGreater(size, 256 * 1024, "it would be one page")

        newest_first = [dataclasses.replace(template, user=f"user{n}") for n in range(2500)][::-1]
        self.assertEqual(client.history(limit=5000), newest_first)
        self.assertEqual(client.history(), newest_first[:100])
        self.assertEqual(client.history(limit=1001), newest_first[:1001])
        self.assertEqual(client.history("user7"), [newest_first[-8]])
        with client.follow() as follow:
            self.assertEqual(len(follow.sessions), 900)
