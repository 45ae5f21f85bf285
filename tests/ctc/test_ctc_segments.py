"""Segment and Transcript: names for ids, what they are made of."""

import pytest

from rnncore.ctc import Segment, Transcript


def test_names_for_ids() -> None:
    transcript = Transcript([2, 1], -1.5, [Segment(2, 0, 1, 0.9), Segment(1, 3, 5, 0.5)])
    named = transcript.named(["-", "a", "b"])
    assert named.symbols == ("b", "a")
    assert [s.symbol for s in named.segments] == ["b", "a"]
    assert [(s.start, s.end, s.probability) for s in named.segments] == [(0, 1, 0.9), (3, 5, 0.5)]
    assert named.score == transcript.score


def test_transcripts_are_values() -> None:
    """They compare by content, whatever sequence they were made of, and nothing changes them."""
    assert Transcript([1], 0.0, [Segment(1, 0, 1, 1.0)]) == Transcript(
        (1,), 0.0, (Segment(1, 0, 1, 1.0),)
    )
    assert Transcript([], 0.0).segments == ()
    with pytest.raises(AttributeError):
        Segment(1, 0, 1, 1.0).start = 2  # type: ignore[misc]


def test_a_misspelled_field() -> None:
    with pytest.raises(TypeError, match="did you mean probability"):
        Segment(1, 0, 1, probabilty=1.0)  # type: ignore[call-arg]
