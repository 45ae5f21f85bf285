"""Batches for training: pure functions of a seed and the number of the epoch.

`ContiguousBatches` walks one long text and carries the state from batch to batch (truncated BPTT);
`SentenceBatches` takes whole sentences, each from the zero state; `LabeledBatches`
takes sequences with a label each; `TranscribedBatches` sequences with several; `PairBatches` takes
sequences with a sequence each.
"""

from rnncore.data.batch import IGNORED, Batch, Batches
from rnncore.data.buckets import Buckets
from rnncore.data.contiguous import ContiguousBatches
from rnncore.data.labeled import LabeledBatches
from rnncore.data.padding import pad
from rnncore.data.pairs import PairBatches
from rnncore.data.pictures import patches
from rnncore.data.sentences import SentenceBatches, Sentences, sentences
from rnncore.data.splitting import split, split_shuffled
from rnncore.data.standardization import Standardization
from rnncore.data.transcribed import TranscribedBatches

__all__ = [
    "IGNORED",
    "Batch",
    "Batches",
    "Buckets",
    "ContiguousBatches",
    "LabeledBatches",
    "PairBatches",
    "SentenceBatches",
    "Sentences",
    "Standardization",
    "TranscribedBatches",
    "pad",
    "patches",
    "sentences",
    "split",
    "split_shuffled",
]
