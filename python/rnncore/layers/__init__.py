"""Layers: parameters, forward and backward."""

from rnncore.layers.attention import Attention
from rnncore.layers.attention_rnn import AttentionRNN
from rnncore.layers.cache import Cache
from rnncore.layers.dropout import Dropout
from rnncore.layers.embedding import Embedding
from rnncore.layers.frozen import Frozen
from rnncore.layers.gru import GRU
from rnncore.layers.held import Held
from rnncore.layers.held_decoder import FrozenAttentionRNN, HeldDecoder
from rnncore.layers.held_memory import HeldMemory
from rnncore.layers.joining import Add, Concatenate
from rnncore.layers.last_output import LastOutput
from rnncore.layers.linear import Linear
from rnncore.layers.lstm import LSTM
from rnncore.layers.module import Module
from rnncore.layers.named import CELLS, recurrent, require_cell_options
from rnncore.layers.output_gradient import OutputGradient
from rnncore.layers.pooling import Pooling
from rnncore.layers.recurrent import Recurrent
from rnncore.layers.repeat import Repeat
from rnncore.layers.reverse import Reverse
from rnncore.layers.rnn import RNN
from rnncore.layers.stream import Stream
from rnncore.layers.tanh import Tanh

__all__ = [
    "CELLS",
    "GRU",
    "LSTM",
    "RNN",
    "Add",
    "Attention",
    "AttentionRNN",
    "Cache",
    "Concatenate",
    "Dropout",
    "Embedding",
    "Frozen",
    "FrozenAttentionRNN",
    "Held",
    "HeldDecoder",
    "HeldMemory",
    "LastOutput",
    "Linear",
    "Module",
    "OutputGradient",
    "Pooling",
    "Recurrent",
    "Repeat",
    "Reverse",
    "Stream",
    "Tanh",
    "recurrent",
    "require_cell_options",
]
