"""The stage of the tests: the real daemon, and the simulator with its phones.

The project's test command sets it up (tests/other_languages.rs) and says where things are: the daemon's
program in $TEST_WASESSIOND, the simulator's URL in $TEST_ENDPOINT and its control socket in $TEST_WASIM.
"""

import itertools
import json
import os
import queue
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import unittest

import wasession

#: How long anything may take on a busy machine.
PATIENCE = 60.0

_phones = itertools.count(1)


def new_phone():
    """The number of a phone that no other test uses, nor another run beside the same simulator."""
    return f"1{os.getpid():05}{next(_phones):05}"


def phone(command, **fields):
    """Has the simulator do something: most of it is what a person does on the phone."""
    with socket.socket(socket.AF_UNIX) as control:
        control.settimeout(PATIENCE)
        control.connect(os.environ["TEST_WASIM"])
        control.sendall(json.dumps({"command": command, **fields}).encode() + b"\n")
        answer = json.loads(control.makefile().readline())
    if "error" in answer:
        raise AssertionError(f"{command}: {answer['error']}")
    return answer


def scan(qr, number):
    """The phone scans a code. Returns the JID of the device."""
    return phone("scan", qr=qr, phone=number)["device"]


class Stage:
    """A daemon with a directory of its own."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="wasession-")
        with open(self.path("config.toml"), "w") as config:
            config.write(
                f'[whatsapp]\nendpoint = "{os.environ["TEST_ENDPOINT"]}"\nversion = "2.3000.1"\n'
            )
        self.real = self.path("control.sock")
        #: A way to the daemon that can be taken away while the daemon runs.
        self.socket = self.path("way.sock")
        self.open_way()
        self.daemon = None
        self.start()

    def path(self, name):
        return os.path.join(self.dir, name)

    def open_way(self):
        os.symlink("control.sock", self.socket)

    def close_way(self):
        os.unlink(self.socket)

    def start(self):
        """Starts the daemon and waits until it is ready."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify, open(
            self.path("daemon.log"), "a"
        ) as log:
            notify.bind(self.path("notify.sock"))
            notify.settimeout(PATIENCE)
            files = ["--config", "config.toml", "--state", "state", "--socket", self.real]
            self.daemon = subprocess.Popen(
                [os.environ["TEST_WASESSIOND"], *files],
                cwd=self.dir,
                env={**os.environ, "NOTIFY_SOCKET": self.path("notify.sock")},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )
            while b"READY=1" not in notify.recv(4096).split(b"\n"):
                pass
        os.unlink(self.path("notify.sock"))

    def freeze(self):
        """Makes it hang: it is stopped, every thread of it, when this returns."""
        self.signal(signal.SIGSTOP)
        os.waitpid(self.daemon.pid, os.WUNTRACED)

    def thaw(self):
        self.signal(signal.SIGCONT)

    def signal(self, number):
        self.daemon.send_signal(number)

    def stop(self):
        """Stops the daemon as systemd would."""
        self.signal(signal.SIGTERM)
        status = self.daemon.wait(PATIENCE)
        if status != 0:
            with open(self.path("daemon.log")) as log:
                raise AssertionError(f"the daemon ended with {status}: {log.read()}")

    def kill(self):
        """Kills it without warning."""
        self.daemon.kill()
        self.daemon.wait(PATIENCE)

    def close(self):
        if self.daemon is not None and self.daemon.poll() is None:
            self.kill()
        shutil.rmtree(self.dir)


class Case(unittest.TestCase):
    """A test with a daemon."""

    def setUp(self):
        self.stage = Stage()
        self.addCleanup(self.stage.close)

    def client(self, **options):
        client = wasession.Client(self.stage.socket, **options)
        self.addCleanup(client.close)
        return client

    def follow(self, *users, **options):
        follow = wasession.Follow(users, path=self.stage.socket, **options)
        self.addCleanup(follow.close)
        return follow

    def until(self, follow, fits):
        """Reads on to the first item that fits."""
        seen = []
        while True:
            item = follow.next(PATIENCE)
            seen.append(item)
            if fits(item):
                return item

    def event(self, follow, user, kind):
        """Waits for an event."""

        def fits(item):
            return isinstance(item, wasession.Happened) and (item.event.user, item.event.kind) == (
                user,
                kind,
            )

        return self.until(follow, fits).event

    def ends_until_state(self, follow):
        """Reads on to the next state. Returns who ended before it, and how that was told."""
        ends = []
        while True:
            item = follow.next(PATIENCE)
            if isinstance(item, wasession.State):
                return ends
            entry = wasession.ended(item)
            if entry is not None:
                ends.append((entry.user, type(item).__name__))

    def pair(self, client, user, number):
        """Brings a session up until it is online. Returns the JID of its device."""
        with client.follow([user]) as follow:
            client.connect(user)
            qr = self.event(follow, user, "qr").status.qr
            device = scan(qr.code, number)
            self.until(
                follow,
                lambda item: user in follow.sessions and follow.sessions[user].phase == "online",
            )
        return device

    def assertFails(self, code, what, *arguments, **options):
        with self.assertRaises(wasession.Failure) as caught:
            what(*arguments, **options)
        self.assertEqual(caught.exception.code, code)
        self.assertTrue(str(caught.exception))
        return caught.exception


class Lines:
    """What a process prints, line by line."""

    def __init__(self, stream):
        self._lines = queue.Queue()
        self._thread = threading.Thread(target=self._read, args=(stream,))
        self._thread.start()

    def _read(self, stream):
        for line in stream:
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    def until(self, beginning):
        """Reads on to the line that begins so, and returns the rest of it."""
        seen = []
        while True:
            line = self._lines.get(timeout=PATIENCE)
            if line is None:
                raise AssertionError(f"no line begins with {beginning!r}: {seen}")
            if line.startswith(beginning):
                return line[len(beginning) :]
            seen.append(line)

    def join(self):
        self._thread.join(PATIENCE)
