"""The options that recurrent layers share are listed once, and every layer shows all of them."""

import inspect
from typing import Any

import pytest

import rnncore as rc
from rnncore.layers.options import DEFAULTS, RecurrentOptions

LAYERS = (rc.RNN, rc.GRU, rc.LSTM)
OWN = {rc.RNN: {"nonlinearity"}, rc.GRU: {"reset"}, rc.LSTM: set()}
SIZES = {"input_size", "hidden_size", "num_layers"}


def test_each_option_has_a_type_and_a_default() -> None:
    assert list(DEFAULTS) == list(RecurrentOptions.__annotations__)


@pytest.mark.parametrize("kind", LAYERS)
def test_signature_lists_every_option(kind: Any) -> None:
    parameters = inspect.signature(kind).parameters
    assert set(parameters) == SIZES | OWN[kind] | set(DEFAULTS)
    for name, default in DEFAULTS.items():
        assert parameters[name].kind is inspect.Parameter.KEYWORD_ONLY
        assert parameters[name].default == default
        assert "ForwardRef" not in str(parameters[name])


@pytest.mark.parametrize("kind", LAYERS)
def test_config_has_given_options_and_defaults(kind: Any) -> None:
    layer = kind(3, 4, 2, dropout=0.25, bidirectional=True, rng=0)
    config = layer.config()
    assert set(config) == SIZES | OWN[kind] | set(DEFAULTS) - {"rng"}
    assert (config["dropout"], config["bidirectional"], config["bias"]) == (0.25, True, True)
    assert kind.from_config(config).config() == config
    with pytest.raises(AttributeError, match="dropout: read-only"):
        layer.dropout = 0.5


@pytest.mark.parametrize("kind", LAYERS)
def test_options_are_no_positional_arguments(kind: Any) -> None:
    with pytest.raises(TypeError, match="positional"):
        kind(3, 4, 1, True)


def test_help_of_each_layer_describes_every_option() -> None:
    for kind in LAYERS:
        described = inspect.getdoc(kind) or ""
        for name in (*SIZES, *OWN[kind], *DEFAULTS):
            assert f"\n{name} : " in described
