"""Segment and Transcript: what decoding and alignment return, in frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from rnncore._keywords import strict_keywords

__all__ = ["Segment", "Transcript"]


@strict_keywords()
@dataclass(frozen=True)
class Segment:
    """One symbol and the frames that it takes.

    Parameters
    ----------
    symbol : int or str
        Its id, or its name.
    start, end : int
        The frames are ``start, ..., end - 1``.
    probability : float
        How sure the network is of this symbol in these frames, in [0, 1].

    Examples
    --------
    >>> import rnncore as rc
    >>> segment = rc.ctc.Segment("ah", start=3, end=5, probability=0.9)
    >>> segment.end - segment.start
    2
    """

    symbol: int | str
    start: int
    end: int
    probability: float


@strict_keywords()
@dataclass(frozen=True)
class Transcript:
    """The symbols of a sequence of frames.

    Parameters
    ----------
    symbols : tuple of int or str
        Their ids or names, without blanks.
    score : float
        Natural logarithm of a probability, or what a decoder adds to it; the higher the better.
    segments : tuple of Segment
        One for each symbol, in the order of time.
    words : tuple of Segment
        One for each word, from decoders that know words. Its frames are those from its first symbol
        to its last, its probability is the mean of theirs.

    Examples
    --------
    >>> import rnncore as rc
    >>> segments = [rc.ctc.Segment(2, 0, 1, 0.9), rc.ctc.Segment(1, 2, 4, 0.7)]
    >>> rc.ctc.Transcript((2, 1), -0.5, segments).named(["-", "b", "a"]).symbols
    ('a', 'b')
    """

    symbols: Sequence[int | str]
    score: float
    segments: Sequence[Segment] = field(default=())
    words: Sequence[Segment] = field(default=())

    def __post_init__(self) -> None:
        object.__setattr__(self, "symbols", tuple(self.symbols))
        object.__setattr__(self, "segments", tuple(self.segments))
        object.__setattr__(self, "words", tuple(self.words))

    def named(self, names: Sequence[str]) -> Transcript:
        """Return the same with names in place of ids: ``names[id]`` for each symbol."""
        segments = [replace(s, symbol=names[int(s.symbol)]) for s in self.segments]
        return replace(self, symbols=[names[int(s)] for s in self.symbols], segments=segments)
