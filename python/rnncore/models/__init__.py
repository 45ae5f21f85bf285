"""Whole models: layers, what they are trained on, and what they are used for."""

from rnncore.models.captioner import Captioner
from rnncore.models.captioning import Caption
from rnncore.models.initialization import Initialization
from rnncore.models.language_model import LanguageModel
from rnncore.models.model import Model
from rnncore.models.passes import LossPass, Pass, TrainingPass
from rnncore.models.presets import PRESETS
from rnncore.models.seq2seq import Seq2Seq
from rnncore.models.sequence_classifier import SequenceClassifier
from rnncore.models.translation import SourceDecoder, Translation, Translator

__all__ = [
    "PRESETS",
    "Caption",
    "Captioner",
    "Initialization",
    "LanguageModel",
    "LossPass",
    "Model",
    "Pass",
    "Seq2Seq",
    "SequenceClassifier",
    "SourceDecoder",
    "TrainingPass",
    "Translation",
    "Translator",
]
