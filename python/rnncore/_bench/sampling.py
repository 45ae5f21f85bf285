"""Drawing characters one at a time from a language model, in rnncore and in PyTorch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rnncore._bench import pytorch
from rnncore._bench.timing import Step
from rnncore.models import LanguageModel

__all__ = ["WEIGHT_FORMATS", "Sampling"]

#: Types that the weights may be packed in.
WEIGHT_FORMATS = ("float32", "bfloat16", "int8_dynamic")


@dataclass(frozen=True)
class Sampling:
    """An LSTM language model of 65 characters, read as one-hot vectors."""

    num_layers: int
    hidden_size: int
    vocab_size: int = 65

    @property
    def name(self) -> str:
        """Layers x units."""
        return f"{self.num_layers} x {self.hidden_size} LSTM"

    def model(self) -> LanguageModel:
        """Return the model, with the same parameters each time."""
        return LanguageModel(
            self.vocab_size,
            "lstm",
            hidden_size=self.hidden_size,
            num_layers=self.num_layers,
            rng=0,
        )

    def step(self, length: int, weight_format: str = "float32") -> Step:
        """Return drawing `length` characters, the packing of the weights included."""
        model = self.model()
        prompt, rng = np.array([1]), np.random.default_rng(0)
        return lambda: model.sample(prompt, length, rng=rng, weight_format=weight_format)

    def peer_steps(self, length: int) -> dict[str, Step]:
        """Return the same in PyTorch."""
        return pytorch.sampling_steps(self.hidden_size, self.num_layers, self.vocab_size, length)
