"""Attention in float64 NumPy, one sequence, head and query after the other."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import rnncore as rc

Array = NDArray[Any]

# Largest error of an array divided by its largest value, as in problems.py.
RELATIVE_ERROR = {np.dtype(np.float32): 1e-5, np.dtype(np.float64): 1e-12}


@dataclass
class AttentionTwin:
    """The equations of a layer, with its parameters."""

    score: str
    num_heads: int
    scale: float
    params: dict[str, Array]

    @classmethod
    def of(cls, layer: rc.Attention) -> "AttentionTwin":
        width = layer.attention_size or layer.query_size
        scale = (layer.num_heads / width) ** 0.5 if layer.scaled else 1.0
        params = {name: value.astype(np.float64) for name, value in layer.params.items()}
        return cls(layer.score, layer.num_heads, scale, params)

    def solve(
        self, query: Array, memory: Array, lengths: Any, query_lengths: Any, dcontext: Array
    ) -> dict[str, Array]:
        """Contexts, weights, and the gradients of the sum of context * dcontext."""
        query, memory, dcontext = (a.astype(np.float64) for a in (query, memory, dcontext))
        steps, batch, _ = query.shape
        identity_q, identity_m = np.eye(query.shape[2]), np.eye(memory.shape[2])
        w_q = self.params.get("query_projection.weight", identity_q)
        w_k = self.params.get("key_projection.weight", identity_m)
        bias = self.params.get("query_projection.bias", np.zeros(len(w_q)))
        v = self.params.get("v", np.zeros(len(w_q)))
        result = {
            "context": np.zeros((steps, batch, memory.shape[2])),
            "weights": np.zeros((steps, batch, self.num_heads, len(memory))),
            "dquery": np.zeros_like(query),
            "dmemory": np.zeros_like(memory),
        }
        dw_q, dw_k, dbias, dv = (np.zeros_like(a) for a in (w_q, w_k, bias, v))
        parts = np.split(np.arange(len(w_q)), self.num_heads)
        value_parts = np.split(np.arange(memory.shape[2]), self.num_heads)
        for b in range(batch):
            m = memory[: lengths[b], b]
            for t in range(query_lengths[b] if len(m) else 0):
                q = w_q @ query[t, b] + bias
                keys = m @ w_k.T
                dq, dkeys = np.zeros_like(q), np.zeros_like(keys)
                for head, (at, values) in enumerate(zip(parts, value_parts, strict=True)):
                    u = np.tanh(q[at] + keys[:, at])
                    additive = self.score == "additive"
                    scores = u @ v[at] if additive else self.scale * keys[:, at] @ q[at]
                    weights = np.exp(scores - scores.max())
                    weights /= weights.sum()
                    result["weights"][t, b, head, : len(m)] = weights
                    result["context"][t, b, values] = weights @ m[:, values]
                    d = dcontext[t, b, values]
                    result["dmemory"][: len(m), b, values] += np.outer(weights, d)
                    dweights = m[:, values] @ d
                    dscores = weights * (dweights - weights @ dweights)
                    if additive:
                        dv[at] += dscores @ u
                        dsums = np.outer(dscores, v[at]) * (1 - u**2)
                        dq[at] += dsums.sum(0)
                        dkeys[:, at] += dsums
                    else:
                        dq[at] += self.scale * dscores @ keys[:, at]
                        dkeys[:, at] += self.scale * np.outer(dscores, q[at])
                result["dquery"][t, b] = dq @ w_q
                result["dmemory"][: len(m), b] += dkeys @ w_k
                dw_q += np.outer(dq, query[t, b])
                dw_k += dkeys.T @ m
                dbias += dq
        gradients = {
            "query_projection.weight": dw_q,
            "query_projection.bias": dbias,
            "key_projection.weight": dw_k,
            "v": dv,
        }
        return result | {name: g for name, g in gradients.items() if name in self.params}


def solve(
    layer: rc.Attention, query: Array, memory: Array, lengths: Any, query_lengths: Any, dc: Array
) -> dict[str, Array]:
    """What the layer says."""
    layer.zero_grad()
    context, cache = layer.forward(query, memory, lengths, query_lengths)
    dquery, dmemory = layer.backward(dc, cache)
    weights = layer.weights(query, memory, lengths, query_lengths)
    result = {"context": context, "weights": weights, "dquery": dquery, "dmemory": dmemory}
    return result | {name: gradient.copy() for name, gradient in layer.grads.items()}


def assert_close(got: dict[str, Array], expected: dict[str, Array], limit: float) -> None:
    assert got.keys() == expected.keys()
    for name, wanted in expected.items():
        assert got[name].shape == wanted.shape, name
        error = np.max(np.abs(got[name] - wanted), initial=0)
        assert error <= limit * max(1, np.max(np.abs(wanted), initial=0)), f"{name}: {error:.1e}"
