"""Weights in float16: half the size, and what that does to answers and to the honest score.

They are stored in 16 bits and computed with in 32, so only their last digits are lost. Both effects
are measured: every learner predicts the test file and the rows it was held out from again.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.base import ArtifactError, Paths, UsageError, read_json
from pipeline.base.files import commit, commit_json, commit_text, sha256
from pipeline.data import load, places_of
from pipeline.folds.frozen import read_frozen
from pipeline.models.hub.download import check
from pipeline.models.recipes import saw_held_out
from pipeline.oof.members import Members
from pipeline.serve.bundle import ABOUT, open_bundle
from pipeline.serve.packing.pack import Asked
from pipeline.submissions.build import BuiltSubmission, make
from pipeline.training.fold import predict_bare
from pipeline.training.progress import Progress

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True, kw_only=True)
class Effect:
    """What float16 changes."""

    cells: int
    """Answers of the test file, columns times rows."""
    changed: int
    """Of them, those whose text is another."""
    largest: float
    """The largest change of a prediction before decisions."""
    honest: float | None
    """By the learners as they are, the method being that of the submission."""
    halved: float | None
    """The same by the halved ones."""
    as_they_were: list[str]
    """Members whose learners saw the held-out rows: their predictions of those are left as they
    were."""


def halve(folder: Path) -> None:
    """Store the float32 tensors of all safetensors in *folder* as float16.

    Digests that vouch for a file follow it. Raises ArtifactError where a number has no float16.
    """
    new: dict[str, str] = {}
    for path in sorted(folder.rglob("*.safetensors")):
        before = sha256(path)
        new[before] = _halved(path)
    about = read_json(folder / ABOUT)
    for key, backbone in about["backbones"].items():
        place = folder / "backbones" / key
        new[backbone["sha256"]] = check(place, backbone["name"], None)
    for path in sorted(folder.rglob("*.json")):
        text = path.read_text(encoding="utf-8")
        changed = text
        for before, after in new.items():
            changed = changed.replace(before, after)
        if changed != text:
            commit_text(path, changed)


def _halved(path: Path) -> str:
    """The SHA-256 of the file with half precision."""
    import torch
    from safetensors import safe_open
    from safetensors.torch import save

    with safe_open(path, framework="pt") as file:
        said = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    for name, tensor in tensors.items():
        if tensor.dtype != torch.float32:
            continue
        tensors[name] = tensor.half()
        if not tensors[name].isfinite().all():
            raise ArtifactError(
                f"{path}: {name} holds numbers that float16 has not (beyond 65504); bundle without "
                "--half"
            )
    content = save(tensors, said)
    return commit(path, lambda stream: stream.write(content))


def effect_of(asked: Asked, folder: Path, kept: Path, console: "Console") -> Effect:
    """What the halved learners in *folder* change; bundle.json says it from then on.

    *kept* is a folder for tokens.
    """
    made, competition = asked.made, asked.origin.competition
    if not isinstance(made, BuiltSubmission):
        raise UsageError("--half measures what float16 changes in numbers, not in texts: leave it")
    outcome, fitted = made.outcome, made.fitted.keep(asked.places)
    packed = outcome.members.keep(asked.places)
    request = replace(
        made.asked, runs=list(outcome.members.names), method=outcome.assessment.method
    )
    oof, test, seen = _predicted_again(asked, folder, kept, console)
    for place, name in enumerate(packed.names):
        if name in seen:
            oof[place] = np.asarray(packed.oof[place])

    def instead(members: Members) -> Members:
        own = dict(zip(packed.names, zip(oof, test, strict=True), strict=True))
        known = zip(members.names, zip(members.oof, members.test, strict=True), strict=True)
        both = [own.get(name, pair) for name, pair in known]
        return replace(
            members,
            oof=[np.asarray(each, dtype=np.float32) for each, _ in both],
            test=[each for _, each in both],
        )

    before = make(asked.root, competition, request)
    after = make(asked.root, competition, request, instead=instead)
    rows = load(competition, asked.root).test
    bundle = open_bundle(folder, whole=False)
    answers = [
        bundle.content(rows, None, list(members)).decode().splitlines()[1:]
        for members in (packed.test, test)
    ]
    cells = [[cell for line in lines for cell in line.split(",")[1:]] for lines in answers]
    name = competition.task.problem_type.name
    raw = [
        fitted.blend.predict(fitted.rows(members, rows), name) for members in (packed.test, test)
    ]
    found = Effect(
        cells=len(cells[0]),
        changed=sum(one != other for one, other in zip(*cells, strict=True)),
        largest=float(np.abs(raw[0] - raw[1]).max()),
        honest=before.outcome.honest,
        halved=after.outcome.honest,
        as_they_were=[each["name"] for each in packed.manifests if each["name"] in seen],
    )
    about = read_json(folder / ABOUT)
    said: dict[str, Any] = {
        "cells": found.cells,
        "changed": found.changed,
        "largest": found.largest,
        "honest": found.honest,
        "honest_in_float16": found.halved,
    }
    commit_json(folder / ABOUT, {**about, "float16": said})
    return found


def _predicted_again(
    asked: Asked, folder: Path, kept: Path, console: "Console"
) -> tuple[list[np.ndarray], list[np.ndarray], set[str]]:
    """Of each member (n, k) out-of-fold predictions, rows as in the folds, and (m, k) test ones.

    And the names of those whose learners saw the held-out rows: of them the first mean nothing.
    """
    competition = asked.origin.competition
    tables = load(competition, asked.root)
    folds = read_frozen(competition, Paths(asked.root, competition.name), tables.train)
    places = places_of(folds.ids.tolist(), tables.train.ids.tolist(), "the rows of train")
    oof, test, seen = [], [], set[str]()
    for saved in open_bundle(folder, whole=False).runs(tokens=kept):
        columns = len(competition.outputs)
        if saw_held_out(saved.recipe):
            seen.add(saved.run)
        mine = np.zeros((len(tables.train), columns))
        count, others = np.zeros((len(tables.train), 1)), np.zeros((len(tables.test), columns))
        with Progress(f"{saved.run} in float16", len(saved.parts), console) as progress:
            for part in saved.parts:
                learner, watch = saved.factory.load(saved.weights(part)), progress.watch(part)
                held_out = folds.valid_rows(part.repeat, part.fold)
                rows = tables.train.rows(held_out)
                mine[held_out] += predict_bare(saved, learner, rows, watch)
                count[held_out] += 1
                others += predict_bare(saved, learner, tables.test, watch)
        oof.append((mine / np.maximum(count, 1))[places])
        test.append(others / len(saved.parts))
    return oof, test, seen
