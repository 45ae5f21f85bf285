"""Recurrent neural networks on ordinary CPUs: a C++ kernel under a thin NumPy API.

>>> import numpy as np, rnncore as rc
>>> lstm = rc.LSTM(input_size=8, hidden_size=16, rng=0)
>>> x = np.zeros((5, 2, 8), np.float32)  # [T,B,I]
>>> y, (h, c) = lstm(x)
>>> y.shape
(5, 2, 16)
"""

from rnncore import _help as _help
from rnncore import _interrupt as _interrupt  # first: what follows takes a moment
from rnncore import _openmp as _openmp  # before the rest: it sets how the kernel's threads wait
from rnncore import _registered as _registered
from rnncore import (
    audio,
    ctc,
    data,
    datasets,
    decode,
    diagnostics,
    heads,
    init,
    layers,
    losses,
    metrics,
    models,
    optim,
    progress,
    text,
    training,
)
from rnncore._core import available_isas, isa
from rnncore._threads import get_num_threads, set_num_threads
from rnncore.io import load, register, save
from rnncore.layers import GRU, LSTM, RNN, Attention, AttentionRNN, Dropout, Embedding, Linear
from rnncore.models import (
    Captioner,
    CTCRecognizer,
    FrameRecognizer,
    LanguageModel,
    Model,
    Pass,
    Seq2Seq,
    SequenceClassifier,
)

__version__ = "0.1.0"

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "Attention",
    "AttentionRNN",
    "CTCRecognizer",
    "Captioner",
    "Dropout",
    "Embedding",
    "FrameRecognizer",
    "LanguageModel",
    "Linear",
    "Model",
    "Pass",
    "Seq2Seq",
    "SequenceClassifier",
    "__version__",
    "audio",
    "available_isas",
    "ctc",
    "data",
    "datasets",
    "decode",
    "diagnostics",
    "get_num_threads",
    "heads",
    "init",
    "isa",
    "layers",
    "load",
    "losses",
    "metrics",
    "models",
    "optim",
    "progress",
    "register",
    "save",
    "set_num_threads",
    "text",
    "training",
]

_help.show_public_names()
