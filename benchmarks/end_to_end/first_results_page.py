"""docs/first-results.md from the figures in benchmarks/results/first-*.json."""

import json
import statistics
from collections.abc import Iterator, Sequence
from typing import Any

from benchmarks.shared.machine import RESULTS

INTRODUCTION = """# First results on real data

Each competition went the whole way, init → cv → ensemble → a valid submission, by the committed
command shown, with no option that init did not write except those in that command line. *fold
scores* are scores of each fold's held-out rows, *pooled* is one score over all out-of-fold
predictions, *honest* is the ensemble's score with every choice made without the fold it is scored
on, *in-sample* the score on the rows its weights were fitted on; *dev* is a labelled file that
nothing was fitted on. Seconds of init and ensemble are wall clock of the command as a process of
its own, start-up included; *s/fold* is the median time to train a fold and predict its held-out,
test and dev rows. `minilm` is an English backbone: on the Korean sets it shows that the way is
open, not what is possible.

The page is written by `python -m benchmarks.end_to_end.first_results --write` from
`benchmarks/results/first-*.json`; the remarks stand in `benchmarks/results/first-NAME.md`.
"""


def render() -> str:
    """The page, one section per competition."""
    sections = [INTRODUCTION]
    for path in sorted(RESULTS.glob("first-*.json")):
        remarks = path.with_suffix(".md")
        sections.append("\n".join(section(json.loads(path.read_text("utf-8")))))
        if remarks.exists():
            sections.append(remarks.read_text("utf-8").strip() + "\n")
    return "\n".join(sections)


def section(figures: dict[str, Any]) -> Iterator[str]:
    """The lines about one competition."""
    machine, scores = figures["machine"], figures["ensemble"]["scores"]
    yield f"## {figures['competition']}\n"
    yield f"    {figures['command']}\n"
    yield (
        f"{machine['cores']} cores ({machine['processor']}), threads: {machine['threads']}, Python "
        f"{machine['python']}; training seeds {seeds_of(figures)}; rows: "
        + ", ".join(f"{count} {name}" for name, count in figures["ensemble"]["rows"].items())
        + f"; {figures['ensemble']['groups']} groups.\n"
    )
    if figures.get("note"):
        yield f"{figures['note']}\n"
    steps = (f"{name} {figures['seconds'][name]:.0f} s" for name in ("init", "ensemble"))
    yield f"Seconds: {', '.join(steps)}. Submission: {figures['submission_rows']} rows, valid.\n"
    has_dev = scores["holdout"] is not None
    yield from grid(
        ["", "fold scores", "pooled", *(["dev"] if has_dev else []), "weight", "s/fold"]
    )
    members = {member["name"]: member for member in figures["ensemble"]["members"]}
    for name, run in figures["runs"].items():
        folds = " ".join(f"{score:.4f}" for score in run["fold_scores"])
        dev = [f"{run['holdout_score']:.4f}"] if has_dev else []
        weight = f"{members[name]['weight']:.3f}"
        seconds = f"{statistics.median(run['seconds'].values()):.0f}"
        yield row([name, folds, f"{run['oof_score']:.4f}", *dev, weight, seconds])
    yield ""
    yield from methods(figures["ensemble"], has_dev)


def methods(ensemble: dict[str, Any], has_dev: bool) -> Iterator[str]:
    """The ensemble's methods and its verdict."""
    scores = ensemble["scores"]
    yield from grid([f"method ({scores['metric']})", "in-sample", "honest", "difference"])
    for line in ensemble["methods"]:
        values = (line["in_sample"], line["honest"], line["optimism"])
        yield row([line["name"], *(f"{value:.4f}" for value in values)])
    low, high = scores["interval_95"]
    dev = f", dev {scores['holdout']:.4f}" if has_dev else ""
    yield (
        f"\nChosen: **{ensemble['method']}** ({ensemble['reason']}): "
        f"honest {scores['honest']:.4f}, "
        f"in-sample {scores['in_sample']:.4f}{dev}; gain over the best single "
        f"{scores['gain_over_best_single']:+.4f}, 95 % interval {low:+.4f} to {high:+.4f}: "
        f"{scores['verdict']}.\n"
    )


def seeds_of(figures: dict[str, Any]) -> str:
    """The training seeds, as text."""
    return ", ".join(
        sorted({str(seed) for run in figures["runs"].values() for seed in run["seeds"]})
    )


def grid(header: Sequence[str]) -> Iterator[str]:
    """The head of a Markdown table."""
    yield row(header)
    yield row(["---"] * len(header))


def row(cells: Sequence[str]) -> str:
    """One line of a Markdown table."""
    return f"| {' | '.join(cells)} |"
