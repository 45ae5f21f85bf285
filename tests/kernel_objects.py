"""The kernels as object files, compiled with the build's own flags, and what is in them."""

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def compile_kernels(project: Path) -> dict[str, Path]:
    """Object file of each instruction set, by cmake/isa.cmake; CXX and CMAKE_ARGS as in a build."""
    for tool in ("cmake", "ninja", "nm"):
        if shutil.which(tool) is None:
            pytest.skip(f"needs {tool}")
    compiler = os.environ.get("CXX", "c++").split(" ")[0]
    if not any(map(shutil.which, (compiler, "g++", "clang++"))):
        pytest.skip("needs a C++ compiler")
    (project / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.20)\n"
        "project(kernels LANGUAGES CXX)\n"
        "set(CMAKE_CXX_STANDARD 20)\n"
        f'set(RNNCORE_SOURCE_ROOT "{ROOT / "src" / "cpp"}")\n'
        f'include("{ROOT / "cmake" / "isa.cmake"}")\n',
        encoding="utf-8",
    )
    build = project / "build"
    options = ["-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release"]
    options += shlex.split(os.environ.get("CMAKE_ARGS", ""))
    for command in (
        ["cmake", "-S", project, "-B", build, *options],
        ["cmake", "--build", build],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    prefix = "rnncore_kernels_"
    return {
        str(directory.stem).removeprefix(prefix): next(directory.rglob("*.o"))
        for directory in (build / "CMakeFiles").glob(f"{prefix}*.dir")
    }


Instruction = tuple[int, str]  # address, text


def disassemble(path: Path) -> dict[str, list[Instruction]]:
    """Instructions of each function by its mangled name; OBJDUMP names another processor's tool."""
    tool = os.environ.get("OBJDUMP", "objdump")
    if shutil.which(tool) is None:
        pytest.skip(f"needs {tool}")
    listing = subprocess.run(
        [tool, "-d", "--no-show-raw-insn", path], capture_output=True, text=True, check=True
    ).stdout
    functions: dict[str, list[Instruction]] = {}
    for line in listing.splitlines():
        if begins := re.match(r"[0-9a-f]+ <(.+)>:$", line):
            functions[begins[1]] = code = []
        elif found := re.match(r" *([0-9a-f]+):\t(.+)", line):
            code.append((int(found[1], 16), found[2]))
    return functions


def innermost_loops(code: list[Instruction]) -> list[list[Instruction]]:
    """What stands between each jump backwards and its target, if no other such jump is there."""
    jump = re.compile(r"(?:j\w+|b|b\.\w+|cbn?z|tbn?z)\s.*?\b([0-9a-f]+) <")
    first = code[0][0]
    loops = [
        (int(found[1], 16), address)
        for address, text in code
        if (found := jump.match(text)) and first <= int(found[1], 16) <= address
    ]
    inner = [
        (start, end)
        for start, end in loops
        if not any(start <= s and e <= end and (s, e) != (start, end) for s, e in loops)
    ]
    return [[i for i in code if start <= i[0] <= end] for start, end in inner]


def stack_accesses(code: list[Instruction], loop: list[Instruction]) -> int:
    """Loads and stores in a loop that go to the stack, by its pointer or a frame pointer."""
    framed = any(re.match(r"mov\s+(%rsp,%rbp|x29, sp)", text) for _, text in code)
    on_stack = re.compile(r"\((%rsp|%rbp)|\[(sp|x29)" if framed else r"\(%rsp|\[sp")
    return sum(bool(on_stack.search(text)) and not text.startswith("lea") for _, text in loop)
