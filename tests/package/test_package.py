"""The installed package: names, version, files, instruction sets, and what importing it does."""

import ast
import importlib.metadata
import importlib.resources
import io
import os
import platform
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import rnncore as rc
from instruction_sets import INSTRUCTION_SETS
from rnncore import _core

ROOT = Path(__file__).resolve().parents[2]

# The names of the design that users rely on.
PUBLIC_NAMES = [
    *("RNN", "GRU", "LSTM", "Linear", "Embedding", "Dropout", "LanguageModel", "save", "load"),
    *("isa", "available_isas", "set_num_threads", "get_num_threads"),
    *("data", "datasets", "init", "losses", "models", "optim", "text", "training"),
]

# Not needed for import: extras, and parts of the standard library that take long to load.
HEAVY_MODULES = {"torch", "rich", "matplotlib", "scipy", "onnx"}
HEAVY_MODULES |= {"argparse", "multiprocessing", "asyncio", "unittest"}


def run_python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run code in a new interpreter, with RNNCORE_ISA only if given."""
    inherited = {k: v for k, v in os.environ.items() if k != "RNNCORE_ISA"}
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )


# --- names, versions, files ---------------------------------------------------------------------


@pytest.mark.parametrize("name", PUBLIC_NAMES)
def test_public_name(name: str) -> None:
    assert getattr(rc, name) is not None
    assert name in dir(rc)
    assert name in rc.__all__


def test_unknown_name_is_an_attribute_error() -> None:
    misspelt = "LTSM"
    with pytest.raises(AttributeError, match=misspelt):
        getattr(rc, misspelt)


def test_version_is_that_of_the_distribution() -> None:
    try:
        installed = importlib.metadata.version("rnncore")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("rnncore is not installed but on PYTHONPATH")
    assert installed == rc.__version__


def test_type_information_is_installed() -> None:
    files = importlib.resources.files("rnncore")
    assert (files / "py.typed").is_file()
    assert (files / "_core.pyi").is_file()


def test_stub_and_extension_have_the_same_names() -> None:
    stub = ast.parse((importlib.resources.files("rnncore") / "_core.pyi").read_text("utf-8"))
    described = {n for node in stub.body if (n := getattr(node, "name", None))}
    assert described == {n for n in dir(_core) if not n.startswith("_")}
    for node in stub.body:
        if isinstance(node, ast.ClassDef):
            methods = {f.name for f in node.body if isinstance(f, ast.FunctionDef)} - {"__init__"}
            present = {n for n in vars(getattr(_core, node.name)) if not n.startswith("_")}
            assert methods == present, node.name


def test_the_wheel_is_within_its_limit() -> None:
    """What is installed, packed as it came, is the wheel that the session `wheel` measures."""
    try:
        files = importlib.metadata.files("rnncore") or []
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("rnncore is not installed but on PYTHONPATH")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as wheel:
        for file in files:
            if file.suffix not in {".pyc", ".xz"}:
                wheel.write(file.locate(), str(file))
    (limit,) = re.findall(
        r"^WHEEL_LIMIT = ([\d_]+)", (ROOT / "noxfile.py").read_text(), re.MULTILINE
    )
    assert len(packed.getvalue()) < int(limit)


# --- import -------------------------------------------------------------------------------------


def test_import_loads_no_heavy_module() -> None:
    code = (
        "import sys, numpy; before = set(sys.modules); import rnncore; "
        "print(*set(sys.modules) - before)"
    )
    result = run_python(code)
    assert result.returncode == 0, result.stderr
    loaded = set(result.stdout.split())
    assert "rnncore" in loaded
    assert not {name.partition(".")[0] for name in loaded} & HEAVY_MODULES
    assert not loaded & {"rnncore.cli", "rnncore._bench"}


def test_subnormal_numbers_survive_import_and_calls() -> None:
    """-ffast-math on the link line would make the whole process flush them to zero."""
    code = (
        "import numpy as np, rnncore as rc; "
        "rc.LSTM(2, 3, rng=0)(np.zeros((4, 1, 2), np.float32)); "
        "print(np.float32(1e-40) * np.float32(0.5), np.float64(1e-310) * 0.5)"
    )
    result = run_python(code)
    assert result.returncode == 0, result.stderr
    assert all(float(value) > 0 for value in result.stdout.split())


# --- instruction sets ---------------------------------------------------------------------------


def test_active_set_is_the_best_available() -> None:
    result = run_python("import rnncore as rc; print(rc.isa(), *rc.available_isas())")
    assert result.returncode == 0, result.stderr
    active, *available = result.stdout.split()
    order = [name for name in INSTRUCTION_SETS if name in available]
    assert available == order
    assert available[0] == "baseline"
    assert active == available[-1]


@pytest.mark.parametrize("name", INSTRUCTION_SETS)
def test_forced_set_is_active(name: str) -> None:
    if name not in rc.available_isas():
        pytest.skip(f"no kernels for {name} on this processor")
    result = run_python("import rnncore as rc; print(rc.isa())", RNNCORE_ISA=name)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == [name]


@pytest.mark.parametrize("name", ["sse9", "AVX 2", "avx2,avx512"])
def test_unknown_forced_set_fails_and_says_what_there_is(name: str) -> None:
    result = run_python("import rnncore as rc; print(rc.isa())", RNNCORE_ISA=name)
    assert result.returncode != 0
    message = result.stderr.strip().splitlines()[-1]
    assert "RNNCORE_ISA" in message
    assert name in message
    assert all(available in message for available in rc.available_isas())


def test_forced_set_that_the_processor_lacks_fails() -> None:
    lacking = [name for name in INSTRUCTION_SETS if name not in rc.available_isas()]
    if not lacking:
        pytest.skip("this processor has every instruction set")
    for name in lacking:
        result = run_python("import rnncore as rc; print(rc.isa())", RNNCORE_ISA=name)
        assert result.returncode != 0
        message = result.stderr.strip().splitlines()[-1]
        assert "RNNCORE_ISA" in message
        assert name in message


# --- separation of the kernels ------------------------------------------------------------------


def foreign_symbols(symbols: str, name: str) -> list[str]:
    """Lines of `nm` output that do not belong to the kernel namespace of one instruction set.

    Defined symbols must be in rnncore::<name>. Undefined ones may be C functions only: anything
    in C++ would be shared with code compiled for another processor.
    """
    own = re.compile(rf"_+Z+NK?7rnncore{len(name)}{name}(?=\d|E|L)")
    foreign = []
    for line in symbols.splitlines():
        *_, kind, symbol = line.split()
        if not (own.match(symbol) or (kind in "Uw" and not re.match(r"_+Z", symbol))):
            foreign.append(line.strip())
    return foreign


@pytest.mark.parametrize(
    ("line", "belongs"),
    [
        ("0000 D _ZN7rnncore4avx25tableE", True),
        ("0000 W _ZZN7rnncore4avx23addEPfENKUlvE_clEv", True),
        ("                 U memset", True),
        ("0000 D _ZN7rnncore6avx5125tableE", False),
        ("0000 W _ZNSt6vectorIfSaIfEED2Ev", False),
        ("0000 W _ZN7rnncore10kernels_ofIfEEvv", False),
        ("0000 T helper", False),
        ("                 U _ZNSt6vectorIfSaIfEED2Ev", False),
    ],
)
def test_foreign_symbols_are_seen(line: str, belongs: bool) -> None:
    assert foreign_symbols(line, "avx2") == ([] if belongs else [line.strip()])


def test_kernels_export_their_own_namespace_only(kernel_objects: dict[str, Path]) -> None:
    if platform.machine() == "x86_64":
        elsewhere = set() if sys.platform == "linux" else {"avx512_amx"}
        assert set(kernel_objects) == set(INSTRUCTION_SETS) - elsewhere
    else:
        assert set(kernel_objects) == {"baseline"}
    for name, path in kernel_objects.items():
        listing = subprocess.run(["nm", "-g", path], capture_output=True, text=True, check=True)
        assert f"7rnncore{len(name)}{name}5tableE" in listing.stdout
        assert foreign_symbols(listing.stdout, name) == []


def test_a_machine_without_a_compiler_is_told_what_to_install(tmp_path: Path) -> None:
    tools = {name: shutil.which(name) for name in ("cmake", "ninja")}
    for name, path in tools.items():
        if path is None:
            pytest.skip(f"needs {name}")
        (tmp_path / name).symlink_to(path)
    inherited = {k: v for k, v in os.environ.items() if k not in {"CXX", "CXXFLAGS"}}
    done = subprocess.run(
        [tools["cmake"], "-S", ROOT, "-B", tmp_path / "build", "-G", "Ninja"],
        env={**inherited, "PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    told = " ".join(done.stderr.split())
    assert "no C++ compiler was found. Install g++ 12 or newer, or clang 14 or newer:" in told
