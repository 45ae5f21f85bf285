"""Who may import whom among the Python modules: downwards only, as for the includes of C++."""

import ast
from pathlib import Path

import rnncore

PACKAGE = Path(rnncore.__file__).parent

#: Every package and module, the lowest first; each may import those before it, and itself. Modules
#: whose name begins with an underscore are helpers without knowledge of layers.
ORDER = (
    ("_core", "_interrupt", "_openmp", "_memory", "_restoring"),
    ("_check", "_advice", "_keywords", "_help", "_extras"),
    ("_layout", "_temporary", "_threads"),
    ("_files", "_narrow"),
    ("layers",),
    ("losses", "init", "ctc", "metrics"),
    ("heads", "optim", "text", "audio"),
    ("data",),
    ("io", "progress", "_draws"),
    ("training", "decode"),
    ("models",),
    ("datasets", "diagnostics"),
    ("_registered",),
    ("_bench",),
    ("cli", "__main__"),
)
LEVEL = {name: level for level, names in enumerate(ORDER) for name in names}


def imported(path: Path) -> set[str]:
    """Names of the direct parts of rnncore that a file imports when it is run, not for types."""
    tree = ast.parse(path.read_text("utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "rnncore":
            inner = (node.module or "").split(".")[1:]
            found |= {inner[0]} if inner else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
            found |= {name[1] for name in names if name[0] == "rnncore" and len(name) > 1}
    return found


def part_of(path: Path) -> str:
    first, *_ = path.relative_to(PACKAGE).parts
    return first.removesuffix(".py")


def test_every_module_has_a_level() -> None:
    parts = {part_of(path) for path in PACKAGE.rglob("*.py")} - {"__init__"}
    assert parts | {"_core"} == set(LEVEL)


def test_modules_import_downwards_only() -> None:
    upwards = [
        f"{path.relative_to(PACKAGE)} imports {name}"
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.name != "__init__.py" or path.parent != PACKAGE
        for name in sorted(imported(path))
        if name in LEVEL and LEVEL[name] > LEVEL[part_of(path)]
    ]
    assert not upwards


def test_files_have_at_most_400_lines() -> None:
    long = {
        str(path.relative_to(PACKAGE)): lines
        for path in PACKAGE.rglob("*.py")
        if (lines := len(path.read_text("utf-8").splitlines())) > 400
    }
    assert not long
