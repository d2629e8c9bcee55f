"""The ensemble in one picture: how alike the members err, how sure their weights are, and how far
in-sample scores flatter."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.ensemble import Outcome
from pipeline.ensemble.assessment import shown_weights, weight_spread

INK, FAINT, STRONG = "#222222", "#b8b8b8", "#1f6f8b"
LONGEST = 28  # characters of a name


def draw(outcome: Outcome, path: Path, seed: int, title: str = "") -> None:
    """Write the figure to *path*; its suffix says the format (png, svg, pdf)."""
    names = [
        name if len(name) <= LONGEST else name[: LONGEST - 1] + "…" for name in _names(outcome)
    ]
    with mpl.rc_context(
        {
            "font.size": 9,
            "axes.titlesize": 10,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "svg.hashsalt": "foldstack",
        }
    ):
        tall = max(3.2, 0.34 * len(names) + 1.4)
        figure = Figure(figsize=(14, tall), layout="constrained")
        left, middle, right = figure.subplots(1, 3, width_ratios=[1.1, 1, 1.15])
        _correlations(left, names, outcome.assessment.correlation)
        _weights(middle, names, outcome, seed)
        _scores(right, outcome)
        name = title or outcome.competition.name
        figure.suptitle(f"{name}: {len(names)} members, {outcome.metric.name}")
        figure.savefig(path, dpi=110, metadata={"Date": None} if path.suffix == ".svg" else None)


def _names(outcome: Outcome) -> list[str]:
    return outcome.members.names


def _correlations(axes: Axes, names: list[str], correlation: np.ndarray) -> None:
    low = min(0.8, float(correlation.min())) - 0.1
    axes.imshow(correlation, cmap="YlGnBu", vmin=low, vmax=1.1, aspect="auto")
    for row, column in np.ndindex(correlation.shape):
        value = correlation[row, column]
        ink = "white" if value > low + 0.6 * (1.1 - low) else INK
        if len(names) <= 14:
            axes.text(column, row, f"{value:.2f}", ha="center", va="center", color=ink, fontsize=8)
    places = range(len(names))
    axes.set_xticks(places, [str(place + 1) for place in places])
    axes.set_yticks(places, [f"{name}  {place + 1}" for place, name in enumerate(names)])
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    axes.set_title("correlation of the members' errors")


def _weights(axes: Axes, names: list[str], outcome: Outcome, seed: int) -> None:
    assessment = outcome.assessment
    drawn = weight_spread(outcome.evidence, assessment.method, seed)
    low, high = np.percentile(shown_weights(outcome.evidence, drawn), [2.5, 97.5], axis=0)
    weights = shown_weights(outcome.evidence, assessment.blend.weights)
    places = np.arange(len(names))
    axes.axvline(0, color=FAINT, linewidth=0.8)
    axes.hlines(places, low, high, color=FAINT, linewidth=5)
    axes.plot(weights, places, "o", color=STRONG)
    axes.set_yticks(places, [str(place + 1) for place in places])
    axes.invert_yaxis()
    axes.set_xlabel("weight; bar: 95 % of bootstrap refits over groups")
    axes.set_title(f"weights of {assessment.method}")


def _scores(axes: Axes, outcome: Outcome) -> None:
    assessment = outcome.assessment
    word = "claimed" if outcome.doubts else "honest"
    lines = [line for line in assessment.methods if line.honest is not None]
    for place, line in enumerate(lines):
        assert line.honest is not None
        flattered = line.honest if line.in_sample is None else line.in_sample
        axes.plot([line.honest, flattered], [place, place], color=FAINT, linewidth=2)
        axes.plot(flattered, place, "o", mfc="white", mec=STRONG)
        axes.plot(line.honest, place, "o", color=STRONG)
    axes.plot([], [], "o", color=STRONG, label=word)
    axes.plot([], [], "o", mfc="white", mec=STRONG, label="in-sample")
    labels = [line.name + (" *" if line.name == assessment.method else "") for line in lines]
    axes.set_yticks(range(len(lines)), labels)
    axes.invert_yaxis()
    axes.margins(x=0.1)
    axes.ticklabel_format(axis="x", useOffset=False)
    axes.tick_params(axis="x", labelrotation=30)
    better = "right" if outcome.metric.greater_is_better else "left"
    axes.set_xlabel(f"{outcome.metric.name} (further {better} is better)")
    axes.set_title(f"{word} and in-sample, by method")
    axes.legend(frameon=False, fontsize=8, loc="best")
