"""Whole models: layers, what they are trained on, and what they are used for."""

from rnncore.models.ctc_recognizer import CTCRecognizer
from rnncore.models.frame_recognizer import FrameRecognizer
from rnncore.models.initialization import Initialization
from rnncore.models.language_model import LanguageModel
from rnncore.models.model import Model
from rnncore.models.passes import LossPass, Pass, TrainingPass
from rnncore.models.presets import PRESETS
from rnncore.models.recognizer_stream import RecognizerStream
from rnncore.models.sequence_classifier import SequenceClassifier

__all__ = [
    "PRESETS",
    "CTCRecognizer",
    "FrameRecognizer",
    "Initialization",
    "LanguageModel",
    "LossPass",
    "Model",
    "Pass",
    "RecognizerStream",
    "SequenceClassifier",
    "TrainingPass",
]
