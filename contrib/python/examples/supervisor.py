#!/usr/bin/env python3
"""Keeps one user's session up: shows its QR code, reacts to its logout, survives restarts of the daemon.

    PYTHONPATH=src python3 examples/supervisor.py alice
"""

import shutil
import subprocess
import sys

import wasession


def say(text: str) -> None:
    print(text, flush=True)


def connect(user: str) -> None:
    """Brings the session up. While the daemon is away there is nothing to do: the follower says when it is
    back, and then the session is looked at anew."""
    try:
        with wasession.Client() as client:
            client.connect(user)
    except wasession.Failure as failure:
        if failure.code != "stopping":
            raise
    except (wasession.NoDaemon, wasession.ConnectionClosed, wasession.RequestTimeout):
        pass


def show(user: str, status: wasession.Status) -> None:
    """Tells what the session does, and what helps."""
    if status.qr is not None:
        # On a terminal wactl draws it. Anything that draws QR codes may be given the text instead.
        if sys.stdout.isatty() and shutil.which("wactl"):
            subprocess.run(["wactl", "qr", user], check=False)
        else:
            say(f"qr: {status.qr.code}")
    elif status.phase == "online" and status.account is not None:
        say(f"online: {status.account.phone}")
    else:
        say(f"{status.phase}: {status.next_action}")


def supervise(user: str) -> None:
    with wasession.Follow([user]) as follow:
        for item in follow:
            ended = wasession.ended(item)
            if ended is not None:
                say(f"ended: {ended.cause}")
            if isinstance(item, wasession.Lost):
                say(f"waiting: {item.error}")
            elif isinstance(item, wasession.State):
                # At the start, and whenever the daemon was away: as it is now.
                if user in follow.sessions:
                    show(user, follow.sessions[user])
                else:
                    connect(user)
            elif isinstance(item, wasession.Happened):
                if item.event.kind == "logged_out":
                    # Nothing of the session is left: a fresh QR code, at once.
                    connect(user)
                elif item.event.kind == "pairing_expired":
                    sys.exit("nobody scanned the QR code: run this again when somebody is there")
                elif item.event.status is not None:
                    show(user, item.event.status)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: supervisor.py USER")
    try:
        supervise(sys.argv[1])
    except wasession.WasessionError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        pass
