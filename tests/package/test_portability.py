"""What other systems lack, or do otherwise, as far as it can be seen on this one."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import rnncore as rc

ROOT = Path(__file__).resolve().parents[2]


def test_no_size_is_a_long() -> None:
    """Which has 32 bits on Windows: sizes are std::ptrdiff_t. Only C itself may ask for a long."""
    asked_by_c = re.compile(r"sysconf|strtol|std::min<long>|ARCH_REQ")
    longs = [
        f"{path.name}:{number}: {line.strip()}"
        for path in sorted((ROOT / "src" / "cpp").glob("*/*.?pp"))
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if re.search(r"(?<!long )\blong\b(?! long)", line.split("//")[0])
        and not asked_by_c.search(line)
    ]
    assert not longs, "\n".join(longs)


def test_models_are_saved_where_the_system_knows_no_permissions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "fchmod", raising=False)
    monkeypatch.delattr(os, "O_CLOEXEC", raising=False)
    path = tmp_path / "model.safetensors"
    for seed in range(2):  # the second replaces the first, whose permissions it would take over
        layer = rc.LSTM(2, 3, rng=seed)
        rc.save(layer, path)
        assert (rc.load(path).flat_params == layer.flat_params).all()


def test_models_are_written_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without O_BINARY, Windows would write CR LF for each byte that is a line feed."""
    binary = 1 << 24  # no flag of this system
    monkeypatch.setattr(os, "O_BINARY", binary, raising=False)
    opened, flags_of_writing = os.open, []

    def noted(path: str | Path, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_WRONLY:
            flags_of_writing.append(flags)
        return opened(path, flags & ~binary, mode)

    monkeypatch.setattr(os, "open", noted)
    rc.save(rc.LSTM(2, 3), tmp_path / "model.safetensors")
    assert flags_of_writing
    assert all(flags & binary for flags in flags_of_writing)


@pytest.mark.parametrize(("required", "status"), [("numpy", 0), ("numpy,no_such_module", 4)])
def test_modules_can_be_required_of_a_run(required: str, status: int) -> None:
    """Where comparisons must not be skipped, as in CI, a missing peer is an error."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", __file__],
        env={**os.environ, "RNNCORE_REQUIRE": required},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status, done.stdout + done.stderr
    assert ("no_such_module" in done.stderr) == (status != 0)
