"""Scenes: what happened once, told in several ways. Hand-written, one text file per source.

    [name]          a scene begins
    = sentence      the whole scene, in other words each time
    < sentence      the same with something left out
    ~ sentence      one important detail is another (place, time, number, thing)
    ! sentence      the opposite: denied, roles swapped, or turned round
    ? sentence      something else about the same topic
    # remark        ignored, as are empty lines

A sentence stands in the files only once, so that it means one scene.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pipeline.base.errors import DataError, raise_if

FOLDER = Path(__file__).parent / "scenes"
FIELD_OF_MARK = {"=": "same", "<": "less", "~": "differs", "!": "opposed", "?": "topic"}


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One scene and its sentences by their relation to it."""

    source: str
    name: str
    same: tuple[str, ...]
    less: tuple[str, ...]
    differs: tuple[str, ...]
    opposed: tuple[str, ...]
    topic: tuple[str, ...]

    @property
    def sentences(self) -> tuple[str, ...]:
        """All sentences, whatever their relation."""
        return self.same + self.less + self.differs + self.opposed + self.topic


def read_scenes(folder: Path = FOLDER) -> list[Scene]:
    """All scenes of *folder*, by file name and then as they stand in the file.

    Raises DataError listing every line and scene that is not as the module says.
    """
    scenes: list[Scene] = []
    problems: list[str] = []
    for file in sorted(folder.glob("*.txt")):
        lines = file.read_text(encoding="utf-8").splitlines()
        problems += [f"{file.name}, {problem}" for problem in _bad_lines(lines)]
        scenes += [_scene(file.stem, block) for block in _blocks(lines)]
    problems += _bad_scenes(scenes)
    raise_if(problems, DataError, f"{folder} cannot be used")
    return scenes


def _bad_lines(lines: list[str]) -> list[str]:
    known = (*(f"{mark} " for mark in FIELD_OF_MARK), "[", "#")
    return [
        f"line {number}: {line[:40]!r} begins with none of {' '.join(FIELD_OF_MARK)} [ #"
        for number, line in enumerate(lines, start=1)
        if line.strip() and not line.startswith(known)
    ]


def _blocks(lines: list[str]) -> list[list[str]]:
    """The lines of each scene, its [name] first."""
    blocks: list[list[str]] = []
    for line in lines:
        if line.startswith("["):
            blocks.append([])
        if blocks and line[:1] in ("[", *FIELD_OF_MARK):
            blocks[-1].append(line)
    return blocks


def _scene(source: str, block: list[str]) -> Scene:
    def told(mark: str) -> tuple[str, ...]:
        return tuple(line[2:].strip() for line in block[1:] if line[0] == mark)

    fields = {field: told(mark) for mark, field in FIELD_OF_MARK.items()}
    return Scene(source=source, name=block[0].strip("[] "), **fields)


def _bad_scenes(scenes: Iterable[Scene]) -> list[str]:
    problems = []
    count: Counter[str] = Counter()
    for scene in scenes:
        count.update(scene.sentences)
        if len(scene.same) < 3:
            problems.append(f"{scene.source} [{scene.name}] has fewer than 3 wordings (=)")
        for field in ("less", "differs", "opposed", "topic"):
            if not getattr(scene, field):
                problems.append(f"{scene.source} [{scene.name}] has no sentence for {field!r}")
    problems += [
        f"{text!r} stands there {times} times" for text, times in count.items() if times > 1
    ]
    return problems
