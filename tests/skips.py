"""One line that says how many tests were skipped and why, instead of one for each place."""

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any


def pytest_terminal_summary(terminalreporter: Any) -> None:
    skipped = terminalreporter.stats.get("skipped", [])
    if skipped:
        terminalreporter.write_line(skip_line(report.longrepr[2] for report in skipped))


def skip_line(reasons: Iterable[str]) -> str:
    counted = Counter(map(_reason, reasons))
    told = "; ".join(f"{count} x {reason}" for reason, count in counted.most_common())
    return f"{counted.total()} skipped, as is normal where something is not there: {told}"


def _reason(told: str) -> str:
    """What pytest.skip, a mark or importorskip has said."""
    text = told.removeprefix("Skipped: ")
    absent = re.match(r"could not import '([\w.]+)'", text)
    return f"{absent[1]} is not installed" if absent else text
