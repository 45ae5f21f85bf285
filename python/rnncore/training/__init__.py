"""Training: the loop, its configuration and its results."""

from rnncore.training.batches import text_batches
from rnncore.training.config import OptimizerConfig, ScheduleConfig, TrainingConfig
from rnncore.training.loop import Evaluation, TrainingResult, Validation, evaluate, fit
from rnncore.training.trainable import Trainable

__all__ = [
    "Evaluation",
    "OptimizerConfig",
    "ScheduleConfig",
    "Trainable",
    "TrainingConfig",
    "TrainingResult",
    "Validation",
    "evaluate",
    "fit",
    "text_batches",
]
