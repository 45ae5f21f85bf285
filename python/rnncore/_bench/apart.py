"""Libraries measured in turn, each in a process of its own.

With several threads, libraries in one process disturb each other: PyTorch and rnncore would share
one OpenMP runtime, whose threads wait as whoever was imported first has asked for.
"""

from __future__ import annotations

import importlib.util
import os
import pickle
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import rnncore
from rnncore._bench import peers
from rnncore._bench.timing import Effort, Step, Timing, interleaved, rate, sampled, seconds

__all__ = ["Build", "Side", "Sides", "compared", "serve"]

#: What builds the steps of all libraries: a function at the top of a module that can be imported.
Build = Callable[..., Mapping[str, Step]]


class Sides:
    """One process for each library that is installed, started when it is first needed."""

    def __init__(self) -> None:
        self._processes: dict[str, _Process] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in self._processes.values():
            process.end()
        self._processes.clear()

    @property
    def pids(self) -> list[int]:
        """Numbers of the processes."""
        return [process.pid for process in self._processes.values()]

    def build(self, num_threads: int, build: Build, *arguments: Any) -> dict[str, Side]:
        """Let each library build its steps in its process; return them by name.

        Parameters
        ----------
        num_threads : int
            Threads of rnncore; the function sets those of the others.
        build : function
            Returns the steps by name: that of the library, and a word more where it has several.
        *arguments
            Of the function.
        """
        built = {}
        for library, module in peers.LIBRARIES.items():
            if library not in self._processes:
                if importlib.util.find_spec(module) is None:
                    continue
                self._processes[library] = _Process(module)
            process = self._processes[library]
            for name in process.ask("build", library, num_threads, build, arguments):
                built[name] = Side(process, name)
        return built


def compared(
    sides: Sides, num_threads: int, effort: Effort, build: Build, *arguments: Any
) -> dict[str, Timing]:
    """Measure what a function builds: on one thread here, on several in a process for each library.

    Returns
    -------
    timings : dict of name -> Timing
    """
    if num_threads == 1:
        return interleaved(build(*arguments), effort)
    built = sides.build(num_threads, build, *arguments)
    return sampled({name: side.seconds for name, side in built.items()}, effort)


@dataclass(frozen=True)
class Side:
    """A step in the process of its library."""

    process: _Process
    name: str

    def seconds(self, repeats: int, settle: float) -> float:
        """Return the mean seconds of `repeats` calls, as `timing.seconds`."""
        return float(self.process.ask("seconds", self.name, repeats, settle))

    def rate(self, duration: float) -> float:
        """Return calls per second over a time, as `timing.rate`."""
        return float(self.process.ask("rate", self.name, duration))


class _Process:
    """A process that builds steps and runs them when asked."""

    def __init__(self, module: str) -> None:
        # The library first: threads wait as whoever is imported first has asked for.
        code = (
            f"import sys; sys.path[:] = {sys.path!r}\n"
            f"try: import {module}\n"
            "except (ImportError, OSError): pass\n"  # installed, but it does not run here
            f"from rnncore._bench.apart import serve; serve({module!r})"
        )
        self._process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            process_group=0,  # Ctrl-C is for this process, which ends that one
        )

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    def ask(self, *request: Any) -> Any:
        """Return the answer to a request; RuntimeError with the other side's traceback."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        pickle.dump(request, self._process.stdin)
        self._process.stdin.flush()
        failed, answer = pickle.load(self._process.stdout)
        if failed:
            raise RuntimeError(answer)
        return answer

    def end(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()


def _is_of(name: str, library: str) -> bool:
    return name == library or name.startswith(f"{library} ")


_MEASURES: dict[str, Callable[..., float]] = {"seconds": seconds, "rate": rate}


def serve(module: str) -> None:
    """Answer requests from standard input until it ends."""
    peers.leave_out_others(module)
    requests = sys.stdin.buffer
    # What a library prints must not get between the answers.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    steps: dict[str, Step] = {}
    while True:
        try:
            request, *arguments = pickle.load(requests)
        except EOFError:
            return
        failed = False
        answer: Any = None
        try:
            if request == "build":
                library, num_threads, build, given = arguments
                rnncore.set_num_threads(num_threads)
                steps = {}  # frees what the last ones held
                steps = {n: s for n, s in build(*given).items() if _is_of(n, library)}
                answer = list(steps)
            else:
                name, *rest = arguments
                answer = _MEASURES[request](steps[name], *rest)
        except Exception:
            failed, answer = True, traceback.format_exc()
        pickle.dump((failed, answer), answers)
        answers.flush()
