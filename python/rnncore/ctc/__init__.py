"""Connectionist temporal classification (CTC): labels of a sequence whose times are not known.

A network gives the probabilities of C symbols at each of T frames; one of the symbols is the blank.
A path takes one symbol per frame. Its labels are what remains when repeats are merged and blanks
are left out. The probability of labels is the sum over all paths that lead to them (Graves,
Fernandez, Gomez and Schmidhuber 2006, "Connectionist Temporal Classification", ICML).
"""

from rnncore.ctc.labels import frames_needed
from rnncore.ctc.losses import loss, loss_and_grad
from rnncore.ctc.ngram import NGram
from rnncore.ctc.paths import align, best_path
from rnncore.ctc.prefix import PrefixDecoder, PrefixStream
from rnncore.ctc.segments import Segment, Transcript

__all__ = [
    "NGram",
    "PrefixDecoder",
    "PrefixStream",
    "Segment",
    "Transcript",
    "align",
    "best_path",
    "frames_needed",
    "loss",
    "loss_and_grad",
]
