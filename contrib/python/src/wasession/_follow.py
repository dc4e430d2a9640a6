"""Following what happens to sessions over restarts of the daemon: once, for both clients.

A follower has a connection of its own, which nobody else uses. A reader that is slow slows down only that
one: the daemon then says that events were lost, and nothing grows.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Deque, Dict, List, Optional, Protocol, Sequence, Set, Tuple, Union

from . import _commands, _wire, types
from .errors import (
    ConnectionClosed,
    Failure,
    NoDaemon,
    ProtocolError,
    Refused,
    RequestTimeout,
    WasessionError,
)
from .types import Event, HistoryEntry, Since, Status

#: Before the first try to connect again; it doubles with each, up to the longest.
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0
#: How many items wait for a reader.
QUEUE = 64
#: How many names of ends are kept before the history is read only to be able to forget them.
MANY = 4096
#: The messages that this client knows. What else a newer daemon says is passed over.
KNOWN = ("reply", "replayed", "present", "in_sync", "event", "lagged", "closing")


@dataclass(frozen=True)
class State:
    """The sessions as they are: at the beginning, after each reconnect, and after a lag."""

    sessions: Dict[str, Status]
    epoch: int
    seq: int
    #: Events before it are lost. Which sessions ended has been told, except before the beginning.
    gap: bool

    @property
    def position(self) -> Since:
        """What to give as ``since`` to go on from here."""
        return Since(self.epoch, self.seq)


@dataclass(frozen=True)
class Happened:
    """Something happened just now."""

    event: Event


@dataclass(frozen=True)
class Replayed:
    """Something that happened while there was no connection. The state that follows includes it: for
    a log, and for ends."""

    event: Event


@dataclass(frozen=True)
class Missed:
    """A session that ended while this follower was not connected, or fell behind: from the history."""

    entry: HistoryEntry


@dataclass(frozen=True)
class Lost:
    """The connection ended. It is made again until it succeeds; a ``State`` says when."""

    error: WasessionError


@dataclass(frozen=True)
class KnownEnd:
    """An event of an end that the reader knows already: only the state changes, and the reader does
    not see it."""

    event: Event


Item = Union[State, Happened, Replayed, Missed, Lost]


def ended(item: Item) -> Optional[HistoryEntry]:
    """The session that ended, if this item tells of one. Each end is told by one item."""
    if isinstance(item, (Happened, Replayed)):
        return item.event.ended
    return item.entry if isinstance(item, Missed) else None


class Stream(Protocol):
    """A connection that one follower uses."""

    async def send(self, frame: bytes) -> None:
        """Sends a frame."""

    async def receive(self, timeout: Optional[float]) -> bytes:
        """Waits for a frame. Raises ``ConnectionClosed``, ``RequestTimeout``."""

    def close(self) -> None:
        """Ends it."""


class Driver(Protocol):
    """What a follower needs from the plain or the asyncio client."""

    async def open(self) -> Stream:
        """Connects, with the preface."""

    async def deliver(self, item: Union[Item, KnownEnd, Exception]) -> None:
        """Hands an item to the reader, when there is room."""

    async def pause(self, seconds: float) -> None:
        """Waits."""


_Name = Tuple[str, datetime]


class Follower:
    """Works until it is stopped, or until trying again cannot help."""

    def __init__(
        self, driver: Driver, users: Sequence[str], since: Optional[Since], timeout: float
    ) -> None:
        if isinstance(users, str):
            raise TypeError("a list of users is expected, not one string")
        self._driver = driver
        self._users = list(users)
        self._position = since
        self._timeout = timeout
        self._stream: Optional[Stream] = None
        self._number = 0
        # What came before the reply that was waited for.
        self._early: Deque[Tuple[str, Any]] = deque()
        # The newest entry of the history when it was last read (it and all older ones are known), and
        # the ends that were told since. Ends of different users may be announced in another order.
        self._newest: Optional[_Name] = None
        self._told: Set[_Name] = set()
        self._history_is_due = False
        self._begun: Optional[State] = None
        self._replayed: List[Event] = []

    async def begin(self) -> State:
        """Connects and begins; what goes wrong now is the caller's."""
        self._stream = await self._driver.open()
        # Before the watch begins: what ends in between is told in any case.
        page = await self._page(1, None)
        self._newest = next((_name(e) for e in page[0]), None)
        await self._watch()
        assert self._begun is not None
        return self._begun

    async def run(self) -> None:
        """Tells everything, for ever. Call ``begin`` first."""
        while True:
            try:
                await self._deliver_all()
            except WasessionError as error:
                if not _is_temporary(error):
                    return await self._driver.deliver(error)
                self.close()
                await self._driver.deliver(Lost(error))
            try:
                await self._connect_again()
            except WasessionError as error:
                return await self._driver.deliver(error)

    def close(self) -> None:
        """Ends the connection."""
        if self._stream is not None:
            self._stream.close()

    async def _connect_again(self) -> None:
        pause = FIRST_PAUSE
        while True:
            await self._driver.pause(pause)
            try:
                self._stream = await self._driver.open()
                self._early.clear()
                await self._watch()
            except WasessionError as error:
                self.close()
                if not _is_temporary(error):
                    raise
                pause = min(pause * 2, LONGEST_PAUSE)
            else:
                self._history_is_due |= self._state.gap
                return

    @property
    def _state(self) -> State:
        assert self._begun is not None
        return self._begun

    async def _watch(self) -> None:
        since = self._position
        where = None if since is None else {"epoch": since.epoch, "seq": since.seq}
        answer = await self.ask({"watch": {"users": self._users, "since": where}})
        watching = _commands.take(answer, "watching")
        self._replayed = []
        epoch, gap = (_commands.take(watching, name) for name in ("epoch", "gap"))
        self._begun = await self._arrive(epoch, gap)

    async def _arrive(self, epoch: int, gap: bool) -> State:
        """Reads a state to its end."""
        sessions: Dict[str, Status] = {}
        while True:
            key, content = await self._next(self._timeout)
            if key == "present":
                status = types.read(Status, content)
                sessions[status.user] = status
            elif key == "replayed":
                self._replayed.append(types.read_event(content))
            elif key == "in_sync":
                return State(sessions, epoch, _commands.take(content, "seq"), gap)
            elif key == "lagged":
                sessions.clear()
                gap = True
            elif key in KNOWN:
                raise ProtocolError(f"{key!r} inside of a state")

    async def _deliver_all(self) -> None:
        deliver, state = self._driver.deliver, self._state
        await self._deliver_missed_ends()
        for event in self._replayed:
            known = event.ended is not None and not self._note(event.ended)
            await deliver(KnownEnd(event) if known else Replayed(event))
        await deliver(state)
        self._position = state.position
        while True:
            key, content = await self._next(None)
            if key == "event":
                event = types.read_event(content)
                known = event.ended is not None and not self._note(event.ended)
                await deliver(KnownEnd(event) if known else Happened(event))
                self._position = Since(state.epoch, event.seq)
            elif key == "lagged":
                self._history_is_due = True
                now = await self._arrive(state.epoch, True)
                await self._deliver_missed_ends()
                await deliver(now)
                self._position = now.position
            elif key in KNOWN:
                raise ProtocolError(f"{key!r} in a watch")
            if len(self._told) > MANY:
                self._history_is_due = True
                await self._deliver_missed_ends()

    def _note(self, entry: HistoryEntry) -> bool:
        name = _name(entry)
        if name in self._told:
            return False
        self._told.add(name)
        return True

    async def _deliver_missed_ends(self) -> None:
        """Delivers the ends that no event told."""
        if self._history_is_due:
            for entry in await self._missed():
                await self._driver.deliver(Missed(entry))
            self._history_is_due = False

    async def _missed(self) -> List[HistoryEntry]:
        """The ends that nobody told so far, oldest first."""
        newest: Optional[_Name] = None
        missed: List[HistoryEntry] = []
        before: Optional[str] = None
        while True:
            entries, before = await self._page(_commands.MAX_HISTORY, before)
            for entry in entries:
                name = _name(entry)
                if name == self._newest:
                    before = None
                    break
                newest = newest or name
                if name not in self._told and (not self._users or entry.user in self._users):
                    missed.append(entry)
            if before is None:
                break
        self._newest = newest or self._newest
        if len(self._told) > MANY:
            # An event told them, so they are not newer than the newest entry.
            self._told.clear()
        # Their events may still be on their way.
        self._told.update(map(_name, missed))
        return missed[::-1]

    async def _page(
        self, limit: int, before: Optional[str]
    ) -> Tuple[List[HistoryEntry], Optional[str]]:
        user = self._users[0] if len(self._users) == 1 else None
        return await _commands.history_page(self, user, limit, before)

    async def ask(self, command: Any) -> Any:
        """Asks on the connection of the watch. What the watch says meanwhile is kept."""
        assert self._stream is not None
        self._number += 1
        await self._stream.send(_wire.request(self._number, command))
        while True:
            key, content = await self._receive(self._timeout)
            if key != "reply":
                self._early.append((key, content))
                continue
            number, good, what = _wire.result(content)
            if number != self._number:
                raise ProtocolError(f"a reply to request {number}, which was never sent")
            if not good:
                raise types.read_failure(what)
            return what

    async def _next(self, timeout: Optional[float]) -> Tuple[str, Any]:
        if self._early:
            return self._early.popleft()
        return await self._receive(timeout)

    async def _receive(self, timeout: Optional[float]) -> Tuple[str, Any]:
        assert self._stream is not None
        key, content = _wire.message(await self._stream.receive(timeout))
        if key == "closing":
            raise ConnectionClosed(types.read_failure(content))
        return key, content


def _name(entry: HistoryEntry) -> _Name:
    return entry.user, entry.at


def _is_temporary(error: WasessionError) -> bool:
    """Whether it makes sense to try again: the daemon is gone, stopping, or has too much to do."""
    if isinstance(error, ConnectionClosed):
        return error.failure is None or error.failure.code != "not_allowed"
    if isinstance(error, Failure):
        return error.code in ("stopping", "quota_exceeded", "deadline_exceeded", "internal")
    return isinstance(error, (NoDaemon, Refused, RequestTimeout))


class CurrentState:
    """The reader's side: the sessions after the last item."""

    def __init__(self, state: State) -> None:
        self.take(state)

    def take(self, item: Union[Item, KnownEnd]) -> bool:
        """Takes in an item; false: the reader need not see it."""
        if isinstance(item, State):
            self.sessions = dict(item.sessions)
            self.position = item.position
        elif isinstance(item, (Happened, KnownEnd)):
            event = item.event
            # A quiet one may be from before the state.
            if event.seq > self.position.seq:
                self.position = Since(self.position.epoch, event.seq)
                if event.status is None:
                    self.sessions.pop(event.user, None)
                else:
                    self.sessions[event.user] = event.status
        return not isinstance(item, KnownEnd)
