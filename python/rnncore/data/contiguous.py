"""Batches of one long sequence, whose state is carried from batch to batch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from rnncore._check import as_array, check_shape, size
from rnncore._keywords import strict_keywords
from rnncore.data.batch import IGNORED, Batch, held_tokens
from rnncore.data.checksum import checksum

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
        Tokens, at least 2; of any integer type, and not copied: `rnncore.text.prepare` returns
        such as a file holds.
    batch_size : int
        Number of streams B.
    bptt : int
        Steps of one batch; the last batch of a pass may be shorter.
    pad : bool
        False: every stream has floor((N-1)/B) targets and the up to B-1 targets left over at the
        end are dropped, as suits training. True: all N-1 targets occur, the last streams being
        padded with `IGNORED`, as a fair evaluation needs; B is lowered to N-1 where it exceeds it.
    context : array [C], or None
        A vector of the whole sequence, see `Batch`.

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

    def __init__(
        self, ids: Any, batch_size: int, bptt: int, *, pad: bool = False, context: Any = None
    ) -> None:
        self._ids = held_tokens("ids", ids)
        batch_size = size("batch_size", batch_size)
        num_targets = len(self._ids) - 1
        fewest = 1 if pad else batch_size
        if num_targets < fewest:
            raise ValueError(
                f"ids: expected at least {fewest + 1} tokens for "
                f"{'evaluation' if pad else f'{batch_size} streams'}, got {len(self._ids)}"
            )
        self.bptt = size("bptt", bptt)
        self.batch_size = min(batch_size, num_targets)  # streams B
        # steps of a whole stream; only where they are padded do the streams hold more than there is
        self._steps = -(-num_targets // self.batch_size) if pad else num_targets // self.batch_size
        self._contexts = None
        if context is not None:
            vector = as_array("context", context)
            check_shape("context", vector, ("C",))
            self._contexts = np.broadcast_to(vector, (self.batch_size, len(vector)))
        self._starts = np.arange(self.batch_size) * self._steps

    def __len__(self) -> int:
        return -(-self._steps // self.bptt)

    def checksum(self) -> int:
        """Return a checksum of all ids, by which a run that goes on knows its text again."""
        of_ids = checksum(self._ids)
        return of_ids if self._contexts is None else checksum(self._contexts[0], of_ids)

    def epoch(self, number: int) -> Iterator[Batch]:
        """Yield the chunks of the streams; every epoch is the same."""
        last = len(self._ids) - 1
        for start in range(0, self._steps, self.bptt):
            stop = min(start + self.bptt, self._steps)
            at = self._starts + np.arange(start, stop)[:, np.newaxis]  # [T,B]
            inputs = self._ids[np.minimum(at, last)].astype(np.int64)
            targets = self._ids[np.minimum(at + 1, last)].astype(np.int64)
            missing = at >= last
            inputs[missing], targets[missing] = 0, IGNORED
            yield Batch(inputs, targets, contexts=self._contexts)
