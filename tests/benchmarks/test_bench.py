"""The command ``rnncore bench`` and its measuring. Times are not looked at, only what is timed."""

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnncore as rc
from rnncore._bench import peers, pytorch
from rnncore._bench.apart import Sides, compared
from rnncore._bench.ceilings import peak_gflops, read_gigabytes
from rnncore._bench.layers import GATES, Case, frozen_step, inference_steps, training_steps
from rnncore._bench.machine import processor_seconds, threads
from rnncore._bench.sampling import Sampling
from rnncore._bench.tables import Check, Column, Table, geometric_mean, markdown, show, verdict
from rnncore._bench.timing import Effort, Step, Timing, interleaved
from rnncore.cli import bench, main

ONCE = Effort(rounds=1, least_rounds=1, budget=0, sample=0)


@pytest.fixture
def _no_peers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "_left_out", {"torch", "onnxruntime"})
    monkeypatch.setattr(peers, "LIBRARIES", {"rnncore": "rnncore"})


@pytest.fixture(autouse=True)
def _torch_threads_restored() -> Iterator[None]:
    before = None if pytorch.torch() is None else pytorch.torch().get_num_threads()
    yield
    if before is not None:
        pytorch.torch().set_num_threads(before)


# --- the command --------------------------------------------------------------------------------


@pytest.fixture
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "_SHAPES", ((3, 2, 4, 5),))
    monkeypatch.setattr(bench, "_SAMPLING", (Sampling(1, 8),))


@pytest.mark.usefixtures("_small", "_no_peers")
def test_bench_prints_every_measurement(capsys: pytest.CaptureFixture[str]) -> None:
    count = rc.get_num_threads()
    assert main(["bench", "--seconds", "0"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert rc.get_num_threads() == count
    assert any(line.startswith("rnncore ") and rc.isa() in line for line in lines)
    for cell in GATES:
        for pass_ in ("training", "inference"):
            rows = [line.split() for line in lines if line.startswith(f"{cell} 3,2,4,5 {pass_}")]
            assert len(rows) == len({1, count})
            for row in rows:  # time, GFLOP/s, % of peak; nothing where there are no peers
                assert [float(cell) >= 0 for cell in row[3:]] == [True] * 3
    assert any(line.startswith("1 x 8 LSTM") for line in lines)


@pytest.mark.usefixtures("_small")
def test_bench_has_the_peers_that_are_installed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--seconds", "0"]) == 0
    lines = capsys.readouterr().out.splitlines()
    row = next(line.split() for line in lines if line.startswith("GRU 3,2,4,5 training"))
    assert len(row) == (3 if pytorch.torch() is None else 5) + 3


def test_bench_refuses_a_negative_time(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--seconds", "-1"]) == 2
    assert capsys.readouterr().err.startswith("rnncore: error: --seconds: ")


# --- what is timed ------------------------------------------------------------------------------


@pytest.mark.parametrize("num_layers", [1, 3])
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("cell", GATES)
def test_all_libraries_compute_the_same_outputs(cell: str, batch: int, num_layers: int) -> None:
    case = Case(cell, 7, batch, 4, 5, num_layers)
    steps = inference_steps(case, num_threads=1) | frozen_step(case)
    ours: Any = steps.pop("rnncore")()
    assert ours.shape == (7, batch, 5)
    for name, step in steps.items():
        peer = np.asarray(step()).reshape(ours.shape)  # ONNX has an axis for directions
        # float32 sums of ten products in another order
        np.testing.assert_allclose(peer, ours, rtol=1e-4, atol=1e-6, err_msg=name)


@pytest.mark.usefixtures("_no_peers")
def test_without_peers_there_is_rnncore_alone() -> None:
    case = Case("LSTM", 2, 1, 3, 4)
    assert list(training_steps(case)) == ["rnncore"]
    assert list(inference_steps(case)) == ["rnncore"]
    assert Sampling(1, 4).peer_steps(1) == {}


def test_a_training_step_computes_gradients() -> None:
    for step in training_steps(Case("GRU", 3, 2, 4, 5)).values():
        step()
    case = Case("LSTM", 35, 20, 200, 300)
    assert case.training_gflop == 3 * 2 * 35 * 20 * 4 * 300 * (200 + 300) / 1e9
    assert case.recurrent_bytes == 4 * 4 * 300 * 300
    deep = Case("LSTM", 35, 20, 200, 300, 2)
    assert deep.forward_gflop == 2 * 35 * 20 * 4 * 300 * (200 + 300 + 300 + 300) / 1e9
    assert deep.name == "LSTM 35,20,200,2x300"


def test_pytorch_is_left_out_where_it_has_no_bfloat16() -> None:
    """As its LSTM is under autocast on processors without AVX-512."""
    pytest.importorskip("torch")

    def refused() -> None:
        raise RuntimeError("could not create a primitive descriptor")

    assert pytorch.step_on_threads(1, refused, bfloat16=True) == {}
    assert list(pytorch.step_on_threads(1, refused, bfloat16=False)) == [pytorch.NAME]
    assert list(pytorch.step_on_threads(1, lambda: None, bfloat16=True)) == [pytorch.NAME]


def test_sampling_steps_draw() -> None:
    case = Sampling(2, 8, vocab_size=5)
    drawn: Any = case.step(6)()
    assert len(drawn) == 6
    for step in case.peer_steps(2).values():
        step()


def test_ceilings_are_measured() -> None:
    assert peak_gflops(budget=0) > 0
    assert read_gigabytes(1 << 12, budget=0) > 0


# --- how it is timed ----------------------------------------------------------------------------


def test_steps_are_measured_in_turn() -> None:
    calls: list[str] = []
    steps = {name: lambda name=name: calls.append(name) for name in "ab"}
    timings = interleaved(steps, Effort(rounds=4, least_rounds=4, budget=0, sample=0))
    assert "".join(calls) == "aabb" + "ab" * 4
    assert all(timing.median >= 0 for timing in timings.values())


def test_several_threads_are_measured_in_a_process_for_each_library() -> None:
    case = Case("LSTM", 3, 2, 4, 5)
    with Sides() as sides:
        timings = compared(sides, 2, ONCE, inference_steps, case, 2)
        assert list(timings) == list(inference_steps(case, 2))
        assert all(timing.median > 0 for timing in timings.values())
        pids = sides.pids
        assert len(set(pids)) == len(timings)
        # a library that has no such step is left out
        assert "ONNX Runtime" not in compared(sides, 2, ONCE, training_steps, case, 2)
        assert sides.pids == pids
    assert sides.pids == []
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def several_steps(case: Case, num_threads: int) -> dict[str, Step]:
    """What a benchmark gives: a library's name, and more words where it has several steps."""
    return inference_steps(case, num_threads) | frozen_step(case) | {"no library": int}


def test_a_library_may_have_several_steps() -> None:
    case = Case("LSTM", 3, 2, 4, 5)
    with Sides() as sides:
        timings = compared(sides, 2, ONCE, several_steps, case, 2)
        assert set(timings) == {*inference_steps(case, 2), "rnncore frozen"}
        assert len(sides.pids) == len(timings) - 1


@pytest.mark.usefixtures("_no_peers")
def test_an_error_in_the_process_of_a_library_is_told() -> None:
    case = Case("LSTM", 3, 2, 4, 0)  # no units
    with Sides() as sides, pytest.raises(RuntimeError, match="hidden_size: expected at least 1"):
        compared(sides, 2, ONCE, inference_steps, case, 2)


def test_a_library_that_does_not_run_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """As PyTorch without one of its shared libraries."""
    (tmp_path / "broken.py").write_text("raise OSError('no such library')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(peers, "LIBRARIES", {"rnncore": "rnncore", "Broken": "broken"})
    monkeypatch.setattr(peers, "_left_out", {"torch", "onnxruntime"})
    assert peers.module("broken") is None
    with Sides() as sides:
        timings = compared(sides, 2, ONCE, inference_steps, Case("LSTM", 3, 2, 4, 5), 2)
    assert list(timings) == ["rnncore"]
    assert capfd.readouterr().err == ""


@pytest.mark.usefixtures("_no_peers")
def test_ctrl_c_is_not_for_the_processes_of_libraries() -> None:
    """A terminal sends it to all processes of the group; they would print where they were."""
    with Sides() as sides:
        compared(sides, 2, ONCE, inference_steps, Case("LSTM", 3, 2, 4, 5), 2)
        assert all(os.getpgid(pid) != os.getpgrp() for pid in sides.pids)


def test_processor_time_of_this_program() -> None:
    before = processor_seconds()
    if before is None:
        pytest.skip("reads /proc")
    end = time.process_time() + 0.2
    while time.process_time() < end:
        pass
    after = processor_seconds()
    assert after is not None
    busy, own = (now - then for now, then in zip(after, before, strict=True))
    assert own >= 0.15  # the clock ticks a hundred times a second
    assert busy >= 0.15
    child = processor_seconds([os.getpid()])  # as if there were another like this one
    assert child is not None
    assert child[1] >= after[1] + 0.15


def test_the_budget_ends_the_rounds_but_not_the_least_of_them() -> None:
    calls: list[None] = []
    interleaved({"": lambda: calls.append(None)}, Effort(9, 3, budget=0, sample=0))
    assert len(calls) == 2 + 3
    calls.clear()
    interleaved({"": lambda: calls.append(None)}, Effort(9, 3, budget=60, sample=0))
    assert len(calls) == 2 + 9


def test_median_and_spread() -> None:
    timing = Timing((4.0, 1.0, 2.0, 3.0, 100.0))
    assert (timing.median, timing.spread) == (3.0, 1.0)
    once = Timing((2.0,))
    assert (once.median, once.spread) == (2.0, 0.0)


def test_ratios_are_of_samples_of_one_round() -> None:
    """The machine is slow in most rounds of one side, and in those of the other as well."""
    assert Timing((3.0, 30.0, 33.0)).over(Timing((2.0, 20.0, 11.0))) == 1.5
    with pytest.raises(ValueError, match="shorter"):
        Timing((1.0, 2.0)).over(Timing((1.0,)))


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="processors cannot be chosen")
def test_a_thread_started_meanwhile_is_not_left_on_one_processor() -> None:
    allowed, started, ended = os.sched_getaffinity(0), threading.Event(), threading.Event()
    ids: list[int] = []

    def work() -> None:
        ids.append(threading.get_native_id())
        started.set()
        ended.wait()

    with threads(1):
        assert len(os.sched_getaffinity(0)) == 1
        thread = threading.Thread(target=work)
        thread.start()
        started.wait()
    assert os.sched_getaffinity(ids[0]) == allowed
    ended.set()
    thread.join()


def test_threads_are_restored_after_an_error() -> None:
    before = rc.get_num_threads()
    processors = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    inside = threads(1)
    with pytest.raises(KeyError), inside:
        raise KeyError(rc.get_num_threads())
    assert rc.get_num_threads() == before
    if processors is not None:
        assert os.sched_getaffinity(0) == processors


# --- tables -------------------------------------------------------------------------------------


def test_a_table_is_printed_and_kept(capsys: pytest.CaptureFixture[str]) -> None:
    columns = (Column("what"), Column("time", ".2f"), Column("peer", ".2f"))
    rows = ({"what": name, "time": 1.234} for name in "ab")  # measured once only
    table = show(Table("name", "Title", columns, rows, "Note."))
    printed = capsys.readouterr().out.splitlines()
    assert printed[:2] == ["", "Title"]
    assert [line.split() for line in printed[2:]] == [
        ["what", "time", "peer"],
        ["a", "1.23"],
        ["b", "1.23"],
    ]
    assert markdown(table).splitlines() == [
        "### Title",
        "",
        "| what | time | peer |",
        "| --- | ---: | ---: |",
        "| a | 1.23 |  |",
        "| b | 1.23 |  |",
        "",
        "Note.",
    ]


def test_verdicts() -> None:
    fast, slow = Check("ratio", 1.5, 1.2), Check("peak", 70, 82, unit="%")
    small, unknown = Check("share", 0.5, 0.6, at_most=True, unit=""), Check("other", None, 1)
    assert verdict(fast) == {"target": ">= 1.2 x", "met": "yes"}
    assert verdict(fast, slow, small) == {
        "target": ">= 1.2 x, >= 82 %, <= 0.6",
        "met": "no: peak",
    }
    assert verdict(unknown) == {"target": ">= 1 x", "met": ""}
    assert verdict() == {"target": "", "met": ""}


def test_geometric_mean() -> None:
    assert geometric_mean([2.0, None, 8.0]) == pytest.approx(4)
    assert geometric_mean([None]) is None
