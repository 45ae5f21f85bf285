"""Training: the loop, its configuration and its results."""

from rnncore.training.batches import text_batches
from rnncore.training.config import OptimizerConfig, ScheduleConfig, TrainingConfig
from rnncore.training.evaluation import Evaluation, evaluate
from rnncore.training.loop import TrainingResult, Validation, fit
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
