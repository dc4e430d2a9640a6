"""A client for wasessiond, the daemon that owns WhatsApp linked-device sessions.

:class:`Client` blocks; :mod:`wasession.aio` has the same for asyncio. Only the standard library is needed.
"""

from ._follow import Happened, Item, Lost, Missed, Replayed, State, ended
from ._wire import socket_path
from .client import Client, Follow
from .errors import (
    ConnectionClosed,
    Failure,
    NoDaemon,
    ProtocolError,
    Refused,
    RequestTimeout,
    VersionMismatch,
    WasessionError,
)
from .types import (
    Account,
    Connecting,
    Count,
    Event,
    Group,
    HistoryEntry,
    Info,
    LeftKey,
    LogoutReport,
    MasterKey,
    PairCode,
    Passkey,
    PasskeyChallenge,
    Qr,
    Reloaded,
    Removed,
    RotatedKey,
    SessionProxy,
    Since,
    Status,
)

__version__ = "0.1.0"

__all__ = [
    "Account",
    "Client",
    "Connecting",
    "ConnectionClosed",
    "Count",
    "Event",
    "Failure",
    "Follow",
    "Group",
    "Happened",
    "HistoryEntry",
    "Info",
    "Item",
    "LeftKey",
    "LogoutReport",
    "Lost",
    "MasterKey",
    "Missed",
    "NoDaemon",
    "PairCode",
    "Passkey",
    "PasskeyChallenge",
    "ProtocolError",
    "Qr",
    "Refused",
    "Reloaded",
    "Removed",
    "Replayed",
    "RequestTimeout",
    "RotatedKey",
    "SessionProxy",
    "Since",
    "State",
    "Status",
    "VersionMismatch",
    "WasessionError",
    "ended",
    "socket_path",
]
