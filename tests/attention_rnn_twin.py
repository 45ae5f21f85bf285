"""The NumPy float64 twin of `AttentionRNN`: slow, obvious, from the equations, one step at a time.

It takes the steps of the cells from `twin` and gives outputs, states and all gradients. Attention
is that of one query: scores, softmax, context. T target steps, S memory steps, B batch, I input,
H hidden, M memory, A width of the comparison.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twin import CELLS, Weights

Array = NDArray[Any]
Params = Mapping[str, Array]


@dataclass(frozen=True)
class DecoderTwin:
    """The layer without its parameters, which are passed in by the names of the layer."""

    cell_name: str
    feeding: str
    score: str = "general"
    projects_query: bool = False  # of "general": with an attention_size
    num_heads: int = 1
    scale: float = 1.0
    bias: bool = True
    output_context: bool = False

    def forward(
        self,
        params: Params,
        x: Array,
        memory: Array,
        state: tuple[Array, ...],
        lengths: list[int],
        memory_lengths: list[int],
    ) -> tuple[Array, list[Array], Array, list[Any]]:
        """Outputs, final state, weights [T,B,heads,S] and what `backward` needs."""
        hidden = state[0].shape[1]
        num_steps, batch = x.shape[:2]
        width = hidden + (memory.shape[2] if self.output_context else 0)
        y = np.zeros((num_steps, batch, width))
        weights = np.zeros((num_steps, batch, self.num_heads, memory.shape[0]))
        final = [s.astype(np.float64) for s in state]
        saved: list[Any] = []
        for b in range(batch):
            values = memory[: memory_lengths[b], b].astype(np.float64)
            now = tuple(s[b].copy() for s in final)
            for t in range(lengths[b]):
                out, now, alpha, kept = self._step(params, x[t, b], values, now)
                y[t, b], weights[t, b, :, : len(values)] = out, alpha
                saved.append((b, t, kept))
            for whole, part in zip(final, now, strict=True):
                whole[b] = part
        return y, final, weights, saved

    def backward(
        self,
        params: Params,
        dy: Array,
        shapes: tuple[Array, Array],  # x and memory
        saved: list[Any],
        dstate: tuple[Array, ...],
    ) -> tuple[Array, Array, list[Array], dict[str, Array]]:
        """Gradients of x, memory, initial state and parameters."""
        dx, dmemory = (np.zeros(a.shape) for a in shapes)
        dinitial = [d.astype(np.float64) for d in dstate]
        grads = {name: np.zeros(value.shape) for name, value in params.items()}
        for b, t, kept in reversed(saved):
            dnow = tuple(d[b].copy() for d in dinitial)
            dx[t, b], dvalues, dnow = self._step_backward(params, grads, dy[t, b], dnow, kept)
            dmemory[: len(dvalues), b] += dvalues
            for whole, part in zip(dinitial, dnow, strict=True):
                whole[b] = part
        return dx, dmemory, dinitial, grads

    # --- one step ---
    def _step(self, params: Params, x: Array, values: Array, state: tuple[Array, ...]) -> Any:
        cell = CELLS[self.cell_name]
        first = self._cell_weights(params, "rnn")
        if self.feeding == "input":
            *inner, a = state
            inner, kept_cell = cell.step(first, np.concatenate([x, a]), tuple(inner))
            context, alpha, kept = self._attend(params, inner[0], values)
            joint = np.concatenate([context, inner[0]])
            bias = params["combine.bias"] if self.bias else 0
            a = np.tanh(params["combine.weight"] @ joint + bias)
            out, state, kept = a, (*inner, a), (kept_cell, kept, (joint, a), len(x))
        else:
            query, kept_first = cell.step(first, x, state)
            context, alpha, kept = self._attend(params, query[0], values)
            second = self._cell_weights(params, "context_rnn")
            state, kept_second = cell.step(second, context, query)
            out, kept = state[0], (kept_first, kept, kept_second, len(x))
        return np.concatenate([out, context]) if self.output_context else out, state, alpha, kept

    def _step_backward(
        self, params: Params, grads: dict[str, Array], dy: Array, dstate: Any, kept: Any
    ) -> Any:
        cell = CELLS[self.cell_name]
        first, dfirst = self._cell_weights(params, "rnn"), self._cell_weights(grads, "rnn")
        hidden = len(dstate[0])
        kept_first, kept_attention, last, width = kept
        if self.feeding == "input":
            joint, a = last
            *dinner, da = dstate
            da = (da + dy[:hidden]) * (1 - a * a)
            grads["combine.weight"] += np.outer(da, joint)
            if self.bias:
                grads["combine.bias"] += da
            djoint = params["combine.weight"].T @ da
            dcontext, dquery = djoint[:-hidden], djoint[-hidden:]
        else:
            second = self._cell_weights(params, "context_rnn")
            dsecond = self._cell_weights(grads, "context_rnn")
            dstate = (dstate[0] + dy[:hidden], *dstate[1:])
            dcontext, dinner = cell.step_backward(second, dsecond, last, dstate)
            dquery = np.zeros(hidden)
        if self.output_context:
            dcontext = dcontext + dy[hidden:]
        more, dvalues = self._attend_backward(params, grads, dcontext, kept_attention)
        dinner = (dinner[0] + dquery + more, *dinner[1:])
        dx, dinner = cell.step_backward(first, dfirst, kept_first, tuple(dinner))
        if self.feeding == "input":
            return dx[:width], dvalues, (*dinner, dx[width:])
        return dx, dvalues, dinner

    def _cell_weights(self, params: Params, part: str) -> Weights:
        arrays = [params[f"{part}.weight_{which}_l0"] for which in ("ih", "hh")]
        if self.bias:
            arrays += [params[f"{part}.bias_{which}_l0"] for which in ("ih", "hh")]
        else:
            arrays += [np.zeros(len(arrays[0])) for _ in range(2)]
        return Weights(*arrays, lambda a: a)

    # --- attention of one query ---
    def _attend(self, params: Params, query: Array, values: Array) -> Any:
        q, keys = query, values
        if self.score == "additive" or self.projects_query:
            q = params["attention.query_projection.weight"] @ query
        if self.score == "additive":
            q = q + params["attention.query_projection.bias"]
        if self.score != "dot":
            keys = values @ params["attention.key_projection.weight"].T
        alpha = np.zeros((self.num_heads, len(values)))
        context = np.zeros(values.shape[1])
        for head in range(self.num_heads):
            k, m = self._part(keys.shape[1], head), self._part(values.shape[1], head)
            if self.score == "additive":
                scores = np.tanh(q[k] + keys[:, k]) @ params["attention.v"][k]
            else:
                scores = self.scale * keys[:, k] @ q[k]
            if len(values):
                e = np.exp(scores - scores.max())
                alpha[head] = e / e.sum()
            context[m] = alpha[head] @ values[:, m]
        return context, alpha, (query, q, keys, values, alpha)

    def _attend_backward(
        self, params: Params, grads: dict[str, Array], dcontext: Array, kept: Any
    ) -> tuple[Array, Array]:
        query, q, keys, values, alpha = kept
        dq, dkeys, dvalues = np.zeros_like(q), np.zeros_like(keys), np.zeros_like(values)
        for head in range(self.num_heads):
            k, m = self._part(keys.shape[1], head), self._part(values.shape[1], head)
            dvalues[:, m] += np.outer(alpha[head], dcontext[m])
            dalpha = values[:, m] @ dcontext[m]
            dscores = alpha[head] * (dalpha - alpha[head] @ dalpha)
            if self.score == "additive":
                u = np.tanh(q[k] + keys[:, k])
                grads["attention.v"][k] += dscores @ u
                inner = dscores[:, np.newaxis] * (1 - u * u) * params["attention.v"][k]
                dq[k] += inner.sum(axis=0)
                dkeys[:, k] += inner
            else:
                dq[k] += self.scale * dscores @ keys[:, k]
                dkeys[:, k] += self.scale * np.outer(dscores, q[k])
        if self.score == "dot":
            return dq, dvalues + dkeys
        grads["attention.key_projection.weight"] += dkeys.T @ values
        dvalues = dvalues + dkeys @ params["attention.key_projection.weight"]
        if self.score == "additive" or self.projects_query:
            grads["attention.query_projection.weight"] += np.outer(dq, query)
            if self.score == "additive":
                grads["attention.query_projection.bias"] += dq
            dq = params["attention.query_projection.weight"].T @ dq
        return dq, dvalues

    def _part(self, width: int, head: int) -> slice:
        size = width // self.num_heads
        return slice(head * size, (head + 1) * size)
