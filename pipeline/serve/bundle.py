"""A bundle: a folder with all that the predictions of one submission need, and how it is opened.

    bundle.json          the config, the members with their recipes and parts, the blend, decisions
    ensemble.npz         arrays of the blend
    members/RUN/seed-S/fold-F/     the learners, as `cv` saved them
    backbones/DIGEST/    config, tokenizer and weights that learners start from
    data/                tables that are joined to the rows to predict; as a rule there are none
    wheels/, wheels.txt  this package, and what else has to be installed
    SHA256SUMS           of every other file, as sha256sum writes and checks it

Nothing in it is a pickle, and no file of it names a place outside.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from pipeline import __name__ as PACKAGE
from pipeline.base import ArtifactError, Competition, UsageError, read_json
from pipeline.base.doors import load as load_object
from pipeline.base.files import read_arrays, refuse_links, sha256
from pipeline.base.parser import from_dict
from pipeline.base.paths import Part, safe_name
from pipeline.data import Table
from pipeline.data.sample import Sample, of_rows
from pipeline.data.spans import of_texts
from pipeline.ensemble.predictor import Fitted
from pipeline.ensemble.texts.outcome import FittedTexts
from pipeline.models import Recipe
from pipeline.models.registry import LEARNERS
from pipeline.submissions.built import fill_any
from pipeline.training.jobs import make_factory
from pipeline.training.new_rows import SavedRun
from pipeline.training.options import FailurePolicy

FORMAT = 1
ABOUT, ARRAYS, SUMS = "bundle.json", "ensemble.npz", "SHA256SUMS"
NAMED = 3
"""Files that a sentence names."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Bundle:
    """An opened bundle."""

    folder: Path
    about: dict[str, Any]
    """bundle.json."""
    competition: Competition
    fitted: Fitted | FittedTexts
    sample: Sample
    """The form of the answers, with two rows at most."""

    @property
    def members(self) -> list[dict[str, Any]]:
        """name, recipe, parts and backbone of each."""
        found: list[dict[str, Any]] = self.about["members"]
        return found

    @property
    def data(self) -> Path:
        """Where tables lie that are joined to the rows."""
        return self.folder / "data"

    def runs(
        self, tokens: Path | None = None, fitter: Callable[[Any], Any] | None = None
    ) -> Iterator[SavedRun]:
        """The members, one at a time; *tokens* and *fitter* as for `make_factory`."""
        for member in self.members:
            recipe = self.recipe(member)
            factory = make_factory(recipe, self.competition, FailurePolicy(), tokens, fitter)
            yield self.run(member, recipe, factory)
            factory.close()

    def run(self, member: dict[str, Any], recipe: Recipe, factory: Any) -> SavedRun:
        """A *member* whose learners *factory* loads."""
        folder = self.folder / "members" / safe_name(member["name"])
        return SavedRun(
            run=member["name"],
            competition=self.competition,
            recipe=recipe,
            factory=factory,
            parts=[Part(*part) for part in member["parts"]],
            weights=lambda part: folder / part.name,
        )

    def recipe(self, member: dict[str, Any]) -> Recipe:
        """The recipe of a *member*, its backbone in this folder."""
        kind: type[Recipe] = load_object(LEARNERS[member["recipe"]["learner"]].recipe)
        recipe = from_dict(kind, member["recipe"])
        if not member["backbone"]:
            return recipe
        place: dict[str, Any] = {
            "backbone": str((self.folder / "backbones" / member["backbone"]).absolute())
        }
        if any(each.name == "revision" for each in fields(recipe)):
            place["revision"] = None
        return replace(recipe, **place)

    def content(self, table: Table, sample: Sample | None, members: list[Any]) -> bytes:
        """The answers' file for the rows of *table*, which *members* predicted; in the form
        of *sample*, else in that of the submission."""
        form = sample
        if form is None:
            known = set(self.sample.ids) == set(table.ids)
            form = of_texts(self.sample if known else of_rows(self.sample, table.ids), table)
        if gone := [name for name in self.fitted.form.columns if name not in form.columns]:
            raise UsageError(
                f"--sample has no column {gone[0]!r}; the submission was made for "
                f"{', '.join(self.fitted.form.columns)}"
            )
        return fill_any(self.fitted, self.competition, table, form, members)


def open_bundle(folder: Path, whole: bool = True) -> Bundle:
    """The bundle in *folder*; with *whole*, once every file is shown to be as it was written.

    Raises UsageError where it is no bundle, ArtifactError where it is damaged or of another
    version.
    """
    if folder.is_file():
        raise UsageError(
            f"{folder} is a file. Unpack it first: python -m zipfile -e {folder} {folder.stem}"
        )
    if not (folder / ABOUT).is_file():
        raise UsageError(f"{folder} is no bundle: there is no {ABOUT}. Make one: pipeline.bundle")
    about = read_json(folder / ABOUT)
    if about.get("format") != FORMAT:
        raise ArtifactError(
            f"{folder} has the format {about.get('format')}, this version reads {FORMAT}. Use the "
            f"package that it holds: pip install --no-deps {folder}/wheels/*.whl"
        )
    if whole:
        check_files(folder)
    arrays = read_arrays(folder / ARRAYS)
    return Bundle(
        folder=folder,
        about=about,
        competition=from_dict(Competition, about["config"]),
        fitted=from_plain(about["ensemble"], arrays),
        sample=from_plain(about["sample"], arrays),
    )


def check_files(folder: Path) -> None:
    """Raise ArtifactError unless all files in *folder* are those that SHA256SUMS names."""
    refuse_links(folder)
    said = sums(folder)
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    there.discard(SUMS)
    gone = sorted(said.keys() - there)
    new = sorted(name for name in there - said.keys() if "__pycache__" not in name)
    changed = [name for name in sorted(said.keys() & there) if sha256(folder / name) != said[name]]
    problems = [
        f"{what}: {', '.join(names[:NAMED])}"
        + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")
        for what, names in (
            ("missing", gone),
            ("changed since the bundle was made", changed),
            ("not of the bundle", new),
        )
        if names
    ]
    if problems:
        raise ArtifactError(
            f"{folder} is not as it was made ({'; '.join(problems)}). Copy it again from where it "
            "was made"
        )


def sums(folder: Path) -> dict[str, str]:
    """File -> SHA-256, as SHA256SUMS says; ArtifactError where it leads elsewhere or is missing."""
    path, found = folder / SUMS, {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ArtifactError(f"{path} cannot be read, so nobody knows what is whole") from error
    for line in lines:
        digest, _, name = line.partition("  ")
        inside = PurePosixPath(name)
        if not name or inside.is_absolute() or ".." in inside.parts:
            raise ArtifactError(f"{path} is damaged: {line[:80]!r}")
        found[name] = digest
    return found


def digest_of(about: dict[str, Any]) -> str:
    """SHA-256 over all that bundle.json says."""
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()


# Fitted objects as plain values and back: JSON, and arrays by name; no pickle.
#
# A dataclass of this package becomes its module, its name and its fields; nothing else is ever made
# from a file, and nothing is called but the dataclass.


def to_plain(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    """*value* for JSON; arrays of numbers are put into *arrays* and stand in it by name."""
    if is_dataclass(value) and not isinstance(value, type):
        kind = type(value)
        held = {each.name: to_plain(getattr(value, each.name), arrays) for each in fields(value)}
        return {"object": f"{kind.__module__}:{kind.__qualname__}", "fields": held}
    if isinstance(value, np.ndarray):
        if value.dtype == object:
            return {"texts": value.tolist()}
        name = f"array-{len(arrays)}"
        arrays[name] = np.ascontiguousarray(value)
        return {"array": name}
    if isinstance(value, pd.DataFrame):
        return {"frame": [list(map(str, value.columns)), value.to_numpy(dtype=object).tolist()]}
    if isinstance(value, Mapping):
        return {"items": [[key, to_plain(inner, arrays)] for key, inner in value.items()]}
    if isinstance(value, tuple):
        return {"tuple": [to_plain(inner, arrays) for inner in value]}
    if isinstance(value, list):
        return [to_plain(inner, arrays) for inner in value]
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"a {type(value).__name__} cannot be written")


def from_plain(value: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """What `to_plain` was given; ArtifactError where it is nothing of this package."""
    if isinstance(value, list):
        return [from_plain(inner, arrays) for inner in value]
    if not isinstance(value, dict):
        return value
    if "object" in value:
        held = {name: from_plain(inner, arrays) for name, inner in value["fields"].items()}
        return _kind(value["object"])(**held)
    if "texts" in value:
        return _texts(value["texts"])
    if "array" in value:
        return arrays[value["array"]]
    if "frame" in value:
        names, rows = value["frame"]
        return pd.DataFrame(rows, columns=names, dtype=object)
    if "items" in value:
        return {key: from_plain(inner, arrays) for key, inner in value["items"]}
    return tuple(from_plain(inner, arrays) for inner in value["tuple"])


def _texts(values: list[Any]) -> np.ndarray:
    """(n,) or (n, c) str objects, however long the texts are."""
    wide = bool(values) and isinstance(values[0], list)
    shape = (len(values), len(values[0])) if wide else (len(values),)
    flat = [each for row in values for each in row] if wide else values
    found = np.empty(len(flat), dtype=object)
    found[:] = flat
    return found.reshape(shape)


def _kind(name: str) -> Any:
    """The dataclass that *name* (module:class) means."""
    module, _, wanted = name.partition(":")
    if not module.startswith(f"{PACKAGE}."):
        raise ArtifactError(f"a bundle asks for {name}, which is nothing of this package")
    try:
        kind = getattr(import_module(module), wanted)
    except (ImportError, AttributeError) as error:
        raise ArtifactError(
            f"a bundle asks for {name}, which this version of the package does not have. Use the "
            "wheel in the bundle's folder wheels"
        ) from error
    if not (isinstance(kind, type) and is_dataclass(kind)):
        raise ArtifactError(f"a bundle asks for {name}, which is no dataclass")
    return kind
