"""The client for asyncio."""

from __future__ import annotations

import asyncio
import socket as sockets
from types import TracebackType
from typing import Any, Dict, List, Optional, Sequence, Type, Union

from . import _commands, _wire, types
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


#: What a follower says after its end.
CLOSED = "this follower is closed"


async def _knock(path: str) -> sockets.socket:
    """Connects. A daemon that is there, but whose queue others have filled, is tried again."""
    stream = sockets.socket(sockets.AF_UNIX)
    stream.setblocking(False)
    try:
        while True:
            try:
                stream.connect(path)
                return stream
            except BlockingIOError:
                await asyncio.sleep(_wire.QUEUE_IS_FULL)
    except BaseException:
        stream.close()
        raise


class _Stream:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        # In Python 3.9 only one at a time may wait for room.
        self._waiting_for_room = asyncio.Lock()
        self._buffer = _wire.Buffer()
        self.server = ""

    @classmethod
    async def open(cls, path: str, name: str, timeout: float) -> _Stream:
        """Connects, with the preface."""
        try:
            return await asyncio.wait_for(cls._open(path, name), timeout)
        except asyncio.TimeoutError:
            raise RequestTimeout(timeout) from None

    @classmethod
    async def _open(cls, path: str, name: str) -> _Stream:
        try:
            stream = cls(*await asyncio.open_unix_connection(sock=await _knock(path)))
        except OSError as error:
            raise NoDaemon(path, error) from error
        try:
            await stream.send(_wire.hello(name))
            stream.server = _wire.check_welcome(await stream.receive(None))
        except BaseException:
            stream.close()
            raise
        return stream

    async def send(self, frame: bytes) -> None:
        try:
            self._writer.write(frame)
            async with self._waiting_for_room:
                await self._writer.drain()
        except OSError:
            # The daemon is gone: reading finds its last words and the end.
            pass

    async def receive(self, timeout: Optional[float]) -> bytes:
        if timeout is None:
            return await self._receive()
        try:
            return await asyncio.wait_for(self._receive(), timeout)
        except asyncio.TimeoutError:
            raise RequestTimeout(timeout) from None

    async def _receive(self) -> bytes:
        while True:
            body = self._buffer.next()
            if body is not None:
                return body
            try:
                data = await self._reader.read(65536)
            except OSError:
                data = b""
            if not data:
                raise ConnectionClosed()
            self._buffer.feed(data)

    def close(self) -> None:
        # At once: a daemon that hangs would never take in what is not sent yet.
        self._writer.transport.abort()

    async def wait_closed(self) -> None:
        """Waits until nothing of it is left."""
        try:
            await self._writer.wait_closed()
        except OSError:
            pass


class Client:
    """A connection to the daemon. Requests may be made at once; a slow one holds up no other.

    ``async with Client() as client:`` connects and closes; so do :meth:`open` and :meth:`close`. It does
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
        self._stream: Optional[_Stream] = None
        #: What the daemon calls itself: ``wasessiond/<version>``.
        self.server = ""
        self._number = 0
        self._pending: Dict[int, "asyncio.Future[Any]"] = {}
        self._end: Optional[Exception] = None
        self._reader: Optional["asyncio.Task[None]"] = None

    async def open(self) -> Client:
        """Connects."""
        if self._stream is not None:
            raise RuntimeError("a client is opened once")
        self._stream = await _Stream.open(self.path, self._name, self._connect_timeout)
        self.server = self._stream.server
        self._reader = asyncio.create_task(self._read(self._stream))
        return self

    # ---- the commands -------------------------------------------------------------------------------

    async def ping(self) -> None:
        """Is the daemon there?"""
        await _commands.ping(self)

    async def info(self) -> Info:
        """About the daemon."""
        return await _commands.info(self)

    async def reload(self) -> Reloaded:
        """Lets the daemon read its configuration again. Admins only."""
        return await _commands.reload(self)

    async def rotate_key(self) -> RotatedKey:
        """Makes another key the master key, which wraps the keys of all sessions. Admins only."""
        return await _commands.rotate_key(self)

    async def connect(
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
        return await _commands.connect(self, user, phone, expect, proxy)

    async def disconnect(self, user: str) -> Union[Status, LogoutReport]:
        """Closes a session and keeps its credentials. A session that was still pairing has nothing to
        keep: it is removed, and this returns how."""
        return await _commands.disconnect(self, user)

    async def force_logout(self, user: str) -> LogoutReport:
        """Unlinks the device at WhatsApp if it can be reached, and removes everything of the session. It
        is gone when this returns."""
        return await _commands.force_logout(self, user)

    async def status(self, user: str) -> Status:
        """One session."""
        return await _commands.status(self, user)

    async def list(self) -> List[Status]:
        """Every session the caller may see, by user, without secrets. A follower's ``State`` has all of
        one moment; this is read page by page."""
        return await _commands.list_all(self)

    async def history(
        self, user: Optional[str] = None, limit: Optional[int] = None
    ) -> List[HistoryEntry]:
        """Sessions that ended, newest first; 100 where no limit is given."""
        return await _commands.history(self, user, limit)

    async def passkey_challenge(self, user: str) -> PasskeyChallenge:
        """WhatsApp's challenge, where the status says that it wants a passkey. It is a secret."""
        return await _commands.passkey_challenge(self, user)

    async def passkey_assert(self, user: str, assertion: str) -> Status:
        """Hands in the answer of a passkey: a ``PublicKeyCredential`` in JSON. The code to compare
        follows in the status."""
        return await _commands.passkey_assert(self, user, assertion)

    async def passkey_confirm(self, user: str) -> Status:
        """Says that the code in the status is the same on the phone."""
        return await _commands.passkey_confirm(self, user)

    async def groups(self, user: str) -> List[Group]:
        """The groups of the account, asked from WhatsApp."""
        return await _commands.groups(self, user)

    async def targets(
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
        return await _commands.targets(self, user, change)

    async def proxy(
        self, user: str, *, set: Optional[str] = None, none: bool = False, clear: bool = False
    ) -> SessionProxy:
        """Shows or changes the proxy through which a session reaches WhatsApp, and returns it as it is
        then, without user and password. ``set`` is a URL; ``none`` goes without a proxy; ``clear`` takes
        what the configuration says."""
        change = _commands.proxy_edit(set, none, clear)
        return await _commands.proxy(self, user, change)

    async def follow(self, users: Sequence[str] = (), since: Optional[Since] = None) -> Follow:
        """Follows these users, or, when none is named, everyone the caller may see, now and later;
        returns when the whole state is here. It has a connection of its own."""
        follow = Follow(
            users,
            since,
            path=self.path,
            name=self._name,
            connect_timeout=self._connect_timeout,
            request_timeout=self._request_timeout,
        )
        return await follow.begin()

    # ---- the connection -----------------------------------------------------------------------------

    async def ask(self, command: Any) -> Any:
        """Sends a command, and returns the answer as it travels."""
        if self._stream is None:
            raise RuntimeError("the client is not open: use `async with`, or `await client.open()`")
        if self._end is not None:
            # It is told again and again: without where it was told before.
            raise self._end.with_traceback(None)
        self._number += 1
        number = self._number
        frame = _wire.request(number, command)
        future: "asyncio.Future[Any]" = asyncio.get_running_loop().create_future()
        self._pending[number] = future
        try:
            return await asyncio.wait_for(self._exchange(frame, future), self._request_timeout)
        except asyncio.TimeoutError:
            raise RequestTimeout(self._request_timeout) from None
        finally:
            self._pending.pop(number, None)

    async def _exchange(self, frame: bytes, future: "asyncio.Future[Any]") -> Any:
        assert self._stream is not None
        await self._stream.send(frame)
        return await future

    async def _read(self, stream: _Stream) -> None:
        farewell: Optional[ConnectionClosed] = None
        try:
            while True:
                key, content = _wire.message(await stream.receive(None))
                if key == "reply":
                    self._reply(content)
                elif key == "closing":
                    farewell = ConnectionClosed(types.read_failure(content))
        except ConnectionClosed as error:
            self._finish(farewell or error)
        except Exception as error:  # A fault of this package too: nobody must wait for ever.
            self._finish(error)

    def _reply(self, content: Any) -> None:
        number, good, what = _wire.result(content)
        failure = None if good else types.read_failure(what)
        if not 0 < number <= self._number:
            raise ProtocolError(f"a reply to request {number}, which was never sent")
        future = self._pending.pop(number, None)
        # None, or done: its request was given up.
        if future is None or future.done():
            return
        if failure is None:
            future.set_result(what)
        else:
            future.set_exception(failure)

    def _finish(self, error: Exception) -> None:
        self._end = self._end or error
        if self._stream is not None:
            self._stream.close()
        pending, self._pending = self._pending, {}
        for future in pending.values():
            if not future.done():
                future.set_exception(error)

    async def close(self) -> None:
        """Closes the connection. Requests that wait learn that it is closed."""
        self._finish(ConnectionClosed(message="this client is closed"))
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)
        if self._stream is not None:
            await self._stream.wait_closed()

    async def __aenter__(self) -> Client:
        return await self.open()

    async def __aexit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        await self.close()


class Follow:
    """The state of some sessions and everything that happens to them, over restarts of the daemon.

    Iterate over it with ``async for``: the first item is a ``State``. It connects again as often as it
    must, and finds in the history what it could not be told meanwhile: the end of a session is never lost,
    and never told twice. It works in a task of its own until it is closed.
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
        self._follower = Follower(self, users, since, request_timeout)
        self._current: Optional[CurrentState] = None
        self._items: Optional["asyncio.Queue[Union[Item, KnownEnd, Exception]]"] = None
        self._worker: Optional["asyncio.Task[None]"] = None
        self._closed = False

    async def begin(self) -> Follow:
        """Connects; returns when the whole state is here."""
        if self._worker is not None:
            raise RuntimeError("a follower begins once")
        self._items = asyncio.Queue(QUEUE)
        try:
            self._current = CurrentState(await self._follower.begin())
        except BaseException:
            self._follower.close()
            raise
        self._worker = asyncio.create_task(self._work())
        return self

    @property
    def sessions(self) -> Dict[str, Status]:
        """The sessions after the last item, by user."""
        return self._begun.sessions

    @property
    def position(self) -> Since:
        """What to give as ``since`` to go on from here in another run of the program. When the first
        ``State`` then says ``gap``, look into the history: this cannot know what that run knew."""
        return self._begun.position

    @property
    def _begun(self) -> CurrentState:
        if self._current is None:
            raise RuntimeError("the follower has not begun: use `async with`, or `await begin()`")
        return self._current

    async def next(self) -> Item:
        """Waits for what comes next; nothing is lost when it is cancelled. Raises ``ConnectionClosed``
        after :meth:`close`; what else it raises, trying again cannot help: the daemon refuses, or speaks
        another version."""
        current, items = self._begun, self._items
        assert items is not None
        while True:
            if self._closed:
                raise ConnectionClosed(message=CLOSED)
            item = await items.get()
            if isinstance(item, Exception):
                # For whoever else waits, and for the next call.
                items.put_nowait(ConnectionClosed(message=CLOSED))
                raise item
            if current.take(item):
                assert not isinstance(item, KnownEnd)
                return item

    def __aiter__(self) -> Follow:
        return self

    async def __anext__(self) -> Item:
        try:
            return await self.next()
        except ConnectionClosed:
            if self._closed:
                raise StopAsyncIteration from None
            raise

    async def close(self) -> None:
        """Ends it. Whoever waits for an item waits no more."""
        self._closed = True
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.gather(self._worker, return_exceptions=True)
        self._follower.close()
        if self._items is not None:
            while not self._items.empty():
                self._items.get_nowait()
            self._items.put_nowait(ConnectionClosed(message=CLOSED))

    async def __aenter__(self) -> Follow:
        return self if self._worker is not None else await self.begin()

    async def __aexit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        await self.close()

    # ---- what the follower stands on ----------------------------------------------------------------

    async def open(self) -> _Stream:
        return await _Stream.open(self._path, self._name, self._connect_timeout)

    async def deliver(self, item: Union[Item, KnownEnd, Exception]) -> None:
        assert self._items is not None
        await self._items.put(item)

    async def pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def _work(self) -> None:
        try:
            await self._follower.run()
        except Exception as error:  # A fault of this package: the reader must not wait for ever.
            await self.deliver(error)
        finally:
            self._follower.close()
