"""The page and the figure of `python -m benchmarks.honesty`."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.shared.machine import machine_line

ROUNDING = 1e-5  # gains and intervals are printed with five decimals, and compared as printed
FIELDS = ("difference", "error", "low", "high", "plain low", "plain high", "true", "sent")
Table = dict[str, np.ndarray]


def tables(lines: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Table]]:
    """World -> question -> the FIELDS of its answers, (n,) each, with the seeds."""
    found: dict[str, dict[str, list[list[float]]]] = defaultdict(lambda: defaultdict(list))
    for line in lines:
        for question, answer in line["answers"].items():
            found[line["world"]][question].append([line["seed"], *answer])
    return {
        world: {
            question: dict(zip(("seed", *FIELDS), np.array(rows).T, strict=True))
            for question, rows in questions.items()
        }
        for world, questions in found.items()
    }


def held(table: Table, low: str = "low", high: str = "high", what: str = "true") -> np.ndarray:
    """(n,) whether the interval holds the true gain."""
    above = table[low] - ROUNDING <= table[what]
    return np.asarray(above & (table[what] <= table[high] + ROUNDING))


def coverage(questions: Mapping[Any, Table], **which: str) -> tuple[float, float]:
    """Share of intervals that hold, and its error: the answers to one competition go together."""
    shares = defaultdict(list)
    for table in questions.values():
        for seed, hit in zip(table["seed"], held(table, **which), strict=True):
            shares[seed].append(hit)
    each = np.array([(sum(hits), len(hits)) for hits in shares.values()], dtype=float)
    share = each[:, 0].sum() / each[:, 1].sum()
    apart = each[:, 0] - share * each[:, 1]
    return float(share), float(np.sqrt((apart**2).sum()) / each[:, 1].sum())


PLAIN = {"low": "plain low", "high": "plain high"}


def page(lines: Sequence[Mapping[str, Any]], crowd: Mapping[str, Any]) -> str:
    """Everything in Markdown."""
    worlds = tables(lines)
    every = {
        (world, question): {**table, "seed": table["seed"] + 1e6 * place}
        for place, (world, questions) in enumerate(worlds.items())
        for question, table in questions.items()
    }
    text = [
        "# Do the intervals hold, and is the honest score honest?",
        "",
        f"{len(lines)} simulated competitions. {machine_line('scikit-learn')}",
        "",
        "What is asked and what counts as true: docs/honesty.md. An interval holds what it holds",
        "as printed, with five decimals. *plain*: a bootstrap of the rows alone. ±: one standard",
        "error, the answers to one competition taken together. *sent*: how often the interval",
        "holds the gain of what is submitted, fitted on all rows. *too high*: intervals wholly",
        "above the truth.",
        "",
        f"All questions of all worlds: **{_share(coverage(every))}** (plain "
        f"{_share(coverage(every, **PLAIN))}, sent {_share(coverage(every, what='sent'))}).",
        _false_alarms(every),
        "",
        "| world | competitions | coverage | plain | sent |",
        "| --- | --- | --- | --- | --- |",
    ]
    for world, questions in worlds.items():
        count = len({seed for table in questions.values() for seed in table["seed"]})
        cells = [coverage(questions), coverage(questions, **PLAIN)]
        cells.append(coverage(questions, what="sent"))
        text.append(f"| {world} | {count} | {' | '.join(map(_share, cells))} |")
    text += ["", *_by_question(every), "", *_details(worlds), "", *_scores(lines), ""]
    return "\n".join([*text, *_crowd(crowd), ""])


def summary(lines: Sequence[Mapping[str, Any]], crowd: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of the page, as plain values."""
    worlds = tables(lines)
    off = {
        f"{world}, {method}": honest for (world, method), (_, honest, _) in biases(lines).items()
    }
    return {
        "competitions": len(lines),
        "bias in standard errors": {
            name: round(float(honest.mean()), 4) for name, honest in off.items()
        },
        "coverage": {
            world: {
                question: {
                    "answers": len(table["true"]),
                    "interval": round(float(held(table).mean()), 4),
                    "rows alone": round(float(held(table, **PLAIN).mean()), 4),
                    "of what is sent": round(float(held(table, what="sent").mean()), 4),
                }
                for question, table in questions.items()
            }
            for world, questions in worlds.items()
        },
        "crowd": crowd,
    }


def _share(found: tuple[float, float]) -> str:
    return f"{100 * found[0]:.1f} ± {100 * found[1]:.1f} %"


def _false_alarms(every: Mapping[tuple[str, str], Table]) -> str:
    """How often there was nothing to gain and the verdict was "real"."""
    low, plain, true = (
        np.concatenate([table[field] for table in every.values()])
        for field in ("low", "plain low", "true")
    )
    none = true <= 0
    return (
        f"Nothing was to be gained {none.sum():,} times: {(low[none] > ROUNDING).sum()} were "
        f"called real, by the rows alone {(plain[none] > ROUNDING).sum()}."
    )


def _by_question(every: Mapping[tuple[str, str], Table]) -> list[str]:
    text = ["| question | coverage | plain | sent | too high |", "| --- |" + " --- |" * 4]
    for name in dict.fromkeys(question for _, question in every):
        part = {key: table for key, table in every.items() if key[1] == name}
        part_of = {str(key): table for key, table in part.items()}
        cells = [coverage(part_of), coverage(part_of, **PLAIN), coverage(part_of, what="sent")]
        above = np.concatenate([table["low"] - ROUNDING > table["true"] for table in part.values()])
        shares = " | ".join(map(_share, cells))
        text.append(f"| {name} | {shares} | {100 * above.mean():.1f} % |")
    return text


def _details(worlds: Mapping[str, Mapping[str, Table]]) -> list[str]:
    text = [
        "Every question. *spread*: of the honest difference over competitions; *error*: the",
        "standard error that was printed, on average; *half*: half of the interval; *below*, "
        "*above*: intervals that lie wholly below, above the truth.",
        "",
        "| world | question | n | true | bias / spread | spread | error | half | coverage | below "
        "| above | plain | real | plain |",
        "| --- |" + " --- |" * 13,
    ]
    for world, questions in worlds.items():
        for question, each in questions.items():
            apart, spread = each["difference"] - each["true"], each["difference"].std()
            figures = [
                f"{len(apart)}",
                f"{each['true'].mean():+.4f}",
                f"{apart.mean() / spread:+.2f} ± {apart.std() / spread / len(apart) ** 0.5:.2f}",
                f"{spread:.4f}",
                f"{each['error'].mean():.4f}",
                f"{(each['high'] - each['low']).mean() / 2:.4f}",
                f"{100 * held(each).mean():.1f}",
                f"{100 * (each['high'] + ROUNDING < each['true']).mean():.1f}",
                f"{100 * (each['low'] - ROUNDING > each['true']).mean():.1f}",
                f"{100 * held(each, **PLAIN).mean():.1f}",
                f"{100 * (each['low'] > 0).mean():.0f}",
                f"{100 * (each['plain low'] > 0).mean():.0f}",
            ]
            text.append(f"| {world} | {question} | {' | '.join(figures)} |")
    return text


def _scores(lines: Sequence[Mapping[str, Any]]) -> list[str]:
    text = [
        "The scores themselves. *bias*: gain minus truth, in standard errors of the honest score",
        "(its spread over competitions), beside that of the plain mean of the members in the same",
        "competition: the mean fits nothing, so what it is off by is chance alone.",
        "",
        "| world | method | true | honest, bias | in-sample, bias |",
        "| --- | --- | --- | --- | --- |",
    ]
    for (world, method), (true, honest, in_sample) in biases(lines).items():
        cells = [_beside(honest), _beside(in_sample)]
        text.append(f"| {world} | {method} | {true:.4f} | {' | '.join(cells)} |")
    every = np.array([honest.mean() for _, honest, _ in biases(lines).values()])
    largest = float(np.abs(every).max())
    return [*text, "", f"Honest, on average {every.mean():+.3f}; the largest is {largest:.3f}."]


def _beside(values: np.ndarray) -> str:
    return f"{values.mean():+.3f} ± {values.std() / len(values) ** 0.5:.3f}"


def biases(
    lines: Sequence[Mapping[str, Any]],
) -> dict[tuple[str, str], tuple[float, np.ndarray, np.ndarray]]:
    """(World, method) -> the mean true gain, and (n,) biases of honest and in-sample gains."""
    found = defaultdict(list)
    for line in lines:
        chance = line["scores"]["mean"][0] - line["scores"]["mean"][1]
        for method, (honest, true, _, in_sample) in line["scores"].items():
            found[line["world"], method].append((honest, true, in_sample, chance))
    result = {}
    for key, rows in found.items():
        honest, true, in_sample, chance = np.array(rows).T
        error = honest.std()
        off = (honest - true - chance) / error, (in_sample - true - chance) / error
        if key[1] != "mean":
            result[key] = (float(true.mean()), *off)
    return result


def _crowd(crowd: Mapping[str, Any]) -> list[str]:
    text = [
        f"One good member and more and more of pure noise ({crowd['world']}, mean of "
        f"{crowd['competitions']} competitions):",
        "",
        "| noise members | " + " | ".join(map(str, crowd["strangers"])) + " |",
        "| --- |" + " --- |" * len(crowd["strangers"]),
    ]
    for method, scores in crowd["scores"].items():
        for kind in ("in-sample", "honest"):
            cells = " | ".join(f"{value:.4f}" for value in scores[kind])
            text.append(f"| {method}, {kind} | {cells} |")
    return text


def figure(lines: Sequence[Mapping[str, Any]], crowd: Mapping[str, Any], path: Path) -> None:
    """Coverage per world, and what noise members do to both scores."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    worlds = tables(lines)
    picture, (left, right) = pyplot.subplots(
        1, 2, figsize=(10, 4), width_ratios=(3, 2), layout="constrained"
    )
    places = np.arange(len(worlds))[::-1]
    left.axvspan(93, 97, color="0.9")
    left.axvline(95, color="0.6", linewidth=1)
    for which, colour, mark, shift, label in (
        ({}, "tab:blue", "o", 0.12, "rows, fits and the choice of the best"),
        (PLAIN, "tab:orange", "x", -0.12, "rows alone"),
    ):
        found = np.array([coverage(questions, **which) for questions in worlds.values()]) * 100
        left.errorbar(
            found[:, 0],
            places + shift,
            xerr=1.96 * found[:, 1],
            fmt=mark,
            color=colour,
            label=label,
        )
    left.set_yticks(places, list(worlds))
    left.set_xlabel("intervals that hold the true gain, % (bars: 95 %)")
    left.set_ylim(-0.5, len(worlds) + 1.3)
    left.legend(
        loc="upper left", title="counted as uncertain", fontsize=8, title_fontsize=8, ncols=2
    )
    left.set_title("Do 95 % intervals of a gain hold?", fontsize=10)
    for (method, scores), colour in zip(
        crowd["scores"].items(), ("tab:blue", "tab:green", "tab:red"), strict=False
    ):
        right.plot(crowd["strangers"], scores["in-sample"], "--", color=colour)
        right.plot(crowd["strangers"], scores["honest"], "-o", color=colour, label=method, ms=4)
    right.set_xlabel("members of pure noise")
    right.set_ylabel(f"{crowd['metric']}: in-sample dashed, honest solid")
    right.legend(fontsize=8)
    right.set_title("One good member and many of noise", fontsize=10)
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.savefig(path, dpi=110)
    pyplot.close(picture)
