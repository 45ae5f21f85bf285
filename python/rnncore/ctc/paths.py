"""Best paths: the symbols that a network says by itself, and where given labels are."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rnncore import _core
from rnncore._check import Array, lengths_array
from rnncore.ctc.frames import frames_array, packed, unpacked
from rnncore.ctc.labels import as_labels, checked_blank
from rnncore.ctc.segments import Segment, Transcript

__all__ = ["align", "best_path"]

#: The logarithm of a rounded probability of 1 may be above 0.
_ROUNDING = 1e-4


def best_path(
    log_probabilities: ArrayLike, lengths: ArrayLike | None = None, *, blank: int = 0
) -> Any:
    """Read the most probable symbol of every frame; merge repeats and leave out blanks.

    This is the most probable path, not always the most probable labels (Graves et al. 2006,
    section 3.2). Of equally probable symbols the one with the lowest id is taken.

    Parameters
    ----------
    log_probabilities : array [T,B,C], or [T,C] of one sequence
        Natural logarithms, as of `heads.CTC.log_probabilities`; float32 or float64.
    lengths : integers [B], or a number, optional
        Frames of each sequence; None is T for all. What lies past the end is not read.
    blank : int
        Id of the blank.

    Returns
    -------
    list of B Transcript, or one of one sequence
        Segments are the frames in which a symbol is the most probable one; their probability is the
        mean of the symbol's probabilities in them. The score is the log-probability of the path.

    Raises
    ------
    TypeError, ValueError
        If an array has another type or shape, or a frame holds NaN or numbers above 0.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> p = np.array([[0.8, 0.1, 0.1], [0.1, 0.6, 0.3], [0.2, 0.8, 0.0], [0.3, 0.1, 0.6]])
    >>> with np.errstate(divide="ignore"):
    ...     transcript = rc.ctc.best_path(np.log(p))
    >>> [(s.symbol, s.start, s.end, round(s.probability, 2)) for s in transcript.segments]
    [(1, 1, 3, 0.7), (2, 3, 4, 0.6)]
    """
    log_p, frames, single = _frames(log_probabilities, lengths)
    checked_blank(blank, log_p.shape[2])
    winners = log_p.argmax(axis=2)
    found = []
    for b, count in enumerate(frames):
        symbols = winners[:count, b]
        chosen = log_p[np.arange(count), b, symbols]
        require_log_probabilities(chosen, b)
        found.append(_transcript(symbols, symbols, chosen, blank, float(chosen.sum(dtype=float))))
    return found[0] if single else found


def align(
    log_probabilities: ArrayLike,
    targets: Any,
    lengths: ArrayLike | None = None,
    *,
    blank: int = 0,
) -> Any:
    """Find the most probable path through given labels: where each of them is (Viterbi 1967).

    Parameters
    ----------
    log_probabilities, lengths, blank
        As of `best_path`.
    targets : list of B sequences of ids, or integers [B,U]; ids [L] of one sequence
        Labels, as of `ctc.loss`.

    Returns
    -------
    list of B Transcript, or one of one sequence
        One segment for each label: the frames in which the path says this label. Frames between
        segments are blanks. Its probability is the mean of the label's probabilities in these
        frames. The score is the log-probability of the path.

    Raises
    ------
    TypeError, ValueError
        As `best_path`; also if a label lies outside its range, or a sequence has no path: it has
        fewer frames than `frames_needed`, or every path has a probability of 0.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> log_p = np.log([[0.8, 0.1, 0.1], [0.1, 0.6, 0.3], [0.2, 0.7, 0.1], [0.8, 0.1, 0.1]])
    >>> transcript = rc.ctc.align(log_p, [1, 2])
    >>> [(s.symbol, s.start, s.end) for s in transcript.segments]
    [(1, 1, 2), (2, 2, 3)]
    """
    log_p, frames, single = _frames(log_probabilities, lengths)
    shape = log_p.shape[:2]
    given = [targets] if single else targets
    labels = as_labels(given, shape, frames, log_p.shape[2], checked_blank(blank, log_p.shape[2]))
    if impossible := labels.impossible():
        raise ValueError(f"targets: expected no more labels than fit, but {impossible}")
    rows = packed(log_p, labels)
    packed_states, scores = _core.ctc_align(rows, frames, labels.ids, labels.counts, blank)
    states = unpacked(packed_states, labels)
    found = []
    first = 0
    for b, (count, number) in enumerate(zip(frames, labels.counts, strict=True)):
        path = states[:count, b]
        ids = np.full(2 * number + 1, blank)
        ids[1::2] = labels.ids[first : first + number]
        first += number
        symbols = ids[path]
        chosen = log_p[np.arange(count), b, symbols]
        # the greatest of each frame too: a path may miss what makes others no probabilities
        require_log_probabilities(log_p[:count, b].max(axis=1), b)
        if scores[b] == -np.inf:
            raise ValueError(
                f"targets: expected labels with a path, got none in sequence {b}: "
                "each goes through a probability of 0"
            )
        found.append(_transcript(path, symbols, chosen, blank, float(scores[b])))
    return found[0] if single else found


def _frames(
    log_probabilities: ArrayLike, lengths: ArrayLike | None
) -> tuple[Array, NDArray[np.int64], bool]:
    """Return log-probabilities [T,B,C], frames [B], and whether there is one sequence [T,C]."""
    log_p, single = frames_array("log_probabilities", log_probabilities)
    if lengths is None:
        return log_p, np.full(log_p.shape[1], len(log_p), np.int64), single
    given = np.atleast_1d(lengths) if single else lengths
    return log_p, lengths_array(given, log_p.shape[:2]).astype(np.int64), single


def require_log_probabilities(greatest: Array, b: int) -> None:
    """Raise ValueError unless the greatest element of each frame [T_b] of a sequence can be one."""
    good = (greatest > -np.inf) & (greatest <= _ROUNDING)  # false for NaN
    if not good.all():
        t = int(np.flatnonzero(~good)[0])
        raise ValueError(
            "log_probabilities: expected logarithms of probabilities, at most 0, got "
            f"{greatest[t]:g} in frame {t} of sequence {b}; those of a head are "
            "head.log_probabilities(y), of logits rnncore.losses.log_softmax(z)"
        )


def _transcript(
    keys: NDArray[np.int64], symbols: Array, log_p: Array, blank: int, score: float
) -> Transcript:
    """Return the runs of equal `keys` whose symbols are no blanks; all arrays are [T_b]."""
    if not len(keys):
        return Transcript((), score)
    starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
    ends = np.append(starts[1:], len(keys))
    sums = np.add.reduceat(np.exp(log_p.astype(float)), starts)
    said = symbols[starts] != blank
    ids = symbols[starts][said].tolist()
    places = zip(starts[said].tolist(), ends[said].tolist(), sums[said].tolist(), strict=True)
    segments = [
        Segment(symbol, start, end, min(1.0, total / (end - start)))
        for symbol, (start, end, total) in zip(ids, places, strict=True)
    ]
    return Transcript(ids, score, segments)
