"""After pytest-benchmark's tables of times: what each benchmark recorded beside its time."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest


@pytest.fixture(autouse=True)
def _keep_extra_info(
    benchmark: Any, record_property: Callable[[str, object], None]
) -> Iterator[None]:
    """Pass on ``extra_info`` (peers, speed-up, GFLOP/s, memory) to the summary."""
    yield
    for name, value in benchmark.extra_info.items():
        record_property(name, value)


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print one line for each benchmark."""
    finished = [r for r in terminalreporter.stats.get("", []) if r.when == "teardown"]
    if any(report.user_properties for report in finished):
        terminalreporter.section("beside the times")
    for report in finished:
        facts = ", ".join(f"{name} {value}" for name, value in report.user_properties)
        if facts:
            terminalreporter.write_line(f"{report.nodeid.split('::')[-1]}: {facts}")
