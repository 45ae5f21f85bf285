"""What a training run shows while it works: a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BufferedIOBase, RawIOBase
from types import TracebackType
from typing import Protocol, Self, TextIO

from rnncore._check import describe
from rnncore._keywords import strict_keywords

__all__ = [
    "PlainProgress",
    "Progress",
    "Report",
    "RichProgress",
    "bits",
    "choose_progress",
    "perplexity",
]

_BAR_WIDTH = 60


@dataclass(frozen=True)
class Report:
    """State of a training run at one moment; losses are means per token, in nats.

    Parameters
    ----------
    epoch : int
        Counted from 1.
    epochs : int
        How many there are, unless the time is over before.
    fraction : float
        Share of the run that is done.
    loss : float
        Training loss since the report before.
    validation_loss : float or None
        The latest one.
    tokens_per_second : float
        Speed of training since the report before.
    seconds_left : float
        Time that the rest of the run takes.
    validated : bool
        Whether the validation loss was computed just now.
    skipped : int
        Updates so far that changed nothing: their gradients were not finite.
    by_time : bool
        Whether `fraction` is that of a time limit, which ends the run before its last epoch.
    measures : mapping of str to float
        Other measures by name: of the latest validation, or of the training loss where there was
        none.

    Examples
    --------
    >>> import rnncore as rc
    >>> class Losses(list):
    ...     interval = 0.0
    ...     def show(self, report):
    ...         self.append(report.loss)
    ...     def __enter__(self):
    ...         return self
    ...     def __exit__(self, *error):
    ...         pass
    >>> model = rc.LanguageModel(vocab_size=3, hidden_size=4, num_layers=1, rng=0)
    >>> config = rc.training.TrainingConfig(epochs=1, batch_size=2)
    >>> losses = Losses()
    >>> result = model.fit([0, 1, 2] * 50, config, progress=losses)
    >>> len(losses)  # after each of three updates, and after the validation
    4
    """

    epoch: int
    epochs: int
    fraction: float
    loss: float
    validation_loss: float | None
    tokens_per_second: float
    seconds_left: float
    validated: bool = False
    skipped: int = 0
    by_time: bool = False
    measures: Mapping[str, float] = field(default_factory=dict)


class Progress(Protocol):
    """Somewhere to show reports; used as a context manager around the run."""

    #: Seconds between two reports, apart from those after a validation.
    interval: float

    def __enter__(self) -> Self:
        """Begin to show."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leave the display as a normal line of text."""

    def show(self, report: Report) -> None:
        """Show one report."""


@strict_keywords()
class PlainProgress:
    """One line of text a report.

    Parameters
    ----------
    stream : text stream
        Where the lines go.
    unit : str
        What a token is: "character".
    interval : float
        Seconds between lines.

    Examples
    --------
    >>> import sys
    >>> import rnncore as rc
    >>> model = rc.LanguageModel(vocab_size=3, hidden_size=4, num_layers=1, rng=0)
    >>> config = rc.training.TrainingConfig(epochs=1, batch_size=2)
    >>> progress = rc.progress.PlainProgress(sys.stdout)
    >>> model.fit([0, 1, 2] * 50, config, progress=progress).interrupted  # doctest: +ELLIPSIS
    epoch 1/1  100%  training loss ...
    False
    """

    def __init__(self, stream: TextIO, unit: str = "token", interval: float = 10.0) -> None:
        _require_text_stream(stream)
        self.interval = interval
        self._stream = stream
        self._unit = unit

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stream.flush()

    def show(self, report: Report) -> None:
        """Write one line."""
        print(report_line(report, self._unit), file=self._stream, flush=True)


@strict_keywords()
class RichProgress:
    """A bar and the present report, always the last lines of a terminal; validations stay above.

    Parameters
    ----------
    stream : text stream
        The terminal.
    unit : str
        What a token is: "character".

    Raises
    ------
    ImportError
        When rich is not installed.
    """

    interval = 0.5

    def __init__(self, stream: TextIO, unit: str = "token") -> None:
        _require_text_stream(stream)
        from rich.console import Console
        from rich.live import Live

        self._live = Live(
            console=Console(file=stream, highlight=False), auto_refresh=False, transient=True
        )
        self._unit = unit

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._live.stop()

    def show(self, report: Report) -> None:
        """Redraw the last lines; after a validation, leave a line above them too."""
        from rich.text import Text

        text = Text(report_line(report, self._unit))
        if report.validated:
            self._live.console.print(text)
        done = round(report.fraction * _BAR_WIDTH)
        bar = Text.assemble(("━" * done, "green"), ("━" * (_BAR_WIDTH - done), "dim"), "\n")
        self._live.update(bar + text, refresh=True)


def _require_text_stream(stream: object) -> None:
    if not hasattr(stream, "write") or isinstance(stream, RawIOBase | BufferedIOBase):
        raise TypeError(
            f"stream: expected a text stream, such as sys.stdout, got {describe(stream)}"
        )


def choose_progress(stream: TextIO, unit: str = "token") -> Progress:
    """Return a `RichProgress` when ``stream`` is a terminal and rich is installed, else plain."""
    if stream.isatty():
        try:
            return RichProgress(stream, unit)
        except ImportError:
            pass
    return PlainProgress(stream, unit)


def report_line(report: Report, unit: str = "token") -> str:
    """Return the line of one report; other measures stand in brackets behind their loss."""
    training, validation = report.loss, report.validation_loss
    losses = [f"training loss {training:.3f}"]
    told = measures_line(report.measures)
    if validation is None:
        losses[0] += told
    elif report.validated:
        losses.append(f"validation loss {validation:.3f}{told}")
    else:
        losses.append(f"last validation loss {validation:.3f}")
    parts = [
        f"epoch {report.epoch}" if report.by_time else f"epoch {report.epoch}/{report.epochs}",
        f"{report.fraction:4.0%}{' of the time' if report.by_time else ''}",
        *losses,
        f"{report.tokens_per_second:,.0f} {unit}s/s",
        f"{clock(report.seconds_left)} left",
    ]
    if report.skipped:
        parts.append(f"{skipped_updates(report.skipped)} so far")
    return "  ".join(parts)


def measures_line(measures: Mapping[str, float]) -> str:
    """Return " (accuracy 0.875, 2.164 bits/character)": what stands behind a loss."""
    told = (
        f"{value:.3f} {name}" if "/" in name else f"{name} {value:.3f}"
        for name, value in measures.items()
    )
    return f" ({', '.join(told)})" if measures else ""


def skipped_updates(count: int) -> str:
    """Return how many updates changed nothing, and why."""
    return f"{count:,} update{'s' * (count != 1)} skipped (gradients not finite)"


def clock(seconds: float) -> str:
    """Return 75 as "1:15" and 3675 as "1:01:15"."""
    minutes, rest = divmod(math.ceil(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def perplexity(loss: float) -> float:
    """Return exp(loss), infinity where that overflows."""
    return math.exp(loss) if loss < 700 else math.inf


def bits(loss: float) -> float:
    """Return a loss in nats as bits, loss / ln 2."""
    return loss / math.log(2)
