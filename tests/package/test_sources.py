"""The C++ sources keep to the layers that their README states."""

import platform
import re
import shutil
import subprocess
from pathlib import Path

import pytest

SOURCES = Path(__file__).resolve().parents[2] / "src" / "cpp"


def permitted() -> dict[str, list[str]]:
    """The table "Who may include whom": directory -> what it may include besides itself."""
    rows = re.findall(
        r"^\| `(\w+)/` \|.*\|(.*)\|$", (SOURCES / "README.md").read_text("utf-8"), re.MULTILINE
    )
    return {directory: re.findall(r"`([\w./]+)`", allowed) for directory, allowed in rows}


def test_every_directory_is_in_the_table() -> None:
    assert set(permitted()) == {p.name for p in SOURCES.iterdir() if p.is_dir()}


@pytest.mark.parametrize("directory", sorted(permitted()))
def test_includes(directory: str) -> None:
    allowed = (f"{directory}/", *permitted()[directory])
    files = [p for p in (SOURCES / directory).rglob("*") if p.suffix in {".cpp", ".hpp"}]
    assert files
    for path in files:
        for included in re.findall(r'^#include "(.+)"', path.read_text("utf-8"), re.MULTILINE):
            assert included.startswith(allowed), f"{path.name} includes {included}"


def test_the_lock_is_released_and_taken_in_one_way() -> None:
    """pybind11's ends the process where the interpreter is being finalized; see ReleasedLock."""
    for path in (SOURCES / "bindings").iterdir():
        code = re.sub(r"//.*", "", path.read_text("utf-8"))
        assert not re.search(r"gil_scoped_|PyGILState_Ensure", code), path.name


def test_lines_have_at_most_120_columns() -> None:
    """Which clang-format sees to, but not in comments."""
    for path in SOURCES.rglob("*.?pp"):
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            assert len(line) <= 120, f"{path.name}:{number}"


def test_kernels_use_no_standard_templates() -> None:
    """Compiled for AVX-512 and merged by the linker, they would crash older processors."""
    headers = {"cstddef", "cstdint", "immintrin.h", "arm_neon.h"}  # types and intrinsics only
    for path in (SOURCES / "kernels").iterdir():
        included = re.findall(r"^ *# *include <(.+)>", path.read_text("utf-8"), re.MULTILINE)
        assert set(included) <= headers, path.name


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="flags of x86-64")
@pytest.mark.parametrize("flag", ["-mavx", "-mavx2", "-mavx512f", "-march=sapphirerapids"])
def test_kernels_compile_with_flags_of_the_user(flag: str) -> None:
    """CXXFLAGS reach every set, the baseline too, and name processors between two sets."""
    compiler = shutil.which("c++")
    if compiler is None:
        pytest.skip("no compiler")
    source = SOURCES / "kernels" / "kernels.cpp"
    own = ("-std=c++20", "-fno-exceptions", "-Wno-psabi", "-DRNNCORE_ISA=baseline", f"-I{SOURCES}")
    subprocess.run([compiler, "-fsyntax-only", *own, flag, str(source)], check=True)
