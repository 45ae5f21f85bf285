"""Heads: an output layer together with its loss, one file each.

A head maps y [...,H] to z = W y + b [...,V] and says how z is compared with targets. It gives
losses, their gradients, what decoding needs and, where each row has a target of its own, an
`OutputGradient` for the sweep of a recurrent layer.
"""

from rnncore.heads.binary import Binary
from rnncore.heads.ctc import CTC
from rnncore.heads.head import Head
from rnncore.heads.held import HeldScores, HeldSoftmax
from rnncore.heads.regression import Regression
from rnncore.heads.rows import RowHead
from rnncore.heads.softmax import Softmax

__all__ = [
    "CTC",
    "Binary",
    "Head",
    "HeldScores",
    "HeldSoftmax",
    "Regression",
    "RowHead",
    "Softmax",
]
