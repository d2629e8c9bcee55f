"""Imports only go down, and the torch-free commands stay free of torch."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "pipeline"
FLOORS = [
    "errors seeding paths nested faults temporaries complaints cores",
    "guard stopping",
    "files",
    "leases command config",
    "parser",
    "data",
    "models results",
    "training health",
    "report",
    "__init__ __main__ init folds cv ensemble doctor team worth ledger rebuild finalists",
]
HEIGHT = {room: height for height, rooms in enumerate(FLOORS) for room in rooms.split()}
BESIDE = {("results", "models"), ("models", "results")}  # one floor, and strangers to each other
USES_TORCH = {
    "data/datamodule.py",
    "models/arithmetic.py",
    "models/attention.py",
    "models/backbone.py",
    "models/captures.py",
    "models/dropout.py",
    "models/finetune.py",
    "models/finite.py",
    "models/fixed.py",
    "models/gradient.py",
    "models/graphs.py",
    "models/hardware.py",
    "models/heads.py",
    "models/layout.py",
    "models/learnt.py",
    "models/limits.py",
    "models/losses.py",
    "models/micro.py",
    "models/module.py",
    "models/optim.py",
    "models/packing.py",
    "models/products.py",
    "models/vocabulary.py",
    "models/shared.py",
    "models/step.py",
    "models/tensorfile.py",
    "models/transformer.py",
    "training/checkpointio.py",
    "training/logger.py",
    "training/saving.py",
    "training/staying.py",
    "training/telling.py",
    "training/trainer.py",
}
HEAVY = {"torch", "pytorch_lightning", "transformers", "torchmetrics", "tokenizers"}
FILES = sorted(PACKAGE.rglob("*.py"))


def name_of(file: Path) -> str:
    return file.relative_to(PACKAGE).as_posix()


def room_of(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports_of(file: Path) -> Iterator[tuple[ast.stmt, str]]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(file)}:{node.lineno} uses a relative import"
            yield node, node.module or ""
        elif isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names)


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_a_module_imports_only_its_own_room_or_lower_floors(file):
    room = room_of(file)
    for node, module in imports_of(file):
        if not module.startswith("pipeline."):
            continue
        assert isinstance(node, ast.ImportFrom), f"write: from {module} import …"
        imported = module.split(".")[1]
        allowed = imported == room or HEIGHT[imported] < HEIGHT[room]
        assert allowed, f"{name_of(file)}:{node.lineno}: {room} must not import {imported}"
        assert (room, imported) not in BESIDE


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_only_the_torch_rooms_load_torch_when_imported(file):
    if name_of(file) in USES_TORCH:
        return
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
                assert as_file not in USES_TORCH, f"{name_of(file)} loads {module}"


def test_every_torch_room_exists():
    assert {name for name in USES_TORCH if not (PACKAGE / name).exists()} == set()


COMMANDS = ["init", "folds", "ensemble", "doctor", "cv"]
COMMANDS += ["team", "worth", "ledger", "rebuild", "finalists"]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_answers_without_torch_and_without_heavy_imports(command):
    code = (
        "import sys, contextlib, io\n"
        f"from pipeline.{command} import main\n"
        "with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.suppress(SystemExit):\n"
        "    main(['--help'])\n"
        "assert 'usage:' in out.getvalue()\n"
        "heavy = {'torch', 'transformers', 'pandas', 'sklearn', 'scipy', 'matplotlib'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE.parent)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    assert done.stdout.strip() == "[]"
