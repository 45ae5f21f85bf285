"""Import in another interpreter than the main one: an error, where pybind11 would hang."""

import subprocess
import sys
import textwrap

import pytest

pytest.importorskip("_interpreters" if sys.version_info >= (3, 13) else "_xxsubinterpreters")

PROGRAM = """
    import sys, textwrap

    if sys.version_info >= (3, 13):
        import _interpreters as interpreters
        other = interpreters.create("legacy")
    else:
        import _xxsubinterpreters as interpreters
        other = interpreters.create(isolated=False)

    code = f'''
    import sys, warnings
    sys.path[:] = {sys.path!r}
    warnings.simplefilter("ignore")  # that of NumPy
    try:
        import rnncore
    except ImportError as error:
        print(error, flush=True)
    '''
    interpreters.run_string(other, textwrap.dedent(code))
    import rnncore
    print(rnncore.Linear(2, 3).num_params)
"""


def test_import_in_a_subinterpreter() -> None:
    """An error there; afterwards the main interpreter imports as always."""
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PROGRAM)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,  # a hang is to end here
    )
    lines = result.stdout.splitlines()
    assert result.returncode == 0, result.stderr
    assert "main interpreter only" in lines[0]
    assert lines[1:] == ["9"]
