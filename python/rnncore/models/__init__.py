"""Whole models: layers, what they are trained on, and what they are used for."""

from rnncore.models.captioner import Captioner
from rnncore.models.captioning import Caption
from rnncore.models.ctc_recognizer import CTCRecognizer
from rnncore.models.frame_recognizer import FrameRecognizer
from rnncore.models.initialization import Initialization
from rnncore.models.language_model import LanguageModel
from rnncore.models.model import Model
from rnncore.models.passes import LossPass, Pass, TrainingPass
from rnncore.models.presets import PRESETS
from rnncore.models.recognizer_stream import RecognizerStream
from rnncore.models.seq2seq import Seq2Seq
from rnncore.models.sequence_classifier import SequenceClassifier
from rnncore.models.translation import SourceDecoder, Translation, Translator

__all__ = [
    "PRESETS",
    "CTCRecognizer",
    "Caption",
    "Captioner",
    "FrameRecognizer",
    "Initialization",
    "LanguageModel",
    "LossPass",
    "Model",
    "Pass",
    "RecognizerStream",
    "Seq2Seq",
    "SequenceClassifier",
    "SourceDecoder",
    "TrainingPass",
    "Translation",
    "Translator",
]
