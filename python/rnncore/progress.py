"""What a training run shows while it works: a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import math
from dataclasses import dataclass
from io import BufferedIOBase, RawIOBase
from types import TracebackType
from typing import Protocol, Self, TextIO

from rnncore._check import describe
from rnncore._keywords import strict_keywords

__all__ = ["PlainProgress", "Progress", "Report", "RichProgress", "choose_progress"]

_BAR_WIDTH = 60


@dataclass(frozen=True)
class Report:
    """State of a training run at one moment; losses are means per token, in nats."""

    epoch: int  # counted from 1
    epochs: int
    fraction: float  # of the run that is done
    loss: float  # training loss since the report before
    validation_loss: float | None  # the latest one
    tokens_per_second: float
    seconds_left: float
    validated: bool = False  # the validation loss was computed just now
    skipped: int = 0  # updates so far that changed nothing: their gradients were not finite

    @property
    def perplexity(self) -> float:
        """exp(loss), of the validation loss where there is one."""
        return perplexity(self._told_loss)

    @property
    def bits_per_token(self) -> float:
        """Bits per token, loss / ln 2, of the validation loss where there is one."""
        return bits(self._told_loss)

    @property
    def _told_loss(self) -> float:
        return self.loss if self.validation_loss is None else self.validation_loss


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
    """Return the line of one report; perplexity and bits belong to the loss named last."""
    parts = [
        f"epoch {report.epoch}/{report.epochs}",
        f"{report.fraction:4.0%}",
        f"loss {report.loss:.3f}",
    ]
    if report.validation_loss is not None:
        parts.append(f"validation {report.validation_loss:.3f}")
    parts += [
        f"perplexity {report.perplexity:.2f}",
        f"{report.bits_per_token:.3f} bits/{unit}",
        f"{report.tokens_per_second:,.0f} {unit}s/s",
        f"{clock(report.seconds_left)} left",
    ]
    if report.skipped:
        parts.append(f"{skipped_updates(report.skipped)} so far")
    return "  ".join(parts)


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
