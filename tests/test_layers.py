"""The plan of the house: rooms, floors, sizes; and the torch-free commands stay free of torch."""

import ast
import json
import os
import subprocess
import sys
from collections import Counter
from functools import cache
from graphlib import CycleError, TopologicalSorter
from importlib import import_module
from itertools import groupby
from pathlib import Path

import pytest

from pipeline.base.doors import handed_on

PACKAGE = Path(__file__).resolve().parents[1] / "pipeline"
BENCHMARKS = PACKAGE.parent / "benchmarks"
GROUND = "pipeline.base.errors"
"""Below all floors: it imports nothing of ours, and everything may import it."""
FLOORS = [
    "problems",
    "base",
    "data",
    "metrics",
    "folds",
    "setup",
    "models oof",
    "ensemble",
    "submissions team",
    "training doctor",
    "report experiments",
    "serve pretrain distil",
    "tune monitor",
    "race",
    "__init__ __main__ init cv worth ledger rebuild predict bundle finalists watch wrapup track",
    "api",
]
"""Rooms of one floor are strangers to each other; a room's `__main__` is a command."""
HEIGHT = {room: height for height, rooms in enumerate(FLOORS) for room in rooms.split()}
ROOMS = [room for floor in FLOORS[:-2] for room in floor.split()]
TORCH_ROOMS = (
    "models/generation/",
    "models/transformer/",
    "models/kernels/",
    "training/lightning/",
)
TORCH_FILES = ("data/tokens/data_module.py", "models/embeddings/vectors.py", "distil/graph.py")
HEAVY = {"torch", "pytorch_lightning", "transformers", "torchmetrics", "tokenizers"}
FILES = sorted(PACKAGE.rglob("*.py"))
MOST_FILES, MOST_FILES_OF_A_FOLDER, MOST_LINES = 388, 14, 400


def name_of(file: Path) -> str:
    return file.relative_to(PACKAGE).as_posix()


def room_of(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def floor_of(file: Path) -> str:
    """The room whose floor a file stands on: a room's `__main__` is a command."""
    return "__main__" if file.name == "__main__.py" else room_of(file)


def loads_torch(name: str) -> bool:
    return name.startswith(TORCH_ROOMS) or name in TORCH_FILES


@cache
def imports_of(file: Path) -> list[tuple[ast.stmt, str]]:
    found: list[tuple[ast.stmt, str]] = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(file)}:{node.lineno} uses a relative import"
            found.append((node, node.module or ""))
        elif isinstance(node, ast.Import):
            found += [(node, alias.name) for alias in node.names]
    return found


FILES_OF = {room: list(files) for room, files in groupby(sorted(FILES, key=room_of), key=room_of)}
"""Room, or command, -> its files: a test for each file takes longer to report than to run."""


@pytest.mark.parametrize("room", FILES_OF)
def test_a_module_imports_only_its_own_room_or_lower_floors(room):
    for file in FILES_OF[room]:
        floor = floor_of(file)
        for node, module in imports_of(file):
            if not module.startswith("pipeline.") or module == GROUND:
                continue
            assert name_of(file) != "base/errors.py", f"{GROUND} imports {module}"
            assert isinstance(node, ast.ImportFrom), f"write: from {module} import …"
            imported = "__main__" if module.endswith(".__main__") else module.split(".")[1]
            allowed = imported == room_of(file) or HEIGHT[imported] < HEIGHT[floor]
            assert allowed, f"{name_of(file)}:{node.lineno}: {floor} must not import {imported}"


def modules_in(root: Path, package: str) -> dict[str, set[str]]:
    """Module -> the modules of *package* that it imports, at its head or later."""
    files = {
        ".".join([package, *file.relative_to(root).with_suffix("").parts]): file
        for file in root.rglob("*.py")
    }
    found: dict[str, set[str]] = {}
    for name, file in files.items():
        found[name] = set()
        for node, module in imports_of(file):
            named = [alias.name for alias in node.names] if isinstance(node, ast.ImportFrom) else []
            asked = [module, *(f"{module}.{each}" for each in named)]
            found[name] |= {each for each in asked if each in files and each != name}
    return found


@pytest.mark.parametrize("package", ["pipeline", "benchmarks"])
def test_no_modules_import_each_other_in_a_circle(package):
    found = modules_in(PACKAGE.parent / package, package)
    assert any(found.values()), "no import inside the package is seen: nothing was checked"
    try:
        tuple(TopologicalSorter(found).static_order())
    except CycleError as error:
        pytest.fail(" → ".join(error.args[1]))


def test_a_circle_of_imports_is_seen(tmp_path):
    (tmp_path / "room").mkdir()
    (tmp_path / "room" / "one.py").write_text("from package.room.two import name\n")
    (tmp_path / "room" / "two.py").write_text("def late():\n    from package.room import one\n")
    with pytest.raises(CycleError):
        tuple(TopologicalSorter(modules_in(tmp_path, "package")).static_order())


def test_a_question_of_the_benchmarks_imports_only_itself_and_what_all_share():
    for name, imported in modules_in(BENCHMARKS, "benchmarks").items():
        question = name.split(".")[1]
        for module in imported:
            assert module.split(".")[1] in (question, "shared"), f"{name} imports {module}"


def test_files_and_folders_stay_small():
    lengths = {name_of(file): file.read_text(encoding="utf-8").count("\n") for file in FILES}
    assert {name: lines for name, lines in lengths.items() if lines > MOST_LINES} == {}
    folders = Counter(file.parent.relative_to(PACKAGE).as_posix() for file in FILES)
    assert {name: n for name, n in folders.items() if n > MOST_FILES_OF_A_FOLDER} == {}
    assert len(FILES) <= MOST_FILES
    questions = Counter(file.parent.name for file in BENCHMARKS.rglob("*.py"))
    assert {name: n for name, n in questions.items() if n > MOST_FILES_OF_A_FOLDER} == {}


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_says_what_comes_in_and_what_goes_out(room):
    said = ast.get_docstring(ast.parse((PACKAGE / room / "__init__.py").read_text("utf-8"))) or ""
    first = said.partition("\n\n")[0].replace("\n", " ")
    assert " in" in first, f"{room}/__init__.py: {first}"
    assert " out" in first, f"{room}/__init__.py: {first}"


ROOM_DOORS = sorted(
    name for name in ROOMS if "__getattr__" in (PACKAGE / name / "__init__.py").read_text("utf-8")
)


@pytest.mark.parametrize("room", ROOM_DOORS)
def test_what_a_room_hands_on_is_there_and_others_take_it_at_the_door(room):
    names = handed_on((PACKAGE / room / "__init__.py").read_text("utf-8"))
    assert 1 <= len(names) <= 10
    opened = import_module(f"pipeline.{room}")
    taken = {
        alias.name
        for file in FILES
        if room_of(file) != room
        for node, module in imports_of(file)
        if isinstance(node, ast.ImportFrom) and module == f"pipeline.{room}"
        for alias in node.names
    }
    for name in names:
        assert getattr(opened, name) is not None
        assert name in taken, f"nobody takes {name} from pipeline.{room}"
    with pytest.raises(AttributeError, match="has no attribute 'nothing_of_the_kind'"):
        _ = opened.nothing_of_the_kind


@pytest.mark.parametrize("room", FILES_OF)
def test_only_the_torch_rooms_load_torch_when_imported(room):
    for file in FILES_OF[room]:
        if loads_torch(name_of(file)):
            continue
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                modules = (
                    [node.module or ""]
                    if isinstance(node, ast.ImportFrom)
                    else [alias.name for alias in node.names]
                )
                for module in modules:
                    assert module.split(".")[0] not in HEAVY, f"{name_of(file)} loads {module}"
                    as_file = f"{module.removeprefix('pipeline.').replace('.', '/')}.py"
                    assert not loads_torch(as_file), f"{name_of(file)} loads {module}"


COMMANDS = ["init", "folds", "ensemble", "doctor", "cv"]
COMMANDS += ["team", "worth", "ledger", "rebuild", "finalists", "report", "watch", "wrapup"]
COMMANDS += ["pretrain", "predict", "bundle", "serve"]
COMMANDS += ["tune", "race", "monitor", "distil"]


HELP = """
import contextlib, importlib, io, json, sys
heavy = {"torch", "transformers", "pandas", "sklearn", "scipy", "matplotlib"}
for command in json.loads(sys.argv[1]):
    main = importlib.import_module(f"pipeline.{command}").main
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.suppress(SystemExit):
        main(["--help"])
    print(command, "usage:" in out.getvalue(), sorted(heavy & set(sys.modules)))
"""


def test_help_answers_without_torch_and_without_heavy_imports():
    """All commands in one process, so the first that is wrong here is the one at fault."""
    names = [f"{command}.__main__" if command in ROOMS else command for command in COMMANDS]
    done = subprocess.run(
        [sys.executable, "-c", HELP, json.dumps(names)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(PACKAGE.parent)},
        check=True,
    )
    assert done.stdout.splitlines() == [f"{name} True []" for name in names]
