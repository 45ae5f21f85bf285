"""What an error or a kill in saving leaves: the old file or the new one, and nothing else."""

import os
import signal
import stat
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import rnncore as rc
from rnncore import _files, _temporary
from rnncore.layers import Module


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.safetensors"


def names(directory: Path) -> list[str]:
    return sorted(os.listdir(directory))


# --- errors --------------------------------------------------------------------------------------
def test_unwritable_paths(tmp_path: Path) -> None:
    layer = rc.Linear(2, 3, rng=0)
    (tmp_path / "file").write_text("content")
    (tmp_path / "directory").mkdir()
    for path, error in (
        (tmp_path / "nowhere" / "model", FileNotFoundError),
        (tmp_path / "file" / "model", NotADirectoryError),
        (tmp_path / "directory", IsADirectoryError),
        (Path("/dev/null"), OSError),
        (tmp_path / ("x" * 300), OSError),
        (f"{tmp_path}/new/", IsADirectoryError),
        (f"{tmp_path}/new/.", IsADirectoryError),
        (f"{tmp_path}/file/", IsADirectoryError),
    ):
        for save in (lambda p: rc.save(layer, p), _files.require_writable):
            with pytest.raises(error) as raised:
                save(path)
            assert raised.value.filename == str(path)
    assert names(tmp_path) == ["directory", "file"]
    assert names(tmp_path / "directory") == []
    assert (tmp_path / "file").read_text() == "content"
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_write_protection_is_respected(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Renaming over a protected file would succeed. The superuser's access is taken away here."""
    rc.save(rc.Linear(2, 3), path)
    before = path.read_bytes()
    path.chmod(0o444)
    monkeypatch.setattr(os, "access", lambda *args: False)
    with pytest.raises(PermissionError, match=path.name):
        rc.save(rc.Linear(4, 5), path)
    assert path.read_bytes() == before
    assert names(path.parent) == [path.name]


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_an_error_in_saving_changes_nothing(
    path: Path, call: str, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    rc.save(rc.Linear(2, 3, rng=0), path)
    before = path.read_bytes()

    def fail(*args: Any) -> None:
        raise error

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(type(error)):
        rc.save(rc.Linear(4, 5), path)
    assert path.read_bytes() == before
    assert names(path.parent) == [path.name]


def write_half(path: Path) -> None:
    with _files.replacing(path) as file:
        file.write(b"half")
        raise OSError(28, "No space left on device")


def test_an_error_in_writing_changes_nothing(path: Path) -> None:
    with pytest.raises(OSError, match=f"No space.*{path.name}"):
        write_half(path)
    assert names(path.parent) == []
    path.write_bytes(b"old")
    with pytest.raises(OSError, match="No space"):
        write_half(path)
    assert path.read_bytes() == b"old"
    assert names(path.parent) == [path.name]


def test_things_that_are_no_models_are_not_saved(path: Path) -> None:
    rc.save(rc.Linear(2, 3, rng=0), path)
    before = path.read_bytes()

    class Nameless(Module):
        """Is not registered."""

    for thing, text in (
        ({"weight": np.ones(3)}, "model: expected a model or layer, got dict"),
        (None, "model: expected a model or layer, got NoneType"),
        (Nameless(), "Nameless: a class of your own is saved once it is registered"),
    ):
        with pytest.raises(TypeError, match=text):
            rc.save(thing, path)
    with pytest.raises(TypeError, match="path: expected a file name, got int 3"):
        rc.save(rc.Linear(2, 3), 3)
    for name in ("", "model\0"):
        with pytest.raises(ValueError, match="path: expected a file name, got str"):
            rc.save(rc.Linear(2, 3), name)
    assert path.read_bytes() == before
    assert names(path.parent) == [path.name]


@rc.register
class Scaled(rc.Linear):
    """A constructor of its own."""

    def __init__(self, factor: float) -> None:
        super().__init__(2, 3, rng=0)


@rc.register
class Renamed(rc.LSTM):
    """The constructor of LSTM."""


@rc.register
class Holder(Module):
    """An argument that is no JSON value."""

    def __init__(self, thing: Any) -> None:
        super().__init__()


def test_the_configuration_is_that_of_the_constructor(path: Path) -> None:
    rc.save(Scaled(2.0), path)
    assert rc.load(path).config() == {"factor": 2.0}
    rc.save(Renamed(2, 3), path)
    assert type(rc.load(path)) is Renamed
    before = path.read_bytes()
    with pytest.raises(TypeError, match=r"^thing: expected what a file can hold, .* got object"):
        rc.save(Holder(object()), path)
    assert path.read_bytes() == before
    assert names(path.parent) == [path.name]
    rc.save(Holder({"sizes": (np.int64(1), np.array([0.5]))}), path)
    assert rc.load(path).thing == {"sizes": [1, [0.5]]}


# --- little memory -------------------------------------------------------------------------------
LIMITED = """
    import resource, sys
    import rnncore as rc

    path, moment, room = sys.argv[1:]
    model = rc.Linear(2500, 2000, rng=0)
    with open("/proc/self/statm") as file:
        taken = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + int(room), resource.RLIM_INFINITY))
    try:
        rc.save(model, path) if moment == "save" else rc.load(path)
    except MemoryError as error:
        print(error)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems ignore RLIMIT_AS")
@pytest.mark.parametrize("moment", ["save", "load"])
@pytest.mark.parametrize("room", [0, 8_000_000, 30_000_000, 42_000_000])
def test_little_address_space(path: Path, moment: str, room: int) -> None:
    """The file has 20 MB; safetensors would end the process, or never return."""
    if moment == "load":
        rc.save(rc.Linear(2500, 2000, rng=0), path)
    before = names(path.parent)
    run = [sys.executable, "-c", textwrap.dedent(LIMITED), str(path), moment, str(room)]
    done = subprocess.run(run, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "GiB are available" in done.stdout
    assert names(path.parent) == before


# --- kill -9 -------------------------------------------------------------------------------------
SAVER = """
    import os, signal, sys
    import rnncore as rc
    from rnncore import _files

    def die(*args):
        os.kill(os.getpid(), signal.SIGKILL)

    class Dying:
        def __init__(self, file):
            self.file = file

        def __enter__(self):
            return self

        def __exit__(self, *error):
            self.file.close()

        def write(self, content):
            self.file.write(content[: len(content) // 2])
            self.file.flush()
            die()

    path, moment = sys.argv[1:]
    fdopen = os.fdopen
    if moment == "write":
        os.fdopen = lambda *args: Dying(fdopen(*args))
    elif moment == "rename":
        os.replace = die
    elif moment == "flush":
        os.fsync = die
    elif moment == "renamed":
        _files._flush_directory = die
    new = [rc.Linear(300, 300, rng=0) for _ in range(2)]
    new[0].flat_params[:] = 1
    new[1].flat_params[:] = 2
    print("ready", flush=True)
    while True:
        rc.save(new[0], path)
        rc.save(new[1], path)
"""


def start_saver(path: Path, moment: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", textwrap.dedent(SAVER), str(path), moment]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize(
    ("moment", "expected"), [("write", 0), ("flush", 0), ("rename", 0), ("renamed", 1)]
)
def test_kill_at_each_step_of_saving(path: Path, moment: str, expected: int) -> None:
    old = rc.Linear(300, 300, rng=0)
    old.flat_params[:] = 0
    rc.save(old, path)
    with start_saver(path, moment) as process:
        assert process.wait(60) == -signal.SIGKILL
    np.testing.assert_array_equal(rc.load(path).flat_params, expected)


def test_kill_at_any_moment_leaves_one_whole_file(path: Path) -> None:
    rng = np.random.default_rng(0)
    for _ in range(6):
        with start_saver(path, "any") as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            while not path.exists():
                assert process.poll() is None
            time.sleep(0.02 * rng.random())  # some saves later
            process.kill()
        values = rc.load(path).flat_params
        assert values[0] in (1, 2)
        np.testing.assert_array_equal(values, values[0])


# --- temporary files of killed processes ---------------------------------------------------------
@pytest.mark.parametrize("moment", ["write", "flush", "rename"])
def test_the_next_save_removes_what_a_killed_one_has_left(path: Path, moment: str) -> None:
    with start_saver(path, moment) as process:
        assert process.wait(60) == -signal.SIGKILL
    (left,) = names(path.parent)
    assert left.endswith(".tmp")
    rc.save(rc.Linear(2, 3), path)
    assert names(path.parent) == [path.name]


def test_nothing_but_abandoned_files_of_this_machine_is_removed(path: Path) -> None:
    """Neither that of a save which goes on, nor that of another machine, nor a stranger's."""
    host, boot = _temporary._here()
    elsewhere = "0" * 8

    def named(one: str, other: str, digit: str) -> Path:
        return path.with_name(f".rnncore-{one}-{other}-{digit * 16}.tmp")

    abandoned = [
        named(host, boot, "1"),
        named(host, elsewhere, "2"),  # the machine was started again
        named(elsewhere, boot, "3"),  # another container
    ]
    kept = [
        named(elsewhere, elsewhere, "4"),
        path.with_name(f"{named(host, boot, '5').name}.copy"),
        path.with_name(named(host, boot, "6").name[1:]),
    ]
    for file in (*abandoned, *kept):
        file.touch()
    directory, link = named(host, boot, "7"), named(host, boot, "8")
    directory.mkdir()
    link.symlink_to(kept[0])
    kept += [directory, link]
    with _files.replacing(path) as content:
        (own,) = set(path.parent.iterdir()).difference(kept)
        rc.save(rc.Linear(2, 3), path.with_name("other"))
        assert own.exists()
        content.write(b"content")
    assert path.read_bytes() == b"content"
    assert set(path.parent.iterdir()) == {*kept, path, path.with_name("other")}


def test_another_process_takes_a_new_file_for_an_abandoned_one(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before it is locked; then another is made."""
    lock, calls = _temporary._lock, []

    def late(descriptor: int) -> bool:
        calls.append(descriptor)
        if len(calls) == 1:
            _temporary.remove_abandoned(path.parent)
        return lock(descriptor)

    monkeypatch.setattr(_temporary, "_lock", late)
    rc.save(rc.Linear(2, 3), path)
    assert len(calls) == 3
    assert names(path.parent) == [path.name]


@pytest.mark.parametrize("error", [OSError(38, "Function not implemented"), None])
def test_a_file_system_without_locks(
    path: Path, error: OSError | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Saving works; nothing is removed."""
    fcntl = None
    if error is not None:

        def flock(*_: int) -> None:
            raise error

        fcntl = SimpleNamespace(flock=flock, LOCK_EX=2, LOCK_NB=4)
    monkeypatch.setattr(_temporary, "fcntl", fcntl)
    host, boot = _temporary._here()
    left = f".rnncore-{host}-{boot}-{'1' * 16}.tmp"
    (path.parent / left).touch()
    rc.save(rc.Linear(2, 3), path)
    assert names(path.parent) == sorted([left, path.name])


def test_savers_at_once_do_not_disturb_each_other(path: Path) -> None:
    savers = [start_saver(path, "any") for _ in range(3)]
    try:
        for saver in savers:
            assert saver.stdout is not None
            assert saver.stdout.readline() == "ready\n"
        while not path.exists():
            assert all(saver.poll() is None for saver in savers)
        for _ in range(20):
            rc.save(rc.Linear(2, 3), path)
        assert all(saver.poll() is None for saver in savers)
    finally:
        for saver in savers:
            saver.kill()
            saver.communicate()
    rc.save(rc.Linear(2, 3), path)
    assert names(path.parent) == [path.name]
