"""The commands, once for both clients: written as coroutines over one ``ask``.

The plain client runs them with :func:`drive`: its ``ask`` blocks instead of waiting, so they never pause.
"""

from __future__ import annotations

from typing import Any, Coroutine, List, Optional, Protocol, Sequence, Tuple, TypeVar, Union

from . import types
from .errors import ProtocolError
from .types import (
    Group,
    HistoryEntry,
    Info,
    LogoutReport,
    PasskeyChallenge,
    Reloaded,
    RotatedKey,
    SessionProxy,
    Status,
)

#: The most ended sessions the daemon tells on one page, and how many where nobody says how many.
MAX_HISTORY = 1000
DEFAULT_HISTORY = 100

_T = TypeVar("_T")


def drive(coroutine: Coroutine[Any, Any, _T]) -> _T:
    """Runs a coroutine that never pauses."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]
    coroutine.close()
    raise RuntimeError("a plain client must block instead of waiting")


class Asking(Protocol):
    """Whoever can ask the daemon."""

    async def ask(self, command: Any) -> Any:
        """Sends a command, and returns the answer as it travels."""


def take(answer: Any, name: str) -> Any:
    """What belongs to an answer that must be this one."""
    if isinstance(answer, dict) and name in answer:
        return answer[name]
    came = next(iter(answer), None) if isinstance(answer, dict) else answer
    raise ProtocolError(f"an answer that is not {name!r} but {came!r}: the daemon may be newer")


async def ping(to: Asking) -> None:
    if await to.ask("ping") != "pong":
        raise ProtocolError("an answer that is not 'pong'")


async def info(to: Asking) -> Info:
    return types.read(Info, take(await to.ask("info"), "info"))


async def reload(to: Asking) -> Reloaded:
    return types.read(Reloaded, take(await to.ask("reload"), "reloaded"))


async def rotate_key(to: Asking) -> RotatedKey:
    return types.read(RotatedKey, take(await to.ask("rotate_key"), "rotated_key"))


async def connect(
    to: Asking, user: str, phone: Optional[str], expect: Optional[str], proxy: Optional[str]
) -> Status:
    asked = {"user": user, "phone": phone, "expect": expect, "proxy": proxy}
    answer = await to.ask({"connect": asked})
    return types.read(Status, take(answer, "status"))


async def disconnect(to: Asking, user: str) -> Union[Status, LogoutReport]:
    answer = await to.ask({"disconnect": {"user": user}})
    if isinstance(answer, dict) and "logged_out" in answer:
        return types.read(LogoutReport, answer["logged_out"])
    return types.read(Status, take(answer, "status"))


async def force_logout(to: Asking, user: str) -> LogoutReport:
    answer = await to.ask({"force_logout": {"user": user}})
    return types.read(LogoutReport, take(answer, "logged_out"))


async def status(to: Asking, user: str) -> Status:
    answer = await to.ask({"status": {"user": user}})
    return types.read(Status, take(answer, "status"))


async def list_all(to: Asking) -> List[Status]:
    sessions: List[Status] = []
    after: Optional[str] = None
    while True:
        page = take(await to.ask({"list": {"after": after}}), "sessions")
        some = types.read_list(Status, take(page, "sessions"))
        sessions += some
        after = take(page, "next")
        if after is None:
            return sessions
        if not some:
            raise ProtocolError("a list without an end")


async def history_page(
    to: Asking, user: Optional[str], limit: int, before: Optional[str]
) -> Tuple[List[HistoryEntry], Optional[str]]:
    command = {"history": {"user": user, "limit": limit, "before": before}}
    page = take(await to.ask(command), "history")
    entries, older = types.read_list(HistoryEntry, take(page, "entries")), take(page, "next")
    if older is not None and not entries:
        raise ProtocolError("a history without an end")
    return entries, older


async def history(
    to: Asking, user: Optional[str], limit: Optional[int]
) -> List[HistoryEntry]:
    wanted = DEFAULT_HISTORY if limit is None else limit
    entries: List[HistoryEntry] = []
    before: Optional[str] = None
    while True:
        left = wanted - len(entries)
        some, before = await history_page(to, user, left, before)
        entries += some[:left]
        if before is None or len(entries) >= wanted:
            return entries


async def passkey_challenge(to: Asking, user: str) -> PasskeyChallenge:
    answer = await to.ask({"passkey": {"user": user, "action": "challenge"}})
    return types.read(PasskeyChallenge, take(answer, "passkey"))


async def passkey_assert(to: Asking, user: str, assertion: str) -> Status:
    answer = await to.ask({"passkey": {"user": user, "action": {"assert": assertion}}})
    return types.read(Status, take(answer, "status"))


async def passkey_confirm(to: Asking, user: str) -> Status:
    answer = await to.ask({"passkey": {"user": user, "action": "confirm"}})
    return types.read(Status, take(answer, "status"))


async def groups(to: Asking, user: str) -> List[Group]:
    answer = await to.ask({"groups": {"user": user}})
    return types.read_list(Group, take(answer, "groups"))


async def targets(to: Asking, user: str, edit: Any) -> List[str]:
    answer = await to.ask({"targets": {"user": user, "edit": edit}})
    return types.read_list(str, take(answer, "targets"))


async def proxy(to: Asking, user: str, edit: Any) -> SessionProxy:
    answer = await to.ask({"proxy": {"user": user, "edit": edit}})
    return types.read(SessionProxy, take(answer, "proxy"))


def proxy_edit(replace: Optional[str], none: bool, clear: bool) -> Any:
    """The change of the proxy that these arguments ask for."""
    edits: List[Any] = []
    if replace is not None:
        edits.append({"set": replace})
    if none:
        edits.append("none")
    if clear:
        edits.append("clear")
    if len(edits) > 1:
        raise ValueError("one change at a time: set, none or clear")
    return edits[0] if edits else "show"


def edit(
    replace: Optional[Sequence[str]],
    add: Optional[Sequence[str]],
    remove: Optional[Sequence[str]],
    clear: bool,
) -> Any:
    """The change of target groups that these arguments ask for."""
    edits: List[Any] = []
    for name, jids in (("set", replace), ("add", add), ("remove", remove)):
        if isinstance(jids, str):
            raise TypeError(f"{name}: a list of JIDs is expected, not one string")
        if jids is not None:
            edits.append({name: list(jids)})
    if clear:
        edits.append("clear")
    if len(edits) > 1:
        raise ValueError("one change at a time: set, add, remove or clear")
    return edits[0] if edits else "show"
