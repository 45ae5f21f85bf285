"""Batches of one long sequence, whose state is carried from batch to batch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from rnncore._check import size
from rnncore._keywords import strict_keywords
from rnncore.data.batch import IGNORED, Batch, as_tokens

__all__ = ["ContiguousBatches"]


@strict_keywords()
class ContiguousBatches:
    """One long sequence as B parallel streams, cut into chunks of at most ``bptt`` steps.

    Stream b is a contiguous stretch of the sequence, and row b of each batch continues row b of
    the batch before: the final state of one batch is the initial state of the next. Gradients
    reach ``bptt`` steps back (truncated back-propagation through time; Williams and Peng 1990).

    Parameters
    ----------
    ids : integers [N]
        Tokens, at least 2.
    batch_size : int
        Number of streams B.
    bptt : int
        Steps of one batch; the last batch of a pass may be shorter.
    pad : bool
        False: every stream has floor((N-1)/B) targets and the up to B-1 targets left over at the
        end are dropped, as suits training. True: all N-1 targets occur, the last streams being
        padded with `IGNORED`, as a fair evaluation needs; B is lowered to N-1 where it exceeds it.

    Raises
    ------
    TypeError, ValueError
        When the ids are not integers [N], too few for the streams, or a size is not positive.

    Examples
    --------
    >>> import rnncore as rc
    >>> batches = rc.data.ContiguousBatches(range(9), batch_size=2, bptt=3)
    >>> [batch.inputs.T.tolist() for batch in batches.epoch(0)]  # a stream a row
    [[[0, 1, 2], [4, 5, 6]], [[3], [7]]]
    """

    carries_state = True

    def __init__(self, ids: Any, batch_size: int, bptt: int, *, pad: bool = False) -> None:
        tokens = as_tokens("ids", ids)
        batch_size = size("batch_size", batch_size)
        num_targets = len(tokens) - 1
        fewest = 1 if pad else batch_size
        if num_targets < fewest:
            raise ValueError(
                f"ids: expected at least {fewest + 1} tokens for "
                f"{'evaluation' if pad else f'{batch_size} streams'}, got {len(tokens)}"
            )
        self.bptt = size("bptt", bptt)
        num_streams = min(batch_size, num_targets)
        if pad:
            steps = -(-num_targets // num_streams)
            missing = steps * num_streams - num_targets
            inputs = np.pad(tokens[:-1], (0, missing), constant_values=0)
            targets = np.pad(tokens[1:], (0, missing), constant_values=IGNORED)
        else:
            steps = num_targets // num_streams
            inputs = tokens[: steps * num_streams]
            targets = tokens[1 : steps * num_streams + 1]
        self._inputs = inputs.reshape(num_streams, steps).T  # [S,B], S steps of a whole stream
        self._targets = targets.reshape(num_streams, steps).T  # [S,B]

    @property
    def batch_size(self) -> int:
        """Number of streams B."""
        return self._inputs.shape[1]

    def __len__(self) -> int:
        return -(-len(self._inputs) // self.bptt)

    def epoch(self, number: int) -> Iterator[Batch]:
        """Yield the chunks of the streams; every epoch is the same."""
        for start in range(0, len(self._inputs), self.bptt):
            chunk = slice(start, start + self.bptt)
            yield Batch(self._inputs[chunk], self._targets[chunk])
