"""Transcripts in the formats of other programs: CTM and TextGrid."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rnncore.ctc import Transcript

__all__ = ["ctm_lines", "textgrid"]


def ctm_lines(path: str, transcript: Transcript, step: float) -> Iterator[str]:
    """Yield recording, channel, start, duration, symbol and confidence of each segment: CTM.

    The recording is the name of the file without its suffix; blanks in it become underscores.

    Parameters
    ----------
    path : str
        File of the recording.
    transcript : Transcript
        What was found.
    step : float
        Seconds of one frame.
    """
    name = "_".join(Path(path).stem.split())
    for segment in transcript.segments:
        start, duration = segment.start * step, (segment.end - segment.start) * step
        said = "_".join(str(segment.symbol).split()) or "_"  # blanks part the columns
        yield f"{name} 1 {start:.3f} {duration:.3f} {said} {segment.probability:.4f}"


def textgrid(transcript: Transcript, num_steps: int, step: float) -> str:
    """Return the TextGrid of Praat: one tier of intervals, empty where there is no symbol.

    Parameters
    ----------
    transcript : Transcript
        What was found.
    num_steps : int
        Frames of the recording.
    step : float
        Seconds of one frame.
    """
    intervals, at = [], 0
    for segment in transcript.segments:
        if segment.start > at:
            intervals.append((at, segment.start, ""))
        intervals.append((segment.start, segment.end, str(segment.symbol)))
        at = segment.end
    if at < num_steps:
        intervals.append((at, num_steps, ""))
    end = num_steps * step
    lines = [
        'File type = "ooTextFile"',
        'Object class = "TextGrid"',
        "",
        "xmin = 0",
        f"xmax = {end:.6g}",
        "tiers? <exists>",
        "size = 1",
        "item []:",
        "    item [1]:",
        '        class = "IntervalTier"',
        '        name = "symbols"',
        "        xmin = 0",
        f"        xmax = {end:.6g}",
        f"        intervals: size = {len(intervals)}",
    ]
    for number, (first, last, symbol) in enumerate(intervals, start=1):
        quoted = symbol.replace('"', '""')
        lines += [
            f"        intervals [{number}]:",
            f"            xmin = {first * step:.6g}",
            f"            xmax = {last * step:.6g}",
            f'            text = "{quoted}"',
        ]
    return "\n".join(lines) + "\n"
