"""Training and inference of recurrent layers, in rnncore and in the libraries beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnncore._bench import onnx, pytorch
from rnncore._bench.timing import Step
from rnncore.layers import GRU, LSTM, RNN

__all__ = ["GATES", "Case", "frozen_step", "inference_steps", "training_steps"]

LAYERS: dict[str, type[LSTM] | type[GRU] | type[RNN]] = {"LSTM": LSTM, "GRU": GRU, "RNN": RNN}
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


@dataclass(frozen=True)
class Case:
    """A network and the size of its input: T steps, batch B, input size I, hidden size H."""

    cell: str
    num_steps: int
    batch: int
    input_size: int
    hidden_size: int
    num_layers: int = 1

    @property
    def name(self) -> str:
        """The cell and T,B,I,H; of a deep network with the number of its layers."""
        depth = f"{self.num_layers}x" if self.num_layers > 1 else ""
        sizes = f"{self.num_steps},{self.batch},{self.input_size},{depth}{self.hidden_size}"
        return f"{self.cell} {sizes}"

    @property
    def forward_gflop(self) -> float:
        """Billions of operations of the products: 2 T B G H (I + H), of each layer."""
        width = self.hidden_size * (self.input_size + (2 * self.num_layers - 1) * self.hidden_size)
        return 2 * self.num_steps * self.batch * GATES[self.cell] * width / 1e9

    @property
    def training_gflop(self) -> float:
        """Those of a forward and a backward pass, which has two products for each of them."""
        return 3 * self.forward_gflop

    @property
    def recurrent_bytes(self) -> int:
        """Bytes of one layer's recurrent weights in float32."""
        return 4 * GATES[self.cell] * self.hidden_size**2

    def arrays(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return x [T,B,I] and dy [T,B,H], the same for every library."""
        rng = np.random.default_rng(0)
        shape = self.num_steps, self.batch
        return (
            rng.standard_normal((*shape, self.input_size), dtype=np.float32),
            rng.standard_normal((*shape, self.hidden_size), dtype=np.float32),
        )

    def layer(self, **options: Any) -> LSTM | GRU | RNN:
        """Return the layer, with the same parameters each time."""
        sizes = self.input_size, self.hidden_size, self.num_layers
        return LAYERS[self.cell](*sizes, rng=0, **options)


def training_steps(case: Case, num_threads: int = 1, *, bfloat16: bool = False) -> dict[str, Step]:
    """Return forward and backward pass, to parameters and input, of each library.

    Loss and optimizer are left out: the gradient of the outputs is given.
    """
    layer = case.layer(compute="bfloat16" if bfloat16 else None)
    x, dy = case.arrays()

    def ours() -> None:
        layer.zero_grad()
        _, _, cache = layer.forward(x)
        layer.backward(dy, cache)

    peer = pytorch.training_step(case.cell, layer, x, dy, num_threads, bfloat16=bfloat16)
    return {"rnncore": ours, **peer}


def inference_steps(
    case: Case, num_threads: int = 1, *, with_onnx: bool = True, bfloat16: bool = False
) -> dict[str, Step]:
    """Return the forward pass without anything kept, of each library."""
    layer = case.layer(compute="bfloat16" if bfloat16 else None)
    x, _ = case.arrays()
    peers = pytorch.inference_step(case.cell, layer, x, num_threads, bfloat16=bfloat16)
    if with_onnx:
        peers |= onnx.inference_step(case.cell, layer, x, num_threads)
    return {"rnncore": lambda: layer(x)[0], **peers}


def frozen_step(case: Case) -> dict[str, Step]:
    """Return the forward pass with weights packed once, as a session of ONNX Runtime has."""
    frozen = case.layer().frozen()
    x, _ = case.arrays()
    return {"rnncore frozen": lambda: frozen(x)[0]}
