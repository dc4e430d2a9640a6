"""The plain client: blocking calls, from as many threads as you like."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections import deque
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from types import TracebackType
from typing import Any, Deque, Dict, Iterator, List, Optional, Sequence, Type, Union

from . import _commands, _wire, types
from ._commands import drive
from ._follow import QUEUE, Follower, Item, CurrentState, KnownEnd
from .errors import ConnectionClosed, NoDaemon, ProtocolError, RequestTimeout
from .types import (
    Group,
    HistoryEntry,
    Info,
    LogoutReport,
    PasskeyChallenge,
    Reloaded,
    RotatedKey,
    SessionProxy,
    Since,
    Status,
)

__all__ = ["Client", "Follow"]


class _Stream:
    """One connection. Its coroutines never pause: they block.

    Whoever reads it closes it, and nobody else: a number that another thread still uses may belong to
    another file by then.
    """

    def __init__(self, path: str, name: str, timeout: float) -> None:
        self._path, self._name, self._timeout = path, name, timeout
        self._socket = socket.socket(socket.AF_UNIX)
        self._over = threading.Event()
        self._buffer = _wire.Buffer()
        self.server = ""

    def open(self) -> None:
        """Connects, with the preface."""
        try:
            self._knock()
            if self._over.is_set():
                raise ConnectionClosed()
            self._socket.settimeout(self._timeout)
            drive(self.send(_wire.hello(self._name)))
            self.server = _wire.check_welcome(drive(self.receive(self._timeout)))
            self._socket.settimeout(None)
            # Of its own, because another thread reads with no limit: a daemon that takes in nothing.
            limit = struct.pack("ll", int(_wire.REQUEST_TIMEOUT), 0)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
        except BaseException:
            self.close()
            raise

    def _knock(self) -> None:
        """Connects. A daemon that is there, but whose queue others have filled, is tried again."""
        self._socket.setblocking(False)
        deadline = time.monotonic() + self._timeout
        while True:
            try:
                return self._socket.connect(self._path)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise RequestTimeout(self._timeout) from None
            except OSError as error:
                raise NoDaemon(self._path, error) from error
            if self._over.wait(_wire.QUEUE_IS_FULL):
                raise ConnectionClosed()

    async def send(self, frame: bytes) -> None:
        try:
            self._socket.sendall(frame)
        except BlockingIOError:
            # A part is written, so nothing more can be.
            self.wake()
        except OSError:
            # The daemon is gone: reading finds its last words and the end.
            pass

    async def receive(self, timeout: Optional[float]) -> bytes:
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            body = self._buffer.next()
            if body is not None:
                return body
            try:
                if deadline is not None:
                    left = deadline - time.monotonic()
                    if left <= 0:
                        raise socket.timeout()
                    self._socket.settimeout(left)
                else:
                    self._socket.settimeout(None)
                data = self._socket.recv(65536)
            except socket.timeout:
                raise RequestTimeout(timeout or 0.0) from None
            except OSError:
                data = b""
            if not data:
                raise ConnectionClosed()
            self._buffer.feed(data)

    def wake(self) -> None:
        """Ends it for whoever reads or writes. From any thread."""
        self._over.set()
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def close(self) -> None:
        self.wake()
        self._socket.close()


class Client:
    """A connection to the daemon. Every method may be called from several threads at once; a slow
    request holds up no other.

    It connects when it is made, to ``socket`` or where ``wactl`` would: see :func:`socket_path`. It does
    not connect again by itself; a :class:`Follow` does.
    """

    def __init__(
        self,
        socket: Optional[str] = None,
        *,
        name: str = _wire.NAME,
        connect_timeout: float = _wire.CONNECT_TIMEOUT,
        request_timeout: float = _wire.REQUEST_TIMEOUT,
    ) -> None:
        self.path = _wire.socket_path(socket)
        self._name, self._connect_timeout = name, connect_timeout
        self._request_timeout = request_timeout
        self._stream = _Stream(self.path, name, connect_timeout)
        self._stream.open()
        #: What the daemon calls itself: ``wasessiond/<version>``.
        self.server = self._stream.server
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._number = 0
        self._pending: Dict[int, "Future[Any]"] = {}
        self._end: Optional[Exception] = None
        self._reader = threading.Thread(target=self._read, name="wasession-reader", daemon=True)
        self._reader.start()

    # ---- the commands -------------------------------------------------------------------------------

    def ping(self) -> None:
        """Is the daemon there?"""
        drive(_commands.ping(self))

    def info(self) -> Info:
        """About the daemon."""
        return drive(_commands.info(self))

    def reload(self) -> Reloaded:
        """Lets the daemon read its configuration again. Admins only."""
        return drive(_commands.reload(self))

    def rotate_key(self) -> RotatedKey:
        """Makes another key the master key, which wraps the keys of all sessions. Admins only."""
        return drive(_commands.rotate_key(self))

    def connect(
        self,
        user: str,
        phone: Optional[str] = None,
        *,
        expect: Optional[str] = None,
        proxy: Optional[str] = None,
    ) -> Status:
        """Brings a session up; with a phone number it pairs by code instead of by QR code. Where another
        account is linked than the one to ``expect``, by its phone number, it is unlinked again. ``proxy``
        is the proxy of a session that begins now, from its first connection on: a URL, or ``"none"``.
        Returns as soon as the session runs: follow it to see it come up."""
        return drive(_commands.connect(self, user, phone, expect, proxy))

    def disconnect(self, user: str) -> Union[Status, LogoutReport]:
        """Closes a session and keeps its credentials. A session that was still pairing has nothing to
        keep: it is removed, and this returns how."""
        return drive(_commands.disconnect(self, user))

    def force_logout(self, user: str) -> LogoutReport:
        """Unlinks the device at WhatsApp if it can be reached, and removes everything of the session. It
        is gone when this returns."""
        return drive(_commands.force_logout(self, user))

    def status(self, user: str) -> Status:
        """One session."""
        return drive(_commands.status(self, user))

    def list(self) -> List[Status]:
        """Every session the caller may see, by user, without secrets. A follower's ``State`` has all of
        one moment; this is read page by page."""
        return drive(_commands.list_all(self))

    def history(
        self, user: Optional[str] = None, limit: Optional[int] = None
    ) -> List[HistoryEntry]:
        """Sessions that ended, newest first; 100 where no limit is given."""
        return drive(_commands.history(self, user, limit))

    def passkey_challenge(self, user: str) -> PasskeyChallenge:
        """WhatsApp's challenge, where the status says that it wants a passkey. It is a secret."""
        return drive(_commands.passkey_challenge(self, user))

    def passkey_assert(self, user: str, assertion: str) -> Status:
        """Hands in the answer of a passkey: a ``PublicKeyCredential`` in JSON. The code to compare
        follows in the status."""
        return drive(_commands.passkey_assert(self, user, assertion))

    def passkey_confirm(self, user: str) -> Status:
        """Says that the code in the status is the same on the phone."""
        return drive(_commands.passkey_confirm(self, user))

    def groups(self, user: str) -> List[Group]:
        """The groups of the account, asked from WhatsApp."""
        return drive(_commands.groups(self, user))

    def targets(
        self,
        user: str,
        *,
        set: Optional[Sequence[str]] = None,
        add: Optional[Sequence[str]] = None,
        remove: Optional[Sequence[str]] = None,
        clear: bool = False,
    ) -> List[str]:
        """Shows or changes the target groups, and returns them as they are then."""
        change = _commands.edit(set, add, remove, clear)
        return drive(_commands.targets(self, user, change))

    def proxy(
        self, user: str, *, set: Optional[str] = None, none: bool = False, clear: bool = False
    ) -> SessionProxy:
        """Shows or changes the proxy through which a session reaches WhatsApp, and returns it as it is
        then, without user and password. ``set`` is a URL; ``none`` goes without a proxy; ``clear`` takes
        what the configuration says."""
        change = _commands.proxy_edit(set, none, clear)
        return drive(_commands.proxy(self, user, change))

    def follow(self, users: Sequence[str] = (), since: Optional[Since] = None) -> Follow:
        """Follows these users, or, when none is named, everyone the caller may see, now and later;
        returns when the whole state is here. It has a connection of its own."""
        return Follow(
            users,
            since,
            path=self.path,
            name=self._name,
            connect_timeout=self._connect_timeout,
            request_timeout=self._request_timeout,
        )

    # ---- the connection -----------------------------------------------------------------------------

    async def ask(self, command: Any) -> Any:
        """Sends a command, and returns the answer as it travels. It blocks, and never pauses."""
        future: "Future[Any]" = Future()
        with self._lock:
            if self._end is not None:
                # It is told again and again: without where it was told before.
                raise self._end.with_traceback(None)
            self._number += 1
            number = self._number
            self._pending[number] = future
        try:
            frame = _wire.request(number, command)
            with self._writing:
                await self._stream.send(frame)
            return future.result(self._request_timeout)
        except FutureTimeout:
            raise RequestTimeout(self._request_timeout) from None
        finally:
            with self._lock:
                self._pending.pop(number, None)

    def _read(self) -> None:
        farewell: Optional[ConnectionClosed] = None
        try:
            while True:
                key, content = _wire.message(drive(self._stream.receive(None)))
                if key == "reply":
                    self._reply(content)
                elif key == "closing":
                    farewell = ConnectionClosed(types.read_failure(content))
        except ConnectionClosed as error:
            self._finish(farewell or error)
        except Exception as error:  # A fault of this package too: nobody must wait for ever.
            self._finish(error)
        finally:
            with self._writing:
                self._stream.close()

    def _reply(self, content: Any) -> None:
        number, good, what = _wire.result(content)
        failure = None if good else types.read_failure(what)
        with self._lock:
            if not 0 < number <= self._number:
                raise ProtocolError(f"a reply to request {number}, which was never sent")
            # None: its request was given up.
            future = self._pending.pop(number, None)
        if future is None:
            return
        if failure is None:
            future.set_result(what)
        else:
            future.set_exception(failure)

    def _finish(self, error: Exception) -> None:
        with self._lock:
            self._end = self._end or error
            pending, self._pending = self._pending, {}
        self._stream.wake()
        for future in pending.values():
            future.set_exception(error)

    def close(self) -> None:
        """Closes the connection. Requests that wait learn that it is closed."""
        self._finish(ConnectionClosed(message="this client is closed"))
        self._reader.join()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.close()


class _Unread(Exception):
    """Nobody reads any more."""


class Follow:
    """The state of some sessions and everything that happens to them, over restarts of the daemon.

    Iterate over it: the first item is a ``State``. It connects again as often as it must, and finds in
    the history what it could not be told meanwhile: the end of a session is never lost, and never told
    twice. It works in a thread of its own until it is closed.
    """

    def __init__(
        self,
        users: Sequence[str] = (),
        since: Optional[Since] = None,
        *,
        path: Optional[str] = None,
        name: str = _wire.NAME,
        connect_timeout: float = _wire.CONNECT_TIMEOUT,
        request_timeout: float = _wire.REQUEST_TIMEOUT,
    ) -> None:
        self._path, self._name = _wire.socket_path(path), name
        self._connect_timeout = connect_timeout
        self._changed = threading.Condition()
        self._items: Deque[Union[Item, KnownEnd, Exception]] = deque()
        self._closed = False
        self._ended = False
        self._stream: Optional[_Stream] = None
        self._follower = Follower(self, users, since, request_timeout)
        try:
            self._current = CurrentState(drive(self._follower.begin()))
        except BaseException:
            self._follower.close()
            raise
        self._worker = threading.Thread(target=self._work, name="wasession-follow", daemon=True)
        self._worker.start()

    @property
    def sessions(self) -> Dict[str, Status]:
        """The sessions after the last item, by user."""
        return self._current.sessions

    @property
    def position(self) -> Since:
        """What to give as ``since`` to go on from here in another run of the program. When the first
        ``State`` then says ``gap``, look into the history: this cannot know what that run knew."""
        return self._current.position

    def next(self, timeout: Optional[float] = None) -> Item:
        """Waits for what comes next. Raises ``RequestTimeout`` when nothing comes in time, and nothing is
        lost by it; ``ConnectionClosed`` after :meth:`close`; what else it raises, trying again cannot
        help: the daemon refuses, or speaks another version."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            with self._changed:
                while not self._items and not self._closed and not self._ended:
                    left = None if deadline is None else deadline - time.monotonic()
                    if left is not None and left <= 0:
                        raise RequestTimeout(timeout or 0.0)
                    self._changed.wait(left)
                if self._closed or not self._items:
                    raise ConnectionClosed(message="this follower is closed")
                item = self._items.popleft()
                self._changed.notify_all()
            if isinstance(item, Exception):
                raise item
            if self._current.take(item):
                assert not isinstance(item, KnownEnd)
                return item

    def __iter__(self) -> Iterator[Item]:
        while True:
            try:
                item = self.next()
            except ConnectionClosed:
                if self._closed:
                    return
                raise
            yield item

    def close(self) -> None:
        """Ends it. Whoever waits for an item waits no more. May be called from any thread."""
        with self._changed:
            self._closed = True
            self._items.clear()
            stream = self._stream
            self._changed.notify_all()
        if stream is not None:
            stream.wake()
        if threading.current_thread() is not self._worker:
            self._worker.join()

    def __enter__(self) -> Follow:
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.close()

    # ---- what the follower stands on: these block, and never pause --------------------------------------

    async def open(self) -> _Stream:
        stream = _Stream(self._path, self._name, self._connect_timeout)
        with self._changed:
            if self._closed:
                stream.close()
                raise _Unread
            self._stream = stream
        stream.open()
        return stream

    async def deliver(self, item: Union[Item, KnownEnd, Exception]) -> None:
        with self._changed:
            while len(self._items) >= QUEUE and not self._closed:
                self._changed.wait()
            if self._closed:
                raise _Unread
            self._items.append(item)
            self._changed.notify_all()

    async def pause(self, seconds: float) -> None:
        with self._changed:
            if self._changed.wait_for(lambda: self._closed, seconds):
                raise _Unread

    def _work(self) -> None:
        try:
            drive(self._follower.run())
        except _Unread:
            pass
        except Exception as error:  # A fault of this package: the reader must not wait for ever.
            with self._changed:
                self._items.append(error)
        finally:
            self._follower.close()
            with self._changed:
                self._ended = True
                self._changed.notify_all()
