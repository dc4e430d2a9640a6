"""What needs no daemon: where the socket is, and another end that is no wasessiond of this version."""

import asyncio
import dataclasses
import json
import os
import re
import shutil
import socket
import struct
import tempfile
import threading
import unittest
from datetime import datetime, timezone
from unittest import mock

import wasession
from wasession import aio, socket_path, types
from wasession.types import read_event, time_of

OWN = "wasessiond/control.sock"
SCHEMA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../schema/wasession-1.json")
PATIENCE = 60.0


def reply(number, result):
    return json.dumps({"reply": {"id": number, "result": result}}).encode()


def closing(code):
    failure = {"code": code, "message": "so it is", "retry_after": None, "last_logout": None}
    return json.dumps({"closing": failure}).encode()


#: What a daemon without sessions says to a follower.
WATCH = (
    b"wasession/1 ok x",
    reply(1, {"Ok": {"history": {"entries": [], "next": None}}}),
    reply(2, {"Ok": {"watching": {"epoch": 1, "seq": 0, "gap": False}}}),
    b'{"in_sync": {"seq": 0}}',
)


#: What a newer daemon says to a follower: things that this client does not know are among it.
STATUS = {
    "user": "alice", "phase": "restricted", "since": "2026-11-24T09:12:03Z", "owner": 1000,
    "next_action": "Wait until Tuesday.", "account": None,
    "connecting": {"attempt": 1, "stage": "attestation", "stage_since": "2026-11-24T09:12:03Z"},
    "qr": None, "pair_code": None, "retry_at": None, "held_until": None, "reason": "spam_reported",
    "error": None, "targets": [], "last_activity": None, "of_tomorrow": [{"of": "send"}],
}
ENTRY = {
    "at": "2026-11-24T09:12:03Z", "user": "alice", "cause": "passkey_changed", "account": None,
    "owner": 1000, "requested_by": None, "unlink": "queued", "unread": 7,
    "removed": {"files": 4, "bytes": 5, "targets": 0, "media": 9}, "text": None, "appeal_token": None,
}


def newer_event(seq, kind, status):
    event = {"seq": seq, "at": "2026-11-24T09:12:03Z", "user": "alice", "kind": kind, "of": []}
    return json.dumps({"event": {**event, "status": status}}).encode()


NEWER_WATCH = (
    *WATCH[:2],
    reply(2, {"Ok": {"watching": {"epoch": 1, "seq": 4, "gap": False, "more": {"a": 1}}}}),
    b'{"presence": {"user": "alice"}}',
    json.dumps({"present": STATUS}).encode(),
    b'"heartbeat"',
    b'{"in_sync": {"seq": 4, "more": 1}}',
    b'{"presence": {"user": "alice"}}',
    newer_event(5, {"restriction": {"until": "Tuesday"}}, STATUS),
    newer_event(6, "migrated", {**STATUS, "phase": "online"}),
    newer_event(7, {"logged_out": ENTRY}, None),
)


class Paths(unittest.TestCase):
    def test_the_nearest_socket_wins(self):
        runtime = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, runtime)
        own = os.path.join(runtime, OWN)
        system = "/run/wasessiond/control.sock"
        for given, named, there, expected in [
            ("/a", "/b", True, "/a"),
            (None, "/b", True, "/b"),
            (None, None, True, own),
            (None, "", True, own),
            (None, None, False, system),
        ]:
            shutil.rmtree(os.path.dirname(own), ignore_errors=True)
            if there:
                os.makedirs(own)
            environment = {"XDG_RUNTIME_DIR": runtime}
            if named is not None:
                environment["WASESSIOND_SOCKET"] = named
            with mock.patch.dict(os.environ, environment, clear=True):
                self.assertEqual(socket_path(given), expected)
        with mock.patch.dict(os.environ, {"XDG_RUNTIME_DIR": ""}, clear=True):
            self.assertEqual(socket_path(), system)


class Reading(unittest.TestCase):
    def test_every_field_of_the_protocol_can_be_read(self):
        with open(SCHEMA) as file:
            schema = json.load(file)["$defs"]
        for name in types.__all__:
            with self.subTest(name):
                fields = {field.name for field in dataclasses.fields(getattr(types, name))}
                # An event's end stands in its kind.
                here = {"ended"} if name == "Event" else set()
                self.assertEqual(fields, set(schema[name]["properties"]) | here)

    def test_every_word_of_the_protocol_is_named(self):
        with open(SCHEMA) as file:
            schema = json.load(file)["$defs"]
        with open(types.__file__) as file:
            named = set(re.findall(r"``(\w+)``", file.read()))
        for name in ("EventKind", "PasskeyStep", "Phase", "RestrictionKind", "Stage", "Unlink", "WarningKind"):
            with self.subTest(name):
                words = {word["const"] for word in schema[name]["anyOf"] if "const" in word}
                kinds = {kind for word in schema[name]["anyOf"] for kind in word.get("required", ())}
                self.assertTrue(words)
                self.assertEqual((words | kinds) - named, set())

    def test_times(self):
        base = datetime(2026, 11, 24, 9, 12, 3, tzinfo=timezone.utc)
        for text, micros in [("", 0), (".5", 500_000), (".123456789", 123_456), (".000001", 1)]:
            self.assertEqual(time_of(f"2026-11-24T09:12:03{text}Z"), base.replace(microsecond=micros))
        for bad in ("", "2026-11-24", "2026-11-24T09:12:03", "2026-13-24T09:12:03Z"):
            with self.assertRaises(ValueError):
                time_of(bad)

    def test_what_is_not_an_event_is_a_protocol_error(self):
        good = {"seq": 1, "at": "2026-11-24T09:12:03Z", "user": "a", "kind": "qr", "status": None}
        self.assertEqual(read_event({**good, "of_a_newer_daemon": 1}).kind, "qr")
        for bad in (
            None,
            {},
            {**good, "seq": "1"},
            {**good, "seq": True},
            {**good, "at": 5},
            {**good, "kind": {"logged_out": {}}},
            {**good, "kind": {"a": 1, "b": 2}},
            {**good, "status": []},
        ):
            with self.assertRaises(wasession.ProtocolError):
                read_event(bad)


class Strangers(unittest.TestCase):
    """Ends of a socket that no daemon has."""

    def setUp(self):
        self.dir = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.dir)
        self.path = os.path.join(self.dir, "s")
        self.listener = socket.socket(socket.AF_UNIX)
        self.addCleanup(self.listener.close)
        self.listener.bind(self.path)
        self.listener.listen()

    def answer(self, *parts):
        """Answers the next client with these frames, and goes on until it leaves."""

        def serve():
            stream, _ = self.listener.accept()
            with stream:
                for part in parts:
                    stream.sendall(struct.pack(">I", len(part)) + part)
                while stream.recv(4096):
                    pass

        thread = threading.Thread(target=serve)
        thread.start()
        self.addCleanup(thread.join)

    def converse(self, *parts):
        """Answers each frame of the next client with one of these, or several, and goes on until it
        leaves."""

        def serve():
            stream, _ = self.listener.accept()
            with stream, stream.makefile("rb") as frames:
                for part in parts:
                    frames.read(*struct.unpack(">I", frames.read(4)))
                    for said in part if isinstance(part, tuple) else (part,):
                        stream.sendall(struct.pack(">I", len(said)) + said)
                while frames.read(4096):
                    pass

        thread = threading.Thread(target=serve)
        thread.start()
        self.addCleanup(thread.join)

    def test_only_a_daemon_of_this_version_is_talked_to(self):
        for said, kind, why in [
            (b"wasession/2 ok wasessiond/9", wasession.VersionMismatch, "version 2"),
            (b"wasession/1 error no room", wasession.Refused, "no room"),
            (b"wasession/1 hm", wasession.ProtocolError, "not the control socket"),
            (b"SSH-2.0-x", wasession.ProtocolError, "not the control socket"),
            (b"\xff\x00", wasession.ProtocolError, "not the control socket"),
        ]:
            with self.subTest(said=said):
                self.answer(said)
                with self.assertRaisesRegex(kind, why):
                    wasession.Client(self.path)
                self.answer(said)
                with self.assertRaisesRegex(kind, why):
                    asyncio.run(aio.Client(self.path).open())

    def newer_watch_is_told(self, items):
        state, restricted, migrated, ended = items
        alice = state.sessions["alice"]
        self.assertEqual((alice.phase, alice.reason), ("restricted", "spam_reported"))
        self.assertEqual(alice.next_action, "Wait until Tuesday.")
        self.assertEqual(alice.connecting.stage, "attestation")
        self.assertEqual((restricted.event.kind, restricted.event.ended), ("restriction", None))
        self.assertEqual(restricted.event.status, alice)
        self.assertEqual((migrated.event.kind, migrated.event.seq), ("migrated", 6))
        entry = wasession.ended(ended)
        self.assertEqual((entry.cause, entry.unlink), ("passkey_changed", "queued"))

    def test_a_newer_daemon_is_followed(self):
        self.answer(*NEWER_WATCH)
        with wasession.Follow(["alice"], path=self.path) as follow:
            self.newer_watch_is_told([follow.next(PATIENCE) for _ in range(4)])
            self.assertEqual((follow.sessions, follow.position.seq), ({}, 7))
        self.answer(*NEWER_WATCH)

        async def watch():
            async with aio.Follow(["alice"], path=self.path) as follow:
                self.newer_watch_is_told([await follow.next() for _ in range(4)])
                self.assertEqual((follow.sessions, follow.position.seq), ({}, 7))

        asyncio.run(watch())

    def test_a_newer_daemon_answers(self):
        failure = {"code": "restricted", "message": "so it is", "until": "Tuesday"}
        self.converse(
            b"wasession/1 ok x",
            reply(1, {"Ok": {"status": STATUS}}),
            reply(2, {"Ok": {"queued": {"place": 3}}}),
            reply(3, {"Err": failure}),
            (b'"heartbeat"', b'{"presence": {}}', reply(4, {"Ok": "pong"})),
        )
        with wasession.Client(self.path, request_timeout=PATIENCE) as client:
            self.assertEqual(client.status("alice").phase, "restricted")
            with self.assertRaisesRegex(wasession.ProtocolError, "'queued'"):
                client.connect("alice")
            with self.assertRaises(wasession.Failure) as caught:
                client.groups("alice")
            self.assertEqual((caught.exception.code, str(caught.exception)), ("restricted", "so it is"))
            client.ping()

    def test_what_an_older_daemon_does_not_send_is_none(self):
        older = {name: value for name, value in STATUS.items() if value is not None}
        self.assertIsNone(types.read(types.Status, older).held_until)
        self.assertEqual(types.read(types.Status, older).restrictions, [])
        del older["phase"]
        with self.assertRaises(wasession.ProtocolError):
            types.read(types.Status, older)

    def test_garbage_ends_the_connection(self):
        for said in (b"{}", b"[]", b"no json", b'{"reply": {"id": 7, "result": {"Ok": "pong"}}}'):
            with self.subTest(said=said):
                self.answer(b"wasession/1 ok x", said)
                with wasession.Client(self.path) as client:
                    with self.assertRaises(wasession.ProtocolError):
                        client.ping()
                    with self.assertRaises(wasession.ProtocolError):
                        client.ping()

    def test_garbage_in_place_of_a_reply_is_told_to_whoever_waits_for_it(self):
        for said in (b"[" * 100_000, reply(1, {"Err": {"code": "no more than that"}})):
            with self.subTest(said=said[:80]):
                self.converse(b"wasession/1 ok x", said)
                with wasession.Client(self.path, request_timeout=PATIENCE) as client:
                    with self.assertRaises(wasession.ProtocolError):
                        client.ping()
                self.converse(b"wasession/1 ok x", said)

                async def ask():
                    async with aio.Client(self.path, request_timeout=PATIENCE) as client:
                        with self.assertRaises(wasession.ProtocolError):
                            await client.ping()

                asyncio.run(ask())

    def test_what_ended_a_connection_does_not_grow_with_each_time_it_is_told(self):
        def told(client):
            try:
                client.ping()
            except wasession.ProtocolError as error:
                count, trace = 0, error.__traceback__
                while trace is not None:
                    count, trace = count + 1, trace.tb_next
                return count
            self.fail("it is over")

        self.answer(b"wasession/1 ok x", b"garbage")
        with wasession.Client(self.path) as client:
            client._reader.join(PATIENCE)
            self.assertEqual(len({told(client) for _ in range(3)}), 1)

    def test_a_follower_that_is_not_allowed_any_more_says_so(self):
        self.answer(*WATCH, closing("not_allowed"))
        with wasession.Follow(path=self.path) as follow:
            with self.assertRaisesRegex(wasession.ConnectionClosed, "so it is"):
                self.assertEqual([type(item) for item in follow], [])
        self.answer(*WATCH, closing("not_allowed"))

        async def watch():
            async with aio.Follow(path=self.path) as follow:
                with self.assertRaisesRegex(wasession.ConnectionClosed, "so it is"):
                    self.assertEqual([type(item) async for item in follow], [])

        asyncio.run(watch())

    def test_all_who_wait_for_an_item_learn_of_the_end(self):
        self.answer(*WATCH)

        async def watch():
            follow = await aio.Follow(path=self.path).begin()
            await follow.next()
            waiting = [asyncio.create_task(follow.next()) for _ in range(3)]
            await asyncio.sleep(0)
            await follow.close()
            ends = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), PATIENCE)
            self.assertEqual({type(end) for end in ends}, {wasession.ConnectionClosed})

        asyncio.run(watch())

    def test_requests_that_the_other_end_does_not_take_in_run_into_their_timeout(self):
        over = threading.Event()

        def deaf():
            with self.listener.accept()[0] as stream:
                stream.sendall(struct.pack(">I", 16) + b"wasession/1 ok x")
                over.wait(PATIENCE)

        thread = threading.Thread(target=deaf)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(over.set)

        async def ask():
            async with aio.Client(self.path, request_timeout=0.2) as client:
                many = [f"{n:050}" for n in range(2000)]
                some = (client.targets("alice", set=many) for _ in range(20))
                ends = await asyncio.gather(*some, return_exceptions=True)
            self.assertEqual({type(end) for end in ends}, {wasession.RequestTimeout})

        asyncio.run(ask())

    def test_a_queue_that_others_have_filled_is_waited_for(self):
        def connect(limit):
            wasession.Client(self.path, connect_timeout=limit).close()

        def connect_aio(limit):
            async def opened():
                async with aio.Client(self.path, connect_timeout=limit):
                    pass

            asyncio.run(opened())

        # One connection waits in it, and no more.
        self.listener.listen(0)
        for way in (connect, connect_aio):
            with self.subTest(way=way.__name__):
                other = socket.socket(socket.AF_UNIX)
                self.addCleanup(other.close)
                other.connect(self.path)
                with self.assertRaises(wasession.RequestTimeout):
                    way(0.2)
                other.close()
                self.listener.settimeout(PATIENCE)
                # It makes room for the client, and answers nobody else.
                self.listener.accept()[0].close()
                self.answer(b"wasession/1 ok x")
                way(PATIENCE)

    def test_an_endless_frame_is_not_read(self):
        self.answer(b"wasession/1 ok x")
        stream = wasession.Client(self.path)
        stream.close()
        listener = self.listener

        def serve():
            with listener.accept()[0] as stream:
                stream.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                stream.recv(4096)

        thread = threading.Thread(target=serve)
        thread.start()
        with self.assertRaisesRegex(wasession.ProtocolError, "frame of"):
            wasession.Client(self.path)
        thread.join()
