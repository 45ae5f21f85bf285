"""Lets Ctrl-C end the command ``rnncore`` quietly while its modules are still being loaded.

Python imports this package, and with it NumPy, before any function of the command runs. Where
another program imports the package, nothing changes.
"""

from __future__ import annotations

import os
import sys
from types import TracebackType

__all__ = ["STATUS"]

#: Exit status after Ctrl-C: 128 + SIGINT, as shells report it.
STATUS = 130


def _is_the_command() -> bool:
    """Whether Python was started with the script ``rnncore`` or with ``-m rnncore``."""
    started = sys.orig_argv[-len(sys.argv) :][:1]  # what stands before the arguments
    return [os.path.basename(name) for name in started] == ["rnncore"]


def _told(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        raise SystemExit(STATUS)
    sys.__excepthook__(kind, error, traceback)


if _is_the_command():
    sys.excepthook = _told
