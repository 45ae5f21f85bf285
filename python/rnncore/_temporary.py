"""Temporary files beside the file that they replace, and those that killed processes have left.

A process holds a lock on its temporary file, and the system releases the lock however the process
ends. A file whose lock is free therefore belongs to nobody. Process numbers would not do: another
process may have the same number by now. Some network file systems show a lock on one machine only,
so the file's name says where it was made, and other machines leave it alone.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import platform
import re
import secrets
import zlib
from pathlib import Path
from typing import Any

__all__ = ["create", "remove_abandoned"]

# Elsewhere nothing is locked, and nothing is removed.
fcntl: Any = importlib.import_module("fcntl") if os.name == "posix" else None

_NAME = re.compile(r"\.rnncore-([0-9a-f]{8})-([0-9a-f]{8})-[0-9a-f]{16}\.tmp")


def create(directory: Path) -> tuple[int, Path]:
    """Make a new locked file; return its descriptor, open for writing, and its path."""
    # as bytes where line feeds would be replaced
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    host, boot = _here()
    while True:
        path = directory / f".rnncore-{host}-{boot}-{secrets.token_hex(8)}.tmp"
        descriptor = os.open(path, flags, 0o666)  # as open() does, less the user's umask
        if _is_held(descriptor):
            return descriptor, path
        os.close(descriptor)


def remove_abandoned(directory: Path) -> None:
    """Remove the files that processes of this machine have left; errors are ignored."""
    if fcntl is None:
        return
    here = set(_here())
    with contextlib.suppress(OSError), os.scandir(directory) as entries:
        for entry in entries:
            name = _NAME.fullmatch(entry.name)
            if name and here.intersection(name.groups()):
                with contextlib.suppress(OSError):
                    _remove_unless_locked(entry.path)


def _is_held(descriptor: int) -> bool:
    """Lock a new file; False if another process took it for an abandoned one before it was."""
    try:
        return _lock(descriptor) and os.fstat(descriptor).st_nlink > 0
    except OSError:  # there are no locks here, so that nobody removes it either
        return True


def _remove_unless_locked(path: str) -> None:
    # for writing, as locks on network file systems want it
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    descriptor = os.open(path, flags)
    try:
        if _lock(descriptor):
            os.unlink(path)  # no name is used twice: this is the file that was opened, or none
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    """Lock a file; False if another process has, OSError where that is not known."""
    if fcntl is None:
        raise OSError
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _here() -> tuple[str, str]:
    """Two names of this machine, of which one stays: after a restart, or in another container."""
    host = platform.node()
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
    except OSError:  # not Linux
        boot = host
    return _tag(host), _tag(boot)


def _tag(name: str) -> str:
    return f"{zlib.crc32(name.encode('utf-8', 'surrogateescape')):08x}"
