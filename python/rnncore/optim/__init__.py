"""Optimizers on flat buffers, clipping, and schedules of the learning rate."""

from rnncore.optim import schedules
from rnncore.optim.adam import Adam, AdamW
from rnncore.optim.clipping import clip_grad_norm, clip_grad_value
from rnncore.optim.groups import Group
from rnncore.optim.optimizer import Optimizer
from rnncore.optim.rmsprop import RMSprop
from rnncore.optim.schedules import Constant, Cosine, Exponential, Plateau, Schedule, Step
from rnncore.optim.sgd import SGD

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "Constant",
    "Cosine",
    "Exponential",
    "Group",
    "Optimizer",
    "Plateau",
    "RMSprop",
    "Schedule",
    "Step",
    "clip_grad_norm",
    "clip_grad_value",
    "schedules",
]
