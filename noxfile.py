"""Sessions: tests, lint, asan, bench, wheel. `nox -s lint` runs one of them."""

import shutil
import subprocess
from pathlib import Path

import nox

nox.needs_version = ">=2024.4"
nox.options.default_venv_backend = "venv"
nox.options.sessions = ["tests", "lint"]

EXTRAS = nox.project.load_toml("pyproject.toml")["project"]["optional-dependencies"]
WHEEL_LIMIT = 2_000_000  # bytes, the embedded text not counted
# What calls the kernels with odd sizes and the bindings with bad arguments.
SANITIZED_TESTS = (
    "test_kernels*.py",
    "test_bfloat16_kernels.py",
    "test_stored_weights.py",
    "test_held*.py",
    "test_frozen.py",
    "test_attention*.py",
    "test_ctc_*.py",
    "test_ngram.py",
    "test_prefix_decoder.py",
    "test_label_smoothing.py",
    "test_output_gradient.py",
    "test_heads.py",
    "test_memory_limit.py",
    "test_edges.py",
    "test_layouts.py",
    "test_bad_*.py",
)


@nox.session
def tests(session: nox.Session) -> None:
    """The test suite against an installed package."""
    session.install(".[test]")
    session.run("pytest", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Formatting, lint and types; changes nothing."""
    session.install(*EXTRAS["lint"], "numpy", "safetensors")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    sources = [str(p) for p in sorted(Path("src/cpp").rglob("*")) if p.suffix in {".cpp", ".hpp"}]
    session.run("clang-format", "--dry-run", "-Werror", *sources)
    session.run("mypy")


@nox.session
def asan(session: nox.Session) -> None:
    """Kernel and bad-input tests under the address and undefined-behaviour sanitizers."""
    session.install("numpy", "safetensors", "pytest", "hypothesis")
    session.install(
        "--no-deps",
        "--config-settings=cmake.define.RNNCORE_SANITIZE=ON",
        "--config-settings=install.strip=false",  # keep names for the reports
        ".",
    )
    # Python itself is not instrumented: the run-time libraries must come first. libstdc++ is among
    # them because AddressSanitizer looks up __cxa_throw when it starts.
    libraries = [
        subprocess.check_output(["g++", f"-print-file-name={name}"], text=True).strip()
        for name in ("libasan.so", "libubsan.so", "libstdc++.so")
    ]
    chosen = [str(p) for pattern in SANITIZED_TESTS for p in sorted(Path("tests").rglob(pattern))]
    session.run(
        "python",
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "--capture=sys",  # leaves file descriptor 2 to the reports, which end the process
        *(session.posargs or chosen),
        env={
            "LD_PRELOAD": " ".join(libraries),
            # CPython frees little at exit; a refused allocation must end in a MemoryError
            "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1",
            "UBSAN_OPTIONS": "print_stacktrace=1",
        },
    )


@nox.session
def bench(session: nox.Session) -> None:
    """Benchmarks beside PyTorch and ONNX Runtime; see benchmarks/README.md for the method."""
    session.install(".[bench]")
    session.run("pytest", "benchmarks", *session.posargs)


@nox.session
def wheel(session: nox.Session) -> None:
    """Sdist and wheel into dist/; fails when the wheel has grown past its limit."""
    session.install("build")
    shutil.rmtree("dist", ignore_errors=True)
    session.run("python", "-m", "build")
    (built,) = Path("dist").glob("*.whl")
    text = sum(p.stat().st_size for p in Path("python/rnncore/datasets").glob("*.xz"))
    size = built.stat().st_size - text
    session.log(f"{built.name}: {size} bytes and {text} bytes of text")
    if size > WHEEL_LIMIT:
        session.error(f"the wheel has {size} bytes without the text; the limit is {WHEEL_LIMIT}")
