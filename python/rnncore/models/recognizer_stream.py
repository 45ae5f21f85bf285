"""Live recognition: segments as soon as they are over."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from rnncore._keywords import strict_keywords
from rnncore.ctc import Segment
from rnncore.models.inputs import vector_sequence
from rnncore.models.runs import Runs

if TYPE_CHECKING:
    from rnncore.models.recognizer import Recognizer

__all__ = ["RecognizerStream"]


@strict_keywords()
class RecognizerStream:
    """Recognizes a recording as it comes; made by ``recognizer.stream()``.

    The segments of all pieces are those that `transcribe` finds in the whole recording, up to the
    rounding of the layers' outputs.

    Parameters
    ----------
    recognizer : CTCRecognizer or FrameRecognizer
        Of one direction. Later changes of its parameters are not seen.
    source : iterable of samples [N] or of features [T,I], optional
        With it the stream can be iterated over: ``for segment in recognizer.stream(source)``.

    Raises
    ------
    ValueError
        If the layers are bidirectional, or the features need the whole recording.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> recognizer = rc.CTCRecognizer(["a", "b"], input_size=3, bidirectional=False, rng=0)
    >>> stream = recognizer.stream()
    >>> found = stream.push(np.zeros((100, 3))) + stream.finish()
    >>> all(segment.symbol in ("a", "b") for segment in found)
    True
    """

    def __init__(self, recognizer: Recognizer, source: Iterable[Any] | None = None) -> None:
        self._rnn = recognizer.rnn.stream()
        self._output = recognizer.output
        self._names = recognizer.names
        self._features = None if recognizer.features is None else recognizer.features.stream()
        self._runs = Runs(recognizer.blank)
        self._source = source
        self._input_size, self._dtype = recognizer.input_size, recognizer.dtype

    def push(self, piece: Any) -> list[Segment]:
        """Return the segments that are over with this piece, in frames of the whole recording.

        Parameters
        ----------
        piece : samples [N], or features [T,I]
            What comes next: samples where the recognizer has features, features otherwise.

        Raises
        ------
        TypeError, ValueError
            If it has another type or shape, or holds anything but finite numbers.
        """
        x = piece if self._features is None else self._features.push(piece)
        return self._found(vector_sequence("piece", x, self._input_size, self._dtype))

    def finish(self) -> list[Segment]:
        """Return the segments up to the end; nothing can be pushed after it."""
        last = [] if self._features is None else self._found(self._features.finish())
        return [*last, *map(self._named, self._runs.finish())]

    def _found(self, x: Any) -> list[Segment]:
        if not len(x):
            return []
        y = self._rnn.run(np.ascontiguousarray(x, self._dtype))
        return list(map(self._named, self._runs.push(self._output.log_probabilities(y))))

    def _named(self, segment: Segment) -> Segment:
        name = self._names[int(segment.symbol)]
        return Segment(name, segment.start, segment.end, segment.probability)

    def __iter__(self) -> Iterator[Segment]:
        """Yield the segments of the source."""
        if self._source is None:
            raise TypeError(
                "stream: expected a source to iterate over, got none; "
                "recognizer.stream(pieces) takes one, or call push for each piece"
            )
        for piece in self._source:
            yield from self.push(piece)
        yield from self.finish()
