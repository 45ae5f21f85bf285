"""How bad input is to be answered."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest


def refuses(layer: Any, call: Callable[[], Any], error: type[Exception], *words: str) -> None:
    """The call raises an error that contains all words; the layer's parameters stay."""
    params, grads = layer.flat_params.copy(), layer.flat_grads.copy()
    with pytest.raises(error) as raised:
        call()
    message = str(raised.value)
    missing = [word for word in words if word not in message]
    assert not missing, f"{message!r} lacks {missing}"
    np.testing.assert_array_equal(layer.flat_params, params)
    np.testing.assert_array_equal(layer.flat_grads, grads)
