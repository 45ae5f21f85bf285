"""The command ``rnncore``: train a model, use it, look into its file, and measure.

Results go to standard output. An error is one line on standard error and exit status 2; Ctrl-C is
exit status 130.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from io import StringIO
from typing import Any

import rnncore
from rnncore import _help, _interrupt
from rnncore._check import printable
from rnncore.cli import (
    bench,
    caption,
    classify,
    info,
    plot,
    quantize,
    rescore,
    sample,
    score,
    tasks,
    transcribe,
    translate,
)
from rnncore.cli.parser import Parser

__all__ = ["main"]

_COMMANDS: dict[str, Any] = {
    "train": tasks,
    "plot": plot,
    "sample": sample,
    "score": score,
    "rescore": rescore,
    "classify": classify,
    "translate": translate,
    "caption": caption,
    "transcribe": transcribe,
    "quantize": quantize,
    "info": info,
    "bench": bench,
}
#: Characters of an error, whose quotations have shorter limits of their own.
_LONGEST_ERROR = 1000
_help.show_public_names()
# Besides the PanicException of safetensors, which has no public name and is no Exception.
_TOLD = (ArithmeticError, ImportError, MemoryError, OSError, TypeError, ValueError)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    arguments : sequence of str, optional
        What follows ``rnncore`` on the command line; None takes it from there.

    Returns
    -------
    int
        Exit status: 0, 2 after an error, 130 after Ctrl-C, 1 when nobody reads the output.
    """
    _open_streams()
    try:
        _interrupt.listen()
        given = _parser().parse_args(arguments)
        status: int = _COMMANDS[given.command].run(given)
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        return _interrupt.STATUS
    except BrokenPipeError:
        # The reader, say `head`, has gone. Python would complain when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except BaseException as error:
        if not isinstance(error, _TOLD) and type(error).__name__ != "PanicException":
            raise
        print(f"rnncore: error: {_one_line(error)}", file=sys.stderr)
        return 2


def _parser() -> Parser:
    parser = Parser(prog="rnncore", description="Recurrent neural networks on ordinary CPUs.")
    parser.add_argument("--version", action="version", version=f"rnncore {rnncore.__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, command in _COMMANDS.items():
        command.add_options(commands.add_parser(name, help=command.HELP))
    return parser


def _open_streams() -> None:
    """Let a stream that the caller has closed, which Python shows as None, be an empty one."""
    if sys.stdin is None:
        sys.stdin = StringIO()
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115


def _one_line(error: BaseException) -> str:
    """What went wrong, in one line that a terminal shows and does not obey."""
    return printable(_reason(error), _LONGEST_ERROR) or type(error).__name__


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror is not None:
        # reading and writing a stream is the only thing that happens without a file's name
        return f"{error.filename or 'standard input or output'}: {error.strerror}"
    if isinstance(error, UnicodeEncodeError):
        character = error.object[error.start]
        return (
            f"standard output: {error.encoding} has no {character!a}; the environment "
            "variable PYTHONUTF8=1 makes it UTF-8"
        )
    return str(error)
