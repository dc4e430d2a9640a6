"""What needs no daemon: where the socket is, and another end that is no wasessiond of this version."""

import asyncio
import os
import shutil
import socket
import struct
import tempfile
import threading
import unittest
from datetime import datetime, timezone
from unittest import mock

import wasession
from wasession import aio, socket_path
from wasession.types import read_event, time_of

OWN = "wasessiond/control.sock"


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

    def test_garbage_ends_the_connection(self):
        for said in (b"{}", b"[]", b"no json", b'{"reply": {"id": 7, "result": {"Ok": "pong"}}}'):
            with self.subTest(said=said):
                self.answer(b"wasession/1 ok x", said)
                with wasession.Client(self.path) as client:
                    with self.assertRaises(wasession.ProtocolError):
                        client.ping()
                    with self.assertRaises(wasession.ProtocolError):
                        client.ping()

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
