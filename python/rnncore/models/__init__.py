"""Whole models: layers, what they are trained on, and what they are used for."""

from rnncore.models.initialization import Initialization
from rnncore.models.language_model import LanguageModel

__all__ = ["Initialization", "LanguageModel"]
