"""Frames, the preface, messages: what travels, without the travelling."""

from __future__ import annotations

import json
import os
import struct
from typing import Any, Iterator, Optional, Tuple

from .errors import ProtocolError, Refused, VersionMismatch

VERSION = 1
#: The largest frame either side may send.
MAX_FRAME = 1024 * 1024
SOCKET_VARIABLE = "WASESSIOND_SOCKET"
SYSTEM_SOCKET = "/run/wasessiond/control.sock"
CONNECT_TIMEOUT = 5.0
#: Longer than the daemon's own deadlines, so that it is the daemon who says what went wrong.
REQUEST_TIMEOUT = 60.0
#: Between two attempts to get into a queue that is full: nobody says when there is room.
QUEUE_IS_FULL = 0.01
NAME = "python-wasession/0.1.0"


def socket_path(given: Optional[str] = None) -> str:
    """The socket to connect to, as ``wactl`` finds it: the given one; else ``$WASESSIOND_SOCKET``;
    else that of the user's own daemon, where it exists; else the system's."""
    if given is not None:
        return os.fspath(given)
    named = os.environ.get(SOCKET_VARIABLE)
    if named:
        return named
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime:
        own = os.path.join(runtime, "wasessiond/control.sock")
        if os.path.exists(own):
            return own
    return SYSTEM_SOCKET


def frame(body: bytes) -> bytes:
    """A frame with this in it."""
    if len(body) > MAX_FRAME:
        raise ValueError(f"a message has at most {MAX_FRAME} bytes, and this one {len(body)}")
    return struct.pack(">I", len(body)) + body


def hello(name: str) -> bytes:
    """What a client says first."""
    # It is one line of at most 256 bytes; control characters would break the daemon's log.
    printable = "".join(c for c in name if c.isprintable())
    short = printable.encode()[:128].decode(errors="ignore")
    return frame(f"wasession/{VERSION} json {short}".encode())


def check_welcome(body: bytes) -> str:
    """Reads what the daemon says first, and returns what it calls itself."""
    text = body[:512].decode(errors="replace")
    head, _, rest = text.partition(" ")
    name, _, version = head.partition("/")
    if name != "wasession" or not version.isdigit():
        raise ProtocolError("this is not the control socket of a wasessiond")
    if int(version) != VERSION:
        raise VersionMismatch(
            f"the daemon speaks version {version} of the protocol, this client version {VERSION}: "
            "use a client and a daemon of the same release"
        )
    word, _, what = rest.partition(" ")
    if word == "ok":
        return what
    if word == "error":
        raise Refused(f"the daemon refused the connection: {what}")
    raise ProtocolError("this is not the control socket of a wasessiond")


def request(number: int, command: Any) -> bytes:
    """A request as a frame."""
    return frame(json.dumps({"id": number, "command": command}).encode())


def message(body: bytes) -> Tuple[str, Any]:
    """The name of a message, and what belongs to it: it is an object with one key, or a word."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"not a message: {error}") from error
    if isinstance(value, str):
        return value, None
    if not isinstance(value, dict) or len(value) != 1:
        raise ProtocolError("not a message: an object with one key is expected")
    ((key, content),) = value.items()
    return key, content


def result(reply: Any) -> Tuple[int, bool, Any]:
    """The number of a reply, whether it is good, and what it brings."""
    try:
        ((word, content),) = reply["result"].items()
        number = reply["id"]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ProtocolError("not a reply") from error
    if word not in ("Ok", "Err") or not isinstance(number, int):
        raise ProtocolError("not a reply")
    return number, word == "Ok", content


class Buffer:
    """What was read and is not yet a whole frame."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def feed(self, data: bytes) -> None:
        """Takes in what was read."""
        self._bytes += data

    def next(self) -> Optional[bytes]:
        """The next whole frame."""
        if len(self._bytes) < 4:
            return None
        (length,) = struct.unpack_from(">I", self._bytes)
        if length > MAX_FRAME:
            raise ProtocolError(f"a frame of {length} bytes: this is not a wasessiond")
        if len(self._bytes) < 4 + length:
            return None
        body = bytes(self._bytes[4 : 4 + length])
        del self._bytes[: 4 + length]
        return body

    def frames(self) -> Iterator[bytes]:
        """Every whole frame there is."""
        while True:
            body = self.next()
            if body is None:
                return
            yield body
