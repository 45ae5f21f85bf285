"""Parsing of options; those that are not given keep the defaults of the Python side."""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any, NoReturn

from rnncore._keywords import meant

__all__ = [
    "OptionGroup",
    "Parser",
    "add_weight_format",
    "dataclass_defaults",
    "defaults_of",
    "keywords",
]


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are exceptions, so that all errors look alike.

    Attributes
    ----------
    complete : function or None
        Is given the arguments before they are parsed, and adds the options that depend on them.
    shown : str or None
        Command whose ``--help`` errors name, where it is more than `prog`.
    """

    complete: Callable[[Sequence[str]], None] | None = None
    shown: str | None = None

    def error(self, message: str) -> NoReturn:
        """Raise ValueError instead of printing the usage and leaving the process."""
        raise ValueError(f"{message}; see {self.shown or self.prog} --help")

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[Any, list[str]]:
        """Parse for this command or a subcommand; an error names a similar option."""
        complete, self.complete = self.complete, None
        if complete is not None:
            complete(args or ())
        given, unknown = super().parse_known_args(args, namespace)
        flags = [flag for action in self._actions for flag in action.option_strings]
        names = {flag.lstrip("-").replace("-", "_"): flag for flag in flags}
        for text in unknown:
            option = text.partition("=")[0]
            ours = meant(option.lstrip("-").replace("-", "_"), list(names))
            if option.startswith("--") and ours is not None:
                self.error(f"unrecognized arguments: {option}; did you mean {names[ours]}?")
        if unknown and self._subparsers is None:  # a parser above would name its own help
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return given, unknown


def add_weight_format(parser: argparse.ArgumentParser) -> None:
    """Add the option ``--weight-format`` of the commands that run a model without training it."""
    parser.add_argument(
        "--weight-format",
        metavar="FORMAT",
        help="float32, bfloat16, int8 or int8_dynamic: fewer bits are faster and less exact "
        "(default: as the file says)",
    )


class OptionGroup:
    """Options that become keyword arguments of one function or class.

    Parameters
    ----------
    parser : argparse.ArgumentParser
        Parser of the command.
    title : str
        Headline of the options in the help text.
    defaults : mapping
        The function's own default of each keyword, where it has one, for the help text.
    """

    def __init__(
        self, parser: argparse.ArgumentParser, title: str, defaults: Mapping[str, Any]
    ) -> None:
        self._group = parser.add_argument_group(title)
        self._defaults = defaults
        self._title = title

    def add(self, flag: str, keyword: str, text: str, **parsing: Any) -> None:
        """Add one option; ``parsing`` is passed on to argparse."""
        default = self._defaults.get(keyword)
        shown_default = "" if default is None or "action" in parsing else f" (default: {default})"
        self._group.add_argument(
            flag,
            dest=f"{self._title}:{keyword}",
            default=argparse.SUPPRESS,
            help=(text + shown_default).replace("%", "%%"),
            **parsing,
        )


def keywords(given: argparse.Namespace, title: str) -> dict[str, Any]:
    """Return the keywords of the `OptionGroup` of that title that were given."""
    prefix = f"{title}:"
    return {
        name.removeprefix(prefix): value
        for name, value in vars(given).items()
        if name.startswith(prefix)
    }


def defaults_of(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the default of each parameter of a function or constructor that has one."""
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not p.empty}


def dataclass_defaults(kind: type) -> dict[str, Any]:
    """Return the default of each field of a dataclass."""
    return {field.name: field.default for field in fields(kind)}
