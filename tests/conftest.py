"""Fixtures of all tests: instruction set, dtype, seed, tolerance, data beside the repository."""

import importlib
import os
import zlib
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import numpy as np
import pytest

from instruction_sets import INSTRUCTION_SETS, selected
from kernel_objects import compile_kernels
from rnncore import _core
from skips import pytest_terminal_summary as pytest_terminal_summary

# No test may fail because a machine is slow. In CI the examples are the same in every run.
hypothesis.settings.register_profile(
    "rnncore", deadline=None, derandomize="CI" in os.environ, print_blob=True
)
hypothesis.settings.load_profile("rnncore")


def pytest_configure() -> None:
    """RNNCORE_REQUIRE=torch,rich: no test may skip for want of these modules."""
    for name in filter(None, os.environ.get("RNNCORE_REQUIRE", "").split(",")):
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise pytest.UsageError(
                f"RNNCORE_REQUIRE: expected modules that can be imported, got {name}: {error}"
            ) from None


# What may differ from one Python to the next: import, arrays, files, signals. Kernels do not.
SMOKE_TESTS = {
    *("test_package.py", "test_instruction_sets.py", "test_layers.py", "test_gradients.py"),
    *("test_parameters.py", "test_io.py", "test_text.py", "test_interrupt.py"),
}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """`pytest -m smoke`: the tests for Pythons on which the whole suite does not run."""
    for item in items:
        compiles = "kernel_objects" in getattr(item, "fixturenames", ())
        if item.path.name in SMOKE_TESTS and not compiles:
            item.add_marker("smoke")


@pytest.fixture(params=INSTRUCTION_SETS)
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    """Every instruction set in turn, active during the test; skips what the processor lacks."""
    name: str = request.param
    if name not in _core.available_isas():
        pytest.skip(f"no kernels for {name} on this processor")
    with selected(name):
        yield name


@pytest.fixture(params=[np.float32, np.float64], ids=["float32", "float64"])
def dtype(request: pytest.FixtureRequest) -> type[np.floating]:
    return request.param


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """A seed of its own for each test and parameter set, the same in every run and folder."""
    _, _, name = request.node.nodeid.partition("::")
    return zlib.crc32(f"tests/{request.path.name}::{name}".encode())


@pytest.fixture
def tolerance(dtype: type[np.floating]) -> float:
    """Largest error allowed, relative to the largest magnitude expected.

    float32: about 100 roundings (eps = 6e-8), what sums over some hundred products in another order
    come to. float64: the same number of roundings and a reserve for exp and tanh.
    """
    return {np.float32: 1e-5, np.float64: 1e-12}[dtype]


@pytest.fixture(scope="session")
def shared() -> Path:
    """The collection of data sets that may lie beside the repository."""
    path = Path(__file__).resolve().parents[2] / "shared"
    if not path.is_dir():
        pytest.skip("needs the data collection ../shared beside the repository, which is not there")
    return path


@pytest.fixture(scope="session")
def kernel_objects(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Object file of each instruction set, compiled with the build's own cmake/isa.cmake."""
    return compile_kernels(tmp_path_factory.mktemp("kernels"))
