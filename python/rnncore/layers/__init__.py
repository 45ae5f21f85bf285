"""Layers: parameters, forward and backward."""

from rnncore.layers.cache import Cache
from rnncore.layers.cells import GRU, LSTM, RNN
from rnncore.layers.dropout import Dropout
from rnncore.layers.embedding import Embedding
from rnncore.layers.frozen import Frozen
from rnncore.layers.last_output import LastOutput
from rnncore.layers.linear import Linear
from rnncore.layers.module import Module
from rnncore.layers.recurrent import Recurrent
from rnncore.layers.stream import Stream

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "Cache",
    "Dropout",
    "Embedding",
    "Frozen",
    "LastOutput",
    "Linear",
    "Module",
    "Recurrent",
    "Stream",
]
