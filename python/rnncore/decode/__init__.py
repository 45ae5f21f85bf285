"""Search: what a model that writes token by token writes best, or at random.

A model says how it takes a step, as a `StepDecoder`. Every search over it is the same code:
`beam_search`, `greedy` and `sample`, over many sentences at once.
"""

from rnncore.decode.beam import beam_search, greedy
from rnncore.decode.ensemble import Ensemble
from rnncore.decode.hypothesis import Hypothesis
from rnncore.decode.penalties import Ranking
from rnncore.decode.protocol import LogProbabilities, Scores, StepDecoder
from rnncore.decode.rescoring import Rescored, rescore
from rnncore.decode.sampled import Sampled
from rnncore.decode.sampling import Sampling, sample
from rnncore.decode.searched import Searched

__all__ = [
    "Ensemble",
    "Hypothesis",
    "LogProbabilities",
    "Ranking",
    "Rescored",
    "Sampled",
    "Sampling",
    "Scores",
    "Searched",
    "StepDecoder",
    "beam_search",
    "greedy",
    "rescore",
    "sample",
]
