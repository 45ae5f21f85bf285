"""Lets Ctrl-C end the command ``rnncore`` quietly, from the moment when its modules are loaded.

Python imports this package, and with it NumPy, before any function of the command runs. A
KeyboardInterrupt in that time is not safe: Python drops those that are raised in a callback of its
import system (about one in a hundred), and NumPy turns others into an ImportError. So Ctrl-C ends
the process at once until `listen`. Where another program imports the package, nothing changes.
"""

from __future__ import annotations

# The module signal itself takes milliseconds to load, in which an interrupt would show a traceback.
import _signal as signal  # type: ignore[import-not-found]
import _thread
import os
import sys
from types import FrameType, TracebackType

__all__ = ["STATUS", "listen"]

#: Exit status after Ctrl-C: 128 + SIGINT, as shells report it.
STATUS = 130

_MAIN_THREAD = _thread.get_ident()  # where the command is loaded


def listen() -> None:
    """Let Ctrl-C raise KeyboardInterrupt from now on: everything is loaded."""
    if signal.getsignal(signal.SIGINT) is _leave:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _is_the_command() -> bool:
    """Whether Python was started with the script ``rnncore`` or with ``-m rnncore``."""
    started = sys.orig_argv[-len(sys.argv) :][:1]  # what stands before the arguments
    return [os.path.basename(name) for name in started] == ["rnncore"]


def _leave(_: int, __: FrameType | None) -> None:
    os._exit(STATUS)  # an exception could be dropped; nothing has been printed or written yet


def _told(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        raise SystemExit(STATUS)
    sys.__excepthook__(kind, error, traceback)


def _dropped(unraisable: sys.UnraisableHookArgs) -> None:
    """Raise a KeyboardInterrupt again that came in a destructor or callback, where none can be."""
    if issubclass(unraisable.exc_type, KeyboardInterrupt):
        # from another thread, a moment later: here it would be dropped too
        _thread.start_new_thread(signal.pthread_kill, (_MAIN_THREAD, signal.SIGINT))
    else:
        sys.__unraisablehook__(unraisable)


if _is_the_command():
    sys.excepthook = _told
    sys.unraisablehook = _dropped
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)
