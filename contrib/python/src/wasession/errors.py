"""What can go wrong between a program and the daemon."""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

if TYPE_CHECKING:
    from .types import HistoryEntry

__all__ = [
    "ConnectionClosed",
    "Failure",
    "NoDaemon",
    "ProtocolError",
    "Refused",
    "RequestTimeout",
    "VersionMismatch",
    "WasessionError",
]


class WasessionError(Exception):
    """Every error of this package."""


class NoDaemon(WasessionError, ConnectionError):
    """No connection to the socket: no daemon there, or not for this user."""

    def __init__(self, path: str, cause: OSError) -> None:
        if isinstance(cause, FileNotFoundError):
            why = (
                f"no daemon: there is no socket {path}. Start wasessiond, or name its socket in "
                "$WASESSIOND_SOCKET"
            )
        elif isinstance(cause, ConnectionRefusedError):
            why = (
                f"no daemon: nobody listens on {path}. If a wasessiond made this socket, it is gone: "
                "start it again"
            )
        elif isinstance(cause, PermissionError):
            why = (
                f"{path}: permission denied. The socket is for root and the members of its group "
                "(wasession, where nothing else is configured)"
            )
        else:
            why = f"no daemon at {path}: {cause}"
        super().__init__(why)
        self.path = path


class ProtocolError(WasessionError):
    """What came is not this protocol, or does not follow it."""


class VersionMismatch(ProtocolError):
    """The daemon speaks another version of the protocol."""


class Refused(WasessionError):
    """The daemon did not take the connection; the message is its own."""


class ConnectionClosed(WasessionError, ConnectionError):
    """The connection ended. ``failure`` is what the daemon said about it, if anything: where its code is
    ``stopping``, what was asked was not begun, and can be asked of the next daemon."""

    def __init__(self, failure: Optional[Failure] = None, message: Optional[str] = None) -> None:
        why = str(failure) if failure else "it has stopped or is starting again"
        super().__init__(message or f"the daemon closed the connection: {why}")
        self.failure = failure


class RequestTimeout(WasessionError, TimeoutError):
    """No answer in time. What was asked may still be done: ask again for the state."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the daemon did not answer within {seconds:g} s")


class Failure(WasessionError):
    """The daemon answered that it cannot be done. Branch on ``code``; the message is for people.

    Codes (a newer daemon may say others): ``invalid_request``, ``invalid_user``, ``invalid_argument``, ``not_found``,
    ``not_allowed``, ``quota_exceeded``, ``rate_limited``, ``not_online``, ``deadline_exceeded``,
    ``purge_failed``, ``store_corrupt``, ``store_failed``, ``refused``, ``config_invalid``,
    ``stopping``, ``internal``, ``unknown_command``, ``too_large``,
    ``not_now``.
    """

    def __init__(
        self,
        code: str,
        message: str,
        retry_after: Optional[int] = None,
        last_logout: Optional[HistoryEntry] = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        #: When it makes sense to ask again, in seconds from now.
        self.retry_after = retry_after
        #: With ``not_found``: how the user's last session ended, if the history knows.
        self.last_logout = last_logout
