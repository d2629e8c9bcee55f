"""docs/extending.md: every example is written where the page says, registered as it says, and run.

The examples stand on the page alone. They are written into a copy of the package, their lines are
added to the tables, and the commands of the page run on a small competition; each must end well and
print what the page says it prints.
"""

import ast
import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.toy import environment, toy_competition

PROJECT = Path(__file__).resolve().parents[1]
PAGE = (PROJECT / "docs" / "extending.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.S | re.M)
PLACE = re.compile(r"# (?P<file>\S+)(, in (?P<table>\w+))?$")
DRIVER = """
import contextlib, importlib, importlib.util, io, json, shlex, subprocess, sys, time

def ours(words):
    from pipeline.base.command import run
    name = f"pipeline.{words[0]}"
    if importlib.util.find_spec(name).submodule_search_locations is not None:
        name += ".__main__"
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        return run(importlib.import_module(name).main, words[1:])

def others(command):
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    said.write(done.stdout + done.stderr)
    return done.returncode

results = []
for command in json.load(sys.stdin):
    said, words, began = io.StringIO(), shlex.split(command), time.monotonic()
    code = ours(words[2].split(".")[1:] + words[3:]) if words[0] == "python" else others(command)
    results.append([code, said.getvalue(), time.monotonic() - began])
json.dump(results, sys.stdout)
"""


@dataclass(frozen=True)
class Block:
    """One block of the page that is a file, or what is added to a table of one."""

    file: str
    table: str | None
    text: str


@dataclass(frozen=True)
class Section:
    """One kind of thing."""

    title: str
    blocks: list[Block]
    commands: dict[str, list[str]]
    """Command -> what it prints, among other things."""


def sections() -> list[Section]:
    found = []
    for part in PAGE.split("\n## ")[1:]:
        blocks, commands = [], {}
        for kind, text in BLOCK.findall(part):
            if kind == "console":
                for told in re.split(r"^\$ ", text, flags=re.M)[1:]:
                    command, *lines = told.strip().split("\n")
                    commands[command] = lines
                continue
            first, rest = text.split("\n", 1)
            place = PLACE.match(first)
            assert place, f"a block of {part.splitlines()[0]} does not say where it goes: {first}"
            blocks.append(Block(place["file"], place["table"], rest))
        found.append(Section(part.splitlines()[0], blocks, commands))
    return found


SECTIONS = sections()
QUICK = [each for each in SECTIONS if not any("tiny" in command for command in each.commands)]
"""Those that train no network; the others are tried at night."""
LISTED = re.findall(r"\[([^]]+)\]\(#([\w-]+)\)", PAGE)


def add(file: Path, table: str, text: str) -> None:
    """Put the entry at the end of *text* into *table*, and the imports before it on top."""
    imports, _, entry = text.rpartition("\n\n") if "\n\n" in text else ("", "", text)
    source = file.read_bytes().decode()
    tree = ast.parse(source)
    value = next(
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        and ast.unparse(node.targets[0] if isinstance(node, ast.Assign) else node.target) == table
    )
    lines = source.encode().splitlines(keepends=True)
    end = sum(map(len, lines[: value.end_lineno - 1])) + value.end_col_offset - 1
    start = next(node.lineno for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom))
    top = sum(map(len, lines[: start - 1]))
    whole = source.encode()
    before = whole[top:end].decode().rstrip()
    comma = "" if before.endswith((",", "{", "(", "[")) else ","
    added = f"{imports}\n{before}{comma}\n{entry}"
    file.write_bytes(whole[:top] + added.encode() + whole[end:])


def done(copy: Path, root: Path, asked: list[Section]) -> dict[str, tuple[int, str]]:
    """Command of the sections that are *asked* for -> its exit code and what it printed, with
    everything on the page added."""
    shutil.copytree(PROJECT / "pipeline", copy / "pipeline")  # what is compiled, too
    shutil.copytree(PROJECT / "configs" / "models", copy / "configs" / "models")
    toy_competition(root)
    for section in SECTIONS:
        for block in section.blocks:
            file = (copy if block.file.startswith("pipeline/") else root) / block.file
            if block.table is None:
                assert not file.exists(), f"{block.file} is there already"
                file.write_text(block.text, encoding="utf-8")
            else:
                add(file, block.table, block.text)
    commands = [command for section in asked for command in section.commands]
    child = subprocess.run(
        [sys.executable, "-c", DRIVER],
        input=json.dumps(commands),
        env=environment(PYTHONPATH=str(copy)),
        cwd=root,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert child.returncode == 0, child.stderr
    results = json.loads(child.stdout)
    return {
        command: (code, said) for command, (code, said, _) in zip(commands, results, strict=True)
    }


def prints(said: str, expected: str) -> bool:
    """Whether a line of *said* holds the pieces of *expected*, which … stands between."""
    pieces = [" ".join(piece.split()) for piece in expected.split("…")]
    pattern = ".*".join(re.escape(piece) for piece in pieces)
    return any(re.search(pattern, " ".join(line.split())) for line in said.splitlines())


def assert_it_prints_what_the_page_says(section: Section, done: dict[str, tuple[int, str]]) -> None:
    for command, expected in section.commands.items():
        code, said = done[command]
        assert code == 0, f"{command}\n{said}"
        for line in expected:
            assert prints(said, line), f"{command} does not print {line!r}, but:\n{said}"


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    return done(tmp_path_factory.mktemp("copy"), tmp_path_factory.mktemp("root"), QUICK)


@pytest.fixture(scope="module")
def every(tmp_path_factory):
    return done(tmp_path_factory.mktemp("copy"), tmp_path_factory.mktemp("root"), SECTIONS)


@pytest.mark.parametrize("section", QUICK, ids=lambda section: section.title)
def test_an_example_that_trains_no_network_runs(section, quick):
    assert_it_prints_what_the_page_says(section, quick)


@pytest.mark.nightly
@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.title)
def test_every_example_runs_beside_the_others(section, every):
    assert_it_prints_what_the_page_says(section, every)


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.title)
def test_an_example_is_one_file_and_one_table(section):
    tables = [block.table for block in section.blocks if block.file.startswith("pipeline/")]
    assert [table is None for table in tables] == [True, False]
    assert section.commands


def test_the_list_on_top_names_every_section_and_every_table():
    titles = {section.title: section.title.lower().replace(" ", "-") for section in SECTIONS}
    assert sorted(anchor for _, anchor in LISTED) == sorted(titles.values())
    for section in SECTIONS:
        (registry,) = [block for block in section.blocks if block.table]
        (line,) = [line for line in PAGE.splitlines() if f"(#{titles[section.title]})" in line]
        assert f"`{registry.table}`" in line
        assert f"`{registry.file}`" in line
