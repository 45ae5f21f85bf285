"""Writing a file so that a kill at any moment leaves the old content or the new."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from rnncore import _temporary
from rnncore._check import describe


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a binary file that takes the place of `path` when the block ends without an error.

    Until then it has a temporary name in the same directory. It is flushed to the disk before it is
    renamed. After an error it is removed and `path` is as before. Temporary files that killed
    processes have left there are removed first.

    Raises
    ------
    TypeError
        If `path` is no path.
    OSError
        If the file cannot be written, or `path` is a directory, a device or write-protected.
    """
    target = _target(path)
    with _errors_naming(path):
        permissions = _permissions(target)
        _temporary.remove_abandoned(target.parent)
        descriptor, temporary = _temporary.create(target.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                if permissions is not None and hasattr(os, "fchmod"):
                    os.fchmod(descriptor, permissions)
                yield file
                file.flush()
                os.fsync(descriptor)
                # before it is closed: that gives up the lock, without which it counts as abandoned
                os.replace(temporary, target)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
    _flush_directory(target.parent)


def require_writable(path: str | os.PathLike[str]) -> None:
    """Raise the error of `replacing` now, before long work; `path` is neither made nor changed."""
    target = _target(path)
    with _errors_naming(path):
        _permissions(target)
        with tempfile.TemporaryFile(dir=target.parent):
            pass


def require_new(path: str | os.PathLike[str], remedy: str) -> None:
    """Raise FileExistsError if there is a file; `remedy` says how it may be replaced."""
    if _target(path).exists():
        raise FileExistsError(errno.EEXIST, f"File exists; {remedy}", str(path))


@contextlib.contextmanager
def _errors_naming(path: str | os.PathLike[str]) -> Iterator[None]:
    """Let errors of the system name `path` as the caller wrote it, not a temporary file or none."""
    try:
        yield
    except OSError as error:
        if error.errno is None:  # not of the system
            raise
        raise OSError(error.errno, error.strerror, str(path)) from None


def as_path(path: str | os.PathLike[str]) -> Path:
    """Return `path` as Path; TypeError if it is none, ValueError if no file can have that name."""
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"path: expected a file name, got {describe(path)}")
    if path == "" or "\0" in str(path):
        raise ValueError(f"path: expected a file name, got {describe(path)}")
    return Path(path)


def require_regular(path: Path) -> os.stat_result:
    """Return the status of a file that exists; OSError if it is no regular file."""
    status = path.stat()
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "expected a regular file", str(path))
    return status


def _target(path: str | os.PathLike[str]) -> Path:
    """Return the file to be written, which is not a symbolic link: that stays one."""
    target = Path(os.path.realpath(as_path(path)))
    if os.path.basename(path) in ("", "."):  # names a directory, though there may be none yet
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    return target


def _permissions(target: Path) -> int | None:
    """Return those of the file to be replaced, None if there is none."""
    try:
        status = require_regular(target)
    except FileNotFoundError:
        return None
    if not os.access(target, os.W_OK):  # renaming over it would not ask
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(target))
    return stat.S_IMODE(status.st_mode)


def _flush_directory(directory: Path) -> None:
    """Make the renaming last; some file systems do not let directories be flushed."""
    with contextlib.suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
