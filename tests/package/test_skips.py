"""What the end of a test run says about tests that were skipped."""

import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]
FILE = """
import pytest

@pytest.mark.parametrize("k", range(60))
def test_a(k):
    pytest.skip("no kernels for avx9 on this processor")

@pytest.mark.skipif(True, reason="reads /proc")
def test_b(): ...

def test_c():
    pytest.importorskip("no_such_module")

def test_d(): ...
"""


def run(directory: Path, source: str) -> list[str]:
    """The last lines of a run as that of this repository is configured."""
    (directory / "test_it.py").write_text(source)
    options = ["-c", str(TESTS.parent / "pyproject.toml"), "--rootdir", str(directory)]
    result = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "-p", "skips", "-q", "test_it.py"],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        check=True,
        stdin=subprocess.DEVNULL,
    )
    return result.stdout.splitlines()


def test_skipped_tests_take_one_line(tmp_path: Path) -> None:
    lines = run(tmp_path, FILE)
    assert [line for line in lines if "skip" in line.lower()] == [
        "62 skipped, as is normal where something is not there: 60 x no kernels for avx9 on this "
        "processor; 1 x reads /proc; 1 x no_such_module is not installed",
        lines[-1],
    ]
    assert lines[-1].startswith("1 passed, 62 skipped")


def test_without_skipped_tests_nothing_is_said(tmp_path: Path) -> None:
    assert not any("skip" in line for line in run(tmp_path, "def test_it(): ...\n"))
