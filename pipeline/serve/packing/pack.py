"""A submission's learners, blend and code put into a folder that predicts by itself.

It is made beside its place under another name and renamed at the end, so a bundle is whole or not
there. The same submission gives the same bytes.
"""

import base64
import hashlib
import io
import re
import shutil
import tomllib
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cached_property
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from pipeline import __version__
from pipeline.base import UsageError
from pipeline.base.config import as_dict
from pipeline.base.errors import ResourceError
from pipeline.base.files import (
    commit_arrays,
    commit_bytes,
    commit_json,
    commit_text,
    free_bytes,
    raise_resource_error,
    sha256,
    size_text,
)
from pipeline.base.paths import safe_name
from pipeline.data import load
from pipeline.data.sample import of_rows
from pipeline.ensemble.predictor import Fitted
from pipeline.ensemble.texts.outcome import FittedTexts
from pipeline.models.hub.download import FILES
from pipeline.models.hub.weights import fetch, locate
from pipeline.models.recipes import as_values
from pipeline.models.registry import LEARNERS
from pipeline.serve.bundle import ABOUT, ARRAYS, FORMAT, SUMS, to_plain
from pipeline.serve.packing.papers import Backbone, dockerfile, licences, notebook, readme
from pipeline.submissions.built import Built
from pipeline.submissions.rebuild import Origin
from pipeline.training.new_rows import SavedRun, saved_again

CARRIED = (*FILES, "1_*/config.json")
"""Of a backbone's folder: what `hub` downloads of one, and what sentence-transformers says."""
SPARE = 1.02
SERVED = ["fastapi", "uvicorn", "prometheus-client"]
"""What `pipeline.serve` needs beside the rest."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Asked:
    """What is to be packed."""

    root: Path
    origin: Origin
    made: Built
    """The ensemble of the submission, or of some of its members."""

    @cached_property
    def places(self) -> list[int]:
        """Positions of the members that are packed: those that answers need."""
        return self.made.fitted.needed

    @property
    def names(self) -> list[str]:
        """Of those."""
        return [self.made.outcome.names[place] for place in self.places]

    @property
    def manifests(self) -> list[dict[str, Any]]:
        """Their run.json."""
        return [self.made.outcome.manifests[place] for place in self.places]

    @property
    def said(self) -> list[Any]:
        """What each of them said of the test rows."""
        return [self.made.said[place] for place in self.places]

    @property
    def left_out(self) -> list[str]:
        """Members that no answer needs."""
        return [name for name in self.made.outcome.names if name not in self.names]

    @property
    def fitted(self) -> Fitted | FittedTexts:
        """The ensemble of those that are packed."""
        return self.made.fitted.keep(self.places)


def staging_of(out: Path) -> Path:
    """Where a bundle lies until it is whole; what a killed command left there is deleted."""
    folder = out.with_name(f".{out.name}.partial")
    if folder.exists():
        shutil.rmtree(folder)
    return folder


def check_place(out: Path) -> None:
    """Raise UsageError where something lies at *out* already."""
    if out.exists():
        raise UsageError(f"-o {out} is there already; name another place, or delete it")
    if not out.parent.is_dir():
        raise UsageError(
            f"-o {out}: there is no folder {out.parent}; make it first, or name another place"
        )


def pack(asked: Asked, folder: Path) -> None:
    """Write all of the bundle but its checksums into *folder*."""
    outcome, competition = asked.made.outcome, asked.origin.competition
    runs = outcome.manifests  # of all: a second layer sees those that have no weight, too
    several = [each["name"] for each in runs if each["recipe"].get("tta")]
    if several:
        raise UsageError(
            f"{', '.join(several)}: a member that is asked about several wordings (tta) is not "
            "packed. Make a submission without: pipeline.ensemble --runs ..., or predict here: "
            "pipeline.predict"
        )
    if ":" in outcome.metric.name and competition.task.problem_type.predictions == "texts":
        raise UsageError(
            f"candidates are compared by {outcome.metric.name}, your own function, which a bundle "
            "does not hold. Make a submission by a metric with a name (--task.metric chrf) and "
            "pack that, or predict here: pipeline.predict"
        )
    members, backbones = [], dict[str, Backbone]()
    try:
        folder.mkdir(parents=True)
        for saved in saved_again(asked.root, competition, asked.manifests):
            backbone = _backbone(saved, folder, backbones)
            _copy_learners(saved, folder)
            members.append(
                {
                    "name": saved.run,
                    "recipe": as_values(saved.recipe)
                    | ({"backbone": f"backbones/{backbone}"} if backbone else {}),
                    "parts": [list(part) for part in saved.parts],
                    "backbone": backbone,
                    "remembers": LEARNERS[saved.recipe.learner].remembers,
                }
            )
        for join in competition.data.joins:
            if "test" in join.to:
                _copy(asked.root / join.file, folder / "data" / join.file)
    except OSError as error:
        raise_resource_error(error, folder)
        raise
    arrays: dict[str, Any] = {}
    tables = load(competition, asked.root)
    sample = of_rows(tables.sample, tables.sample.ids[:2])
    about = {
        "format": FORMAT,
        "code": {"foldstack": __version__, "wheel": wheel_name()},
        "submission": asked.origin.csv.name,
        "sha256": asked.origin.sha256,
        "whole": asked.made.asked.runs == asked.origin.asked.runs,
        "competition": competition.name,
        "config": as_dict(competition),
        "members": members,
        "metric": outcome.metric.name,
        "honest": None if outcome.doubts else outcome.honest,
        "method": asked.made.method,
        "weights": [float(each) for each in asked.fitted.blend.weights],
        "left_out": asked.left_out,
        "decision": asked.made.decision,
        "backbones": {key: each.about() for key, each in backbones.items()},
        "float16": None,
        "ensemble": to_plain(asked.fitted, arrays),
        "sample": to_plain(sample, arrays),
    }
    commit_arrays(folder / ARRAYS, arrays)
    commit_json(folder / ABOUT, about)
    _write_papers(folder, about, list(backbones.values()))


def _write_papers(folder: Path, about: dict[str, Any], backbones: list[Backbone]) -> None:
    """The code, the lists and what is there for people."""
    commit_bytes(folder / "wheels" / wheel_name(), wheel())
    commit_text(folder / "wheels.txt", "\n".join([*pinned(requirements()), ""]))
    commit_text(folder / "wheels-serve.txt", "\n".join([*pinned(SERVED), ""]))
    commit_text(folder / "LICENCES.md", licences(backbones))
    commit_text(folder / "README.md", readme(about))
    commit_text(folder / "Dockerfile", dockerfile())
    commit_text(folder / "notebook.ipynb", notebook(about))
    alone = (Path(__file__).parents[1] / "alone.py").read_text(encoding="utf-8")
    commit_text(folder / "predict.py", alone)


def seal(folder: Path) -> None:
    """Write the checksums of all files in *folder*: from then on none may change."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != SUMS)
    lines = [f"{sha256(path)}  {path.relative_to(folder).as_posix()}" for path in files]
    commit_text(folder / SUMS, "\n".join([*lines, ""]))


def put(folder: Path, out: Path) -> None:
    """Bring the bundle to its place: *folder* renamed, or a zip of it."""
    if out.suffix != ".zip":
        folder.rename(out)
        return
    partial = out.with_name(f".{out.name}.zip-partial")
    try:
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
            for path in sorted(each for each in folder.rglob("*") if each.is_file()):
                info = zipfile.ZipInfo(path.relative_to(folder).as_posix(), NEVER)
                info.file_size = path.stat().st_size
                with archive.open(info, "w") as target, path.open("rb") as source:
                    shutil.copyfileobj(source, target, 1 << 20)
        partial.replace(out)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise_resource_error(error, out)
        raise
    shutil.rmtree(folder)


def size_of(folder: Path) -> int:
    """Bytes of all files in *folder*."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _copy_learners(saved: SavedRun, folder: Path) -> None:
    place = folder / "members" / safe_name(saved.run)
    for part in saved.parts:
        weights = saved.weights(part)
        for source in sorted(path for path in weights.rglob("*") if path.is_file()):
            _copy(source, place / part.name / source.relative_to(weights))


def _backbone(saved: SavedRun, folder: Path, known: dict[str, Backbone]) -> str:
    """The folder's name of the backbone of *saved*, copied where it is new; empty without one."""
    recipe: Any = saved.recipe
    if not LEARNERS[recipe.learner].weights or recipe.backbone is None:
        return ""
    weights = fetch(locate(recipe))
    assert weights.digest is not None, "it is on this machine"
    key = weights.digest[:16]
    if key not in known:
        source = Path(weights.folder_or_id)
        for path in _carried(source):
            _copy(path.resolve(), folder / "backbones" / key / path.relative_to(source))
        known[key] = Backbone.of(recipe.backbone, weights.origin, weights.digest, source)
    return key


def _carried(source: Path) -> Iterator[Path]:
    for path in sorted(source.rglob("*")):
        name = path.relative_to(source).as_posix()
        if path.is_file() and any(
            fnmatch(name, pattern) and name.count("/") == pattern.count("/") for pattern in CARRIED
        ):
            yield path


def _copy(source: Path, target: Path) -> None:
    """One file, byte by byte; ResourceError before the disk is full."""
    target.parent.mkdir(parents=True, exist_ok=True)
    need = int(source.stat().st_size * SPARE)
    if need > (free := free_bytes(target.parent)):
        raise ResourceError(
            f"{target.parent} has {size_text(free)} free, and {source.name} takes "
            f"{size_text(need)}. Make room, or name another place with -o"
        )
    shutil.copyfile(source, target)


# This package as a wheel, made from the files that are running.
#
# A wheel is a zip with three files about itself (the binary distribution format,
# https://packaging.python.org/en/latest/specifications/binary-distribution-format/). The package
# is plain Python, so its files as they are make one. A build tool would need the checkout, and an
# installed package has none.


NAME = "foldstack"
NEVER = (1980, 1, 1, 0, 0, 0)
"""The date of every file: the same code gives the same bytes."""


def wheel_name() -> str:
    """The wheel's file name."""
    return f"{NAME}-{__version__}-py3-none-any.whl"


def wheel() -> bytes:
    """The wheel of the running package, with the recipes it ships."""
    package = Path(__file__).resolve().parents[2]
    files = {
        f"{package.name}/{path.relative_to(package).as_posix()}": path.read_bytes()
        for path in sorted(package.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }
    recipes = package.parent / "configs" / "models"
    if not (package / "configs").is_dir() and recipes.is_dir():
        for path in sorted(recipes.glob("*.yaml")):
            files[f"{package.name}/configs/models/{path.name}"] = path.read_bytes()
    about = f"{NAME}-{__version__}.dist-info"
    said = ["Metadata-Version: 2.1", f"Name: {NAME}", f"Version: {__version__}"]
    said += [f"Requires-Dist: {each}" for each in requirements()]
    files[f"{about}/METADATA"] = "\n".join([*said, ""]).encode()
    files[f"{about}/WHEEL"] = (
        b"Wheel-Version: 1.0\nGenerator: foldstack\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    )
    lines = [f"{name},sha256={_digest(content)},{len(content)}" for name, content in files.items()]
    files[f"{about}/RECORD"] = "\n".join([*lines, f"{about}/RECORD,,", ""]).encode()
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, NEVER), content, zipfile.ZIP_DEFLATED)
    return stream.getvalue()


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


def requirements() -> list[str]:
    """What the package needs, as its own metadata say: extras are left out."""
    project = Path(__file__).resolve().parents[3] / "pyproject.toml"
    if project.is_file():
        table = tomllib.loads(project.read_text(encoding="utf-8"))["project"]
        return [str(each) for each in table["dependencies"]]
    try:
        listed = distribution(NAME).requires or []
    except PackageNotFoundError:
        return []
    return [each for each in listed if "extra ==" not in each]


def pinned(names: list[str]) -> list[str]:
    """NAME==VERSION of the installed packages *names* and of all that they need in turn, sorted.

    What is not installed here is left out: it is not needed here.
    """
    found: dict[str, str] = {}
    waiting, seen = list(names), set()
    while waiting:
        asked = waiting.pop()
        name, extras = _plain(asked), _extras(asked)
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        try:
            package = distribution(name)
        except PackageNotFoundError:
            continue
        found[name] = package.version.partition("+")[0]
        waiting += [each for each in package.requires or [] if _is_asked(each, extras)]
    return sorted(f"{name}=={version}" for name, version in found.items())


def _extras(requirement: str) -> frozenset[str]:
    """Those that *requirement* asks for.

    >>> sorted(_extras("jsonargparse[signatures,urls]>=4; python_version > '3'")), len(_extras("a"))
    (['signatures', 'urls'], 0)
    """
    found = re.match(r"\s*[\w.-]+\s*\[([^\]]*)\]", requirement)
    return frozenset(map(_plain, found[1].split(","))) if found else frozenset()


def _is_asked(requirement: str, extras: frozenset[str]) -> bool:
    """Whether a package that was asked for with these *extras* needs it."""
    of = re.findall(r"extra\s*==\s*[\"']([^\"']+)", requirement)
    return not of or bool({*map(_plain, of)} & extras)


def _plain(requirement: str) -> str:
    name = re.split(r"[^\w.-]", requirement.strip(), maxsplit=1)[0]
    return re.sub(r"[-_.]+", "-", name).lower()
