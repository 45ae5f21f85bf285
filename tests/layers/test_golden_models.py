"""Trained networks of others give the outputs that others have published.

The tolerances are two to five times the largest difference measured with any instruction set. Where
nothing else is said, that comes from sums in another order, rounded to float32 over 60 to 1,000
steps.
"""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnncore as rc
from foreign import dense, put_keras, put_onnx_lstm, sigmoid, softmax
from rnncore._check import Array

pytestmark = pytest.mark.usefixtures("isa")


def arrays(path: Path) -> dict[str, Array]:
    with np.load(path) as content:
        return dict(content)


def assert_near(actual: Array, expected: Array, tolerance: float) -> None:
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance)


def rtneural(shared: Path, name: str) -> tuple[Any, Array, Array]:
    """Network, inputs and outputs of a test of RTNeural."""
    folder = shared / "models/rtneural"
    x, y = (np.loadtxt(folder / f"{name}_{part}.csv", np.float32)[:, None] for part in "xy")
    return json.loads((folder / f"{name}.json").read_text("utf-8")), x, y


# --- ONNX and PyTorch ---------------------------------------------------------------------------


def test_noise_suppression_of_dtln(shared: Path) -> None:
    """LSTM 257 -> 128 -> 128 in ONNX's order, frame by frame and the whole recording at once."""
    weights = arrays(shared / "models/dtln/weights.npz")
    golden = arrays(shared / "models/dtln/golden.npz")
    lstm = rc.LSTM(257, 128, 2)
    for index, name in enumerate(("lstm_4", "lstm_5")):
        put_onnx_lstm(lstm, index, *(weights[f"{name}_{part}"] for part in "WRB"))
    output = dense(weights["dense_2_kernel"].T, weights["dense_2_bias"])

    y, (h, c) = lstm(golden["mag"])
    assert_near(sigmoid(output(y)), golden["mask"], 3e-6)
    assert_near(h, golden["state"][0, ..., 0], 3e-6)
    assert_near(c, golden["state"][0, ..., 1], 2e-4)  # cells go up to 75
    stream = lstm.stream()
    frames = np.stack([stream.step(frame) for frame in golden["mag"]])
    assert_near(sigmoid(output(frames)), golden["mask"], 3e-6)


def test_voice_activity_of_silero(shared: Path) -> None:
    """PyTorch's names and orders, with a state from chunk to chunk."""
    golden = arrays(shared / "models/silero_lstm/silero_lstm.npz")
    lstm = rc.LSTM(128, 128)
    for name, value in lstm.params.items():
        value[:] = golden[name.removesuffix("_l0")]
    output = dense(golden["out_w"], golden["out_b"])

    y, _ = lstm(golden["x"])
    assert_near(y, golden["h"], 1e-5)
    assert_near(sigmoid(output(np.maximum(y, 0)))[:, 0], golden["prob"], 3e-6)
    stream = lstm.stream()
    assert_near(np.stack([stream.step(x) for x in golden["x"]]), golden["h"], 1e-5)


@pytest.mark.parametrize(("kind", "name"), [(rc.GRU, "gru"), (rc.LSTM, "lstm")])
def test_rtneural_from_pytorch(shared: Path, kind: type[rc.GRU | rc.LSTM], name: str) -> None:
    content, x, expected = rtneural(shared, f"{name}_torch")
    state = {key: np.array(value, np.float32) for key, value in content.items()}
    for prefix, inputs, layers in ((f"{name}.", 1, 1), (f"{name}2.", 8, 3)):
        own = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
        layer = kind(inputs, 8, layers)
        layer.load_state_dict(own)
        x, _ = layer(x)
    assert_near(dense(state["dense.weight"], state["dense.bias"])(x), expected, 3e-7)


# --- Keras and TensorFlow -----------------------------------------------------------------------

ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "tanh": np.tanh,
    "sigmoid": sigmoid,
    "": lambda x: x,
}


@pytest.mark.parametrize("name", ["gru", "gru_1d", "lstm", "lstm_1d"])
def test_rtneural_from_keras(shared: Path, name: str) -> None:
    network, x, expected = rtneural(shared, name)
    for layer in network["layers"]:
        weights = [np.array(w, np.float32) for w in layer["weights"]]
        if layer["type"].endswith("dense"):
            x = ACTIVATIONS[layer["activation"]](dense(weights[0].T, weights[1])(x))
        else:
            recurrent = {"gru": rc.GRU, "lstm": rc.LSTM}[layer["type"]](x.shape[1], 8)
            put_keras(recurrent, weights)
            x, _ = recurrent(x)
    assert_near(x, expected, 5e-7)


def test_thai_word_segmentation(shared: Path) -> None:
    """Embedding and a bidirectional LSTM of Unicode's ICU, against NumPy in double precision."""
    golden = arrays(shared / "models/unilstm_thai/unilstm_thai.npz")
    embedding = rc.Embedding(74, 20)
    embedding.params["weight"][:] = golden["mat1"]
    lstm = rc.LSTM(20, 15, bidirectional=True)
    put_keras(lstm, [golden[f"mat{i}"] for i in (2, 3, 4)])
    put_keras(lstm, [golden[f"mat{i}"] for i in (5, 6, 7)], reverse=True)
    y, _ = lstm(embedding(golden["ids"]))
    assert_near(softmax(dense(golden["mat8"].T, golden["mat9"])(y)), golden["prob"], 1e-6)


def test_mnist_of_tensorflow_lite(shared: Path) -> None:
    """The probabilities and the accuracy of its authors' program on all 10,000 digits."""

    def content(name: str, header: int) -> Array:
        data = gzip.decompress((shared / f"data/mnist10k/t10k-{name}-ubyte.gz").read_bytes())
        return np.frombuffer(data, np.uint8, offset=header)

    weights = arrays(shared / "models/mnist_lstm_tflite/weights.npz")
    golden = arrays(shared / "models/mnist_lstm_tflite/golden.npz")
    images = content("images-idx3", 16).reshape(-1, 28, 28)
    lstm = rc.LSTM(28, 20, batch_first=True)
    put_keras(lstm, [weights["W"].T, weights["R"].T, weights["b"]])
    y, _ = lstm(images / np.float32(255))
    prob = softmax(dense(weights["dense_w"], weights["dense_b"])(y.reshape(-1, 28 * 20)))
    assert_near(prob, golden["prob"], 5e-6)
    assert (prob.argmax(1) == content("labels-idx1", 8)).mean() == golden["accuracy"] == 0.9853


# --- C ------------------------------------------------------------------------------------------


def test_noise_suppression_of_rnnoise(shared: Path) -> None:
    """GRUs that reset before the product, with weights in 8 bits, as the original C computes them.

    Its tanh and sigmoid come from a table, which is where the differences are from. Between the two
    GRUs tested here there is one with a candidate that is rectified, which rnncore does not have:
    its states are taken from the C program.
    """
    golden = arrays(shared / "models/rnnoise_cb/rnnoise_cb.npz")

    def weights(name: str, parts: str) -> list[Array]:
        return [golden[f"{name}_{part}"] / np.float32(256) for part in parts]

    def linear(name: str, x: Array) -> Array:
        kernel, bias = weights(name, "wb")
        return dense(kernel.T, bias)(x)

    def gru(name: str, x: Array) -> Array:
        layer = rc.GRU(x.shape[1], golden[f"{name}_r"].shape[0], reset="before")
        put_keras(layer, weights(name, "wrb"))
        return layer(x)[0]

    x = golden["x"]
    vad_state = gru("vad_gru", np.tanh(linear("input_dense", x)))
    assert_near(vad_state, golden["vad_state"], 1e-5)
    assert_near(sigmoid(linear("vad_output", vad_state))[:, 0], golden["vad"], 1e-5)
    states = np.hstack([golden["vad_state"], golden["noise_state"], x])
    denoise_state = gru("denoise_gru", states)
    assert_near(denoise_state, golden["denoise_state"], 5e-5)
    assert_near(sigmoid(linear("denoise_output", denoise_state)), golden["gains"], 5e-5)
