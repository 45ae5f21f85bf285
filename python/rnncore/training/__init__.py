"""Training: the loop, its configuration and its results; checkpoints and metrics."""

from rnncore.training.batches import text_batches
from rnncore.training.callbacks import Callback, Update
from rnncore.training.config import OptimizerConfig, ScheduleConfig, TrainingConfig
from rnncore.training.curves import Curves
from rnncore.training.evaluation import Evaluation, evaluate
from rnncore.training.loop import fit
from rnncore.training.metric_files import CSV, JSONLines
from rnncore.training.result import TrainingResult, Validation
from rnncore.training.run import Run
from rnncore.training.tensorboard import TensorBoard
from rnncore.training.trainable import Trainable

__all__ = [
    "CSV",
    "Callback",
    "Curves",
    "Evaluation",
    "JSONLines",
    "OptimizerConfig",
    "Run",
    "ScheduleConfig",
    "TensorBoard",
    "Trainable",
    "TrainingConfig",
    "TrainingResult",
    "Update",
    "Validation",
    "evaluate",
    "fit",
    "text_batches",
]
