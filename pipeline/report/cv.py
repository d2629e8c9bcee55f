"""What `pipeline.cv` prints: the first lines, a line per fold, the table at the end."""

import statistics
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table as Grid

from pipeline.base.files import free_bytes, size_text
from pipeline.models import Recipe
from pipeline.models.recipes import row_steps_of, template_of, tta_steps_of
from pipeline.report.page import plural
from pipeline.training import Job, Part
from pipeline.training.progress import clock_text


def first_lines(job: Job, tokens: str, missing: int) -> list[str]:
    """Device, precision, batch, rows, tokens, folds and free disk, before anything is trained."""
    facts = job.factory.facts()
    tables, folds = job.tables, job.folds
    more = [
        f"{len(table)} {name}"
        for name, table in (("extra", tables.extra), ("holdout", tables.holdout))
        if table is not None
    ]
    rows = ", ".join([f"{len(tables.train)} train", f"{len(tables.test)} test", *more])
    total = len(list(job.parts()))
    done = f"{total - missing} of {total} finished before" if missing < total else "none finished"
    return [
        f"{job.run} on {job.competition.name}",
        f"  device   {facts.get('device', 'cpu')}",
        f"  learner  {learner_text(job.recipe, facts)}",
        f"  rows     {rows}",
        *([f"  input    {tokens}"] if tokens else []),
        f"  folds    {folds.count} × {plural(len(folds.fold_of_row), 'repeat')} × "
        f"{plural(len(job.seeds), 'seed')}, "
        f"passport {folds.digest[:12]}, {done}",
        *(f"  note     {note}" for note in (*folds.notes, *job.notes)),
        f"  disk     {size_text(free_bytes(job.paths.root))} free",
    ]


def learner_text(recipe: Recipe, facts: Mapping[str, Any]) -> str:
    """What the learner is made of, and what is done to its texts first.

    >>> from pipeline.models.settings import LinearRecipe
    >>> learner_text(LinearRecipe(), {"precision": "fp32"})
    'n-grams of 1 to 4 characters and 1 to 2 words, precision fp32, all rows at once'
    """
    cleaned = f", texts cleaned by {', '.join(recipe.clean)}" if recipe.clean else ""
    sides = template_of(recipe)
    template = f", template {' | '.join(sides)}" if sides else ""
    steps, asked = (
        ", ".join(each if isinstance(each, str) else next(iter(each)) for each in entries)
        for entries in (row_steps_of(recipe), tta_steps_of(recipe))
    )
    rows = f", training rows by {steps}" if steps else ""
    tta = f", predicted by {asked} too" if asked else ""
    return recipe.in_words(facts.get("precision", "fp32")) + cleaned + template + rows + tta


def fold_line(part: Part, manifest: Mapping[str, Any]) -> str:
    """One finished fold."""
    score = manifest["score"]
    value = manifest["score_undefined"] if score is None else f"{manifest['metric']} {score:.4f}"
    seconds = clock_text(sum(manifest["seconds"].values()))
    return f"  {part.name}  {value}  {seconds}  {memory_text(manifest['peak_memory'])}"


def memory_text(peak: Mapping[str, int]) -> str:
    """Peak memory for people.

    >>> memory_text({"ram": 1_200_000_000, "gpu": 300_000_000})
    'ram 1.2 GB, gpu 300.0 MB'
    """
    return ", ".join(f"{name} {size_text(size)}" for name, size in peak.items())


def summary(manifests: Mapping[str, Mapping[str, Any]]) -> Grid:
    """A table of finished runs: fold scores, mean and spread, pooled score, time, memory."""
    metric = next(iter(manifests.values()))["metric"]
    grid = Grid(title=f"{metric} on held-out rows", title_justify="left", box=None, pad_edge=False)
    grid.add_column("run", no_wrap=True)
    grid.add_column("fold scores", no_wrap=True)
    with_holdout = any(manifest.get("holdout_score") is not None for manifest in manifests.values())
    names = ["mean ± sd", "pooled", *(["holdout"] if with_holdout else []), "s/fold", "peak/fold"]
    for name in names:
        grid.add_column(name, justify="right", no_wrap=True)
    for name, manifest in manifests.items():
        scores = [score for score in manifest["fold_scores"] if score is not None]
        spread = f" ± {statistics.stdev(scores):.4f}" if len(scores) > 1 else ""
        peak = max(manifest["peak_memory"].values(), key=lambda part: sum(part.values()))
        grid.add_row(
            name,
            " ".join(number(score) for score in manifest["fold_scores"]),
            f"{statistics.fmean(scores):.4f}{spread}" if scores else "–",
            number(manifest["oof_score"]),
            *([number(manifest.get("holdout_score"))] if with_holdout else []),
            f"{statistics.fmean(manifest['seconds'].values()):.0f}",
            memory_text(peak),
        )
    return grid


def number(score: float | None) -> str:
    """A score with four decimals, or a dash.

    >>> number(0.91234), number(None)
    ('0.9123', '–')
    """
    return "–" if score is None else f"{score:.4f}"


def apart_line(name: str, apart: Mapping[str, Any]) -> str:
    """Where a run that was asked about several wordings of a row is least sure of them.

    >>> apart_line("tiny", {"mean": 0.21, "rows": {"7": 1.5, "3": 0.9}})
    'wordings of a row are 0.2100 apart in tiny, most in rows 7 (1.5000), 3 (0.9000)'
    """
    rows = [f"{row_id} ({value:.4f})" for row_id, value in [*apart["rows"].items()][:SHOWN_APART]]
    return f"wordings of a row are {apart['mean']:.4f} apart in {name}, most in rows " + ", ".join(
        rows
    )


SHOWN_APART = 5
"""Rows that are shown; run.json has more of them."""


def print_summary(manifests: Mapping[str, Mapping[str, Any]], console: Console) -> None:
    """Print `summary` and what its two kinds of score are."""
    console.print(summary(manifests))
    for name, manifest in manifests.items():
        if apart := manifest.get("wordings_apart"):
            console.print(apart_line(name, apart), soft_wrap=True, markup=False)
    console.print(
        "mean ± sd: over the folds' own scores; pooled: all out-of-fold predictions scored at once "
        "(the score an ensemble builds on).",
        soft_wrap=True,
    )
