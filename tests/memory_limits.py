"""Limits of the memory that a layer keeps for its backward pass."""

from typing import Any

import pytest
from numpy.typing import NDArray

Array = NDArray[Any]


def least(rnn: Any, x: Array) -> int:
    """The smallest limit that is accepted, as the refusal of a smaller one says."""
    with pytest.raises(ValueError, match="memory_limit: expected at least") as refusal:
        rnn.forward(x, memory_limit=1)
    return int(str(refusal.value).split("at least ")[1].split()[0])
