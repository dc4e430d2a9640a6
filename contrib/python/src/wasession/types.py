"""What the daemon tells: the types of the protocol, as frozen dataclasses.

Fields have the names they have on the socket. Phases, causes and the like are strings: a newer daemon
may say more of them, so have a branch for those that you do not know. Show a status by its
``next_action`` then, and an event by its ``kind``. Fields that a newer daemon adds are left out. Secrets (the text of a QR code, a pair code,
an appeal token) are not in the ``repr``, so that they do not end in a log.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any, Dict, List, Optional, Type, TypeVar, Union, get_type_hints

from .errors import Failure, ProtocolError

__all__ = [
    "Account",
    "Connecting",
    "Count",
    "Event",
    "Group",
    "HistoryEntry",
    "Info",
    "LeftKey",
    "LogoutReport",
    "MasterKey",
    "PairCode",
    "Passkey",
    "PasskeyChallenge",
    "Qr",
    "Reloaded",
    "Removed",
    "Restriction",
    "RotatedKey",
    "SessionProxy",
    "Since",
    "Status",
    "Warning",
]


@dataclass(frozen=True)
class Account:
    """The WhatsApp account a session is linked to."""

    jid: str
    #: In E.164 form, with the plus sign.
    phone: str
    name: Optional[str]


@dataclass(frozen=True)
class Connecting:
    """How far connecting got."""

    attempt: int
    #: ``transport``, ``handshake``, ``login``, ``sync``
    stage: str
    stage_since: datetime


@dataclass(frozen=True)
class Qr:
    """A QR code that can be scanned now."""

    #: The text to draw. ``None`` in ``list``.
    code: Optional[str] = field(repr=False)
    #: Which of the codes of this pairing it is, from 1.
    number: int
    remaining: int
    expires_at: datetime


@dataclass(frozen=True)
class PairCode:
    """A pair code that can be entered on the phone now."""

    #: ``None`` in ``list``.
    code: Optional[str] = field(repr=False)
    phone: str
    expires_at: datetime


@dataclass(frozen=True)
class Restriction:
    """What WhatsApp forbids an account for a time."""

    #: ``reachout_timelock``, ``new_chat_limit``
    kind: str
    since: datetime
    #: ``None``: WhatsApp did not say.
    until: Optional[datetime]
    #: WhatsApp's own word for it, and numbers where there are some.
    detail: Optional[str]


@dataclass(frozen=True)
class Warning:
    """What will become a failure if nobody does anything."""

    #: ``client_outdated``, ``client_expires``, ``phone_silent``, ``app_state_missing``,
    #: ``new_chat_limit_near``
    kind: str
    since: datetime
    #: By when something must be done, where that is known.
    due: Optional[datetime]
    text: str


@dataclass(frozen=True)
class Passkey:
    """A pairing for which WhatsApp wants a passkey of the account."""

    #: What it waits for: ``announced``, ``challenge``, ``checking``, ``confirmation``, ``linking``
    step: str
    #: Step ``confirmation``: the code that must be the same on the phone. ``None`` in ``list``.
    code: Optional[str] = field(repr=False)
    expires_at: datetime


@dataclass(frozen=True)
class PasskeyChallenge:
    """WhatsApp's challenge for a passkey."""

    #: WebAuthn's ``PublicKeyCredentialRequestOptions`` in JSON, as WhatsApp sent them.
    options: str = field(repr=False)
    expires_at: datetime


@dataclass(frozen=True)
class Status:
    """The state of one session."""

    user: str
    #: ``connecting``, ``awaiting_scan``, ``awaiting_code``, ``online``, ``backing_off``, ``held``,
    #: ``parked``, ``disconnected``, ``logging_out``, ``purge_failed``, ``store_corrupt``
    phase: str
    since: datetime
    #: One sentence that tells a person what to do now.
    next_action: str
    owner: int
    account: Optional[Account]
    connecting: Optional[Connecting]
    qr: Optional[Qr]
    pair_code: Optional[PairCode]
    retry_at: Optional[datetime]
    held_until: Optional[datetime]
    #: Why it is not online, where there is a reason.
    reason: Optional[str]
    error: Optional[str]
    targets: List[str]
    last_activity: Optional[datetime]
    #: Where WhatsApp locked the account: with it the owner can appeal. ``None`` in ``list``.
    appeal_token: Optional[str] = field(repr=False)
    #: What WhatsApp forbids the account for a time. The session stays online.
    restrictions: List[Restriction]
    warnings: List[Warning]
    #: WhatsApp wants a passkey for the pairing: ``reason`` is ``passkey_required``.
    passkey: Optional[Passkey]
    #: The proxy in force. ``None``: the session's record cannot be read, so nobody knows.
    proxy: Optional[SessionProxy]
    #: While it is not paired: the phone number of the account that is expected.
    expect: Optional[str]


@dataclass(frozen=True)
class Removed:
    """What a logout removed."""

    files: int
    bytes: int
    targets: int


@dataclass(frozen=True)
class HistoryEntry:
    """One ended session."""

    at: datetime
    user: str
    #: ``unlinked``, ``logged_out``, ``replaced``, ``account_locked``, ``invalidated``,
    #: ``force_logout``, ``pairing_expired``, ``passkey_required``, ``wrong_account``,
    #: ``pairing_abandoned``, ..
    cause: str
    account: Optional[Account]
    owner: int
    #: The uid that asked for it; ``None``: WhatsApp or the daemon itself.
    requested_by: Optional[int]
    #: ``confirmed``, ``refused``, ``unreachable``, ``not_linked``, ``not_asked``, ``unknown``
    unlink: str
    removed: Removed
    #: What WhatsApp said about it.
    text: Optional[str]
    appeal_token: Optional[str] = field(repr=False)
    #: What WhatsApp forbade the account when the session ended.
    restrictions: List[Restriction]
    #: When the device was linked; ``None``: never, or nobody knows.
    linked_at: Optional[datetime]


@dataclass(frozen=True)
class LogoutReport:
    """The answer to a force-logout: the session is gone, and this is how."""

    entry: HistoryEntry
    next_action: str


@dataclass(frozen=True)
class Group:
    """A WhatsApp group of an account."""

    jid: str
    subject: str
    size: int


@dataclass(frozen=True)
class Count:
    """How many of something."""

    name: str
    count: int


@dataclass(frozen=True)
class MasterKey:
    """About the master key, which wraps the keys of all sessions."""

    #: ``credential`` (of systemd) or ``file`` (in the state directory). ``None``: there is none that can be used.
    source: Optional[str]
    #: In hex. It says nothing about the key.
    id: Optional[str]
    #: Whether a rotation is not over: the key before it is needed, too.
    rotating: bool
    #: Why there is none that can be used.
    error: Optional[str]


@dataclass(frozen=True)
class LeftKey:
    """The key of a session that could not be wrapped anew."""

    user: str
    why: str


@dataclass(frozen=True)
class RotatedKey:
    """What a rotation of the master key did."""

    #: The id of the master key now, in hex.
    id: str
    #: Whether it is a new one. It is not where the rotation before could only be finished, or not even that.
    begun: bool
    #: How many keys of sessions were wrapped anew.
    wrapped: int
    #: The users whose keys could not be wrapped anew, and why: the first hundred.
    left: List[LeftKey]
    left_total: int
    #: Whether the rotation is over: the key before it is needed no more, and destroyed.
    finished: bool


@dataclass(frozen=True)
class Info:
    """What the daemon says of itself."""

    version: str
    pid: int
    started_at: datetime
    epoch: int
    state_directory: str
    config_file: Optional[str]
    simulator: bool
    summary: str
    phases: List[Count]
    logouts: List[Count]
    purge_failures: int
    #: How long a removal took: the middle one of the last thousand.
    purge_median_ms: Optional[int]
    purges: int
    purge_total_ms: int
    purge_longest_ms: Optional[int]
    #: What concerns the daemon and all its sessions.
    warnings: List[Warning]
    #: The proxy of all sessions that have none of their own, without user and password.
    proxy: Optional[str]
    #: For admins; ``None`` to others.
    master_key: Optional[MasterKey]


@dataclass(frozen=True)
class Reloaded:
    """What a reload of the configuration did."""

    changed: List[str]
    needs_restart: List[str]


@dataclass(frozen=True)
class SessionProxy:
    """The proxy through which a session reaches WhatsApp."""

    #: Who chose it: ``default`` (the configuration, for all sessions) or ``session``
    source: str
    #: Without user and password. ``None``: WhatsApp is reached without a proxy.
    url: Optional[str]
    #: Whether a user and a password go with it.
    authenticated: bool
    #: Why the proxy that was chosen for the session cannot be used: then it does not connect.
    error: Optional[str]


@dataclass(frozen=True)
class Since:
    """Where a follower left off: an event's number, and the run of the daemon it belongs to."""

    epoch: Optional[int]
    seq: int


@dataclass(frozen=True)
class Event:
    """Something that happened to one session."""

    seq: int
    at: datetime
    user: str
    #: ``connecting``, ``qr``, ``pair_code``, ``passkey``, ``paired``, ``online``, ``backing_off``, ``held``,
    #: ``parked``, ``disconnected``, ``logging_out``, ``logged_out``, ``pairing_expired``,
    #: ``purge_failed``, ``store_corrupt``, ``targets``, ``account_changed``,
    #: ``restrictions``, ``warnings``, ``updated``
    kind: str
    #: With ``logged_out`` and ``pairing_expired``: the session that ended.
    ended: Optional[HistoryEntry]
    #: The session after it; ``None``: there is none any more.
    status: Optional[Status]


#: The kinds of event that tell the end of a session. There will be no others.
ENDS = ("logged_out", "pairing_expired")

_T = TypeVar("_T")
_HINTS: Dict[type, Dict[str, Any]] = {}
_TIME = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z")


def time_of(text: str) -> datetime:
    """Reads a time. The nanoseconds of the daemon are cut to the microseconds of Python."""
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a time")
    date, clock, fraction = match.groups()
    seconds = datetime.fromisoformat(f"{date}T{clock}")
    micros = int((fraction or "").ljust(6, "0")[:6])
    return seconds.replace(tzinfo=timezone.utc) + timedelta(microseconds=micros)


def read(kind: Type[_T], value: Any) -> _T:
    """Makes a dataclass of what was read as JSON."""
    try:
        result: _T = _read(kind, value)
        return result
    except (KeyError, TypeError, ValueError) as error:
        what = f"not a {kind.__name__}: {type(error).__name__}: {error}"
        raise ProtocolError(what) from error


def _read(kind: Any, value: Any) -> Any:
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        if not isinstance(value, dict):
            raise TypeError(f"{kind.__name__} is an object")
        hints = _HINTS.get(kind)
        if hints is None:
            hints = _HINTS[kind] = get_type_hints(kind)
        return kind(**{name: _read(hint, _field(value, name, hint)) for name, hint in hints.items()})
    origin = getattr(kind, "__origin__", None)
    if origin is Union:
        return None if value is None else _read(kind.__args__[0], value)
    if origin is list:
        if not isinstance(value, list):
            raise TypeError("a list is expected")
        return [_read(kind.__args__[0], item) for item in value]
    if kind is datetime:
        return time_of(value)
    # bool is an int to Python, and to nobody else.
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise TypeError(f"{kind.__name__} is expected, and {type(value).__name__} came")
    return value


def _field(value: Dict[str, Any], name: str, hint: Any) -> Any:
    # An older daemon does not send what was added after it: that is optional, or a list.
    origin = getattr(hint, "__origin__", None)
    if origin is list:
        return value.get(name, [])
    return value.get(name) if origin is Union else value[name]


def read_list(kind: Type[_T], value: Any) -> List[_T]:
    """Makes a list of dataclasses."""
    if not isinstance(value, list):
        raise ProtocolError(f"not a list of {kind.__name__}")
    return [read(kind, item) for item in value]


def read_event(value: Any) -> Event:
    """Reads an event, whose kind is a word or an object with one."""
    if not isinstance(value, dict):
        raise ProtocolError("not an Event")
    kind, ended = value.get("kind"), None
    if isinstance(kind, dict) and len(kind) == 1:
        ((kind, ended),) = kind.items()
    if kind not in ENDS:
        # What belongs to a kind of a newer daemon is not an end.
        ended = None
    return read(Event, {**value, "kind": kind, "ended": ended})


def read_failure(value: Any) -> Failure:
    """Makes an exception of a failure."""
    try:
        last = value.get("last_logout")
        last = None if last is None else read(HistoryEntry, last)
        return Failure(value["code"], value["message"], value.get("retry_after"), last)
    except (AttributeError, KeyError, TypeError) as error:
        raise ProtocolError(f"not a Failure: {error}") from error
