"""Charts as SVG that takes the colours of the page, light or dark.

matplotlib draws them: it is there already, well kept, adds no script to the file (a page of bokeh
carries 1 MB, one of plotly 4.7 MB, before the first point), prints sharply and can be read by a
screen reader. Every mark can say something (`tips`), which the page's own few lines of script show
under the pointer, a finger or the keyboard.
"""

import io
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import matplotlib as mpl
import numpy as np
from markupsafe import Markup
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, PercentFormatter

from pipeline.report.drawn.document import Chart, clean
from pipeline.report.drawn.words import Data

INK, LINE = "#101112", "#b1b2b3"
SERIES = ["#0a64c1", "#d1570a", "#0a8f5c", "#a11db5", "#b58a05", "#c5243b", "#068a9c", "#6a6f77"]
"""Stand-ins: each is replaced by a variable of the page's style."""
COLOURS = {INK: "var(--ink)", LINE: "var(--line)"} | {
    colour: f"var(--c{place})" for place, colour in enumerate(SERIES)
}
STYLE: Any = {
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.labelsize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": LINE,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "grid.color": LINE,
    "grid.linewidth": 0.4,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "foldstack",
    "text.parse_math": False,  # a name with two dollar signs is a name, no formula
}
ASIAN = (
    "Noto Sans KR",
    "Noto Sans CJK KR",
    "Noto Sans CJK JP",  # the one face that matplotlib sees of a file with all of them
    "NanumGothic",
    "Malgun Gothic",
    "Apple SD Gothic Neo",
)
"""Fonts with Hangul, for drawings that are pictures: a browser has its own."""
WIDTH = 4.9
"""Inches: as wide as a phone, so that letters keep their size there."""
LETTER, MARK = 0.085, 0.6
"""Inches of a letter, and of what stands before a name in a legend, with the gap to the next."""
NAME = 32
Tips = list[list[str]]


def chart(
    name: str,
    title: str,
    draw: Callable[[Axes], Mapping[str, Tips]],
    height: float = 2.9,
    says: Sequence[str] = (),
    words: Sequence[str] = (),
) -> Chart:
    """What *draw* puts on axes; it gives back the tips of each id (gid) it used.

    *words* are the texts in it that another language says otherwise.
    """
    with warnings.catch_warnings(), mpl.rc_context(STYLE | {"font.family": _families()}):
        warnings.simplefilter("ignore", UserWarning)  # letters its fonts lack; the browser has them
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        tips = draw(figure.subplots())
        stream = io.StringIO()
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None})
    tips = {f"{name}-{key}": value for key, value in tips.items()}
    svg = _inline(stream.getvalue(), name, title)
    ours = [each for each in words if each]
    return Chart(title=title, svg=svg, tips=tips, says=says, words=ours, figure=figure)


@cache
def _families() -> list[str]:
    """The usual font, and for letters that it lacks one of `ASIAN` that is here."""
    here = set(font_manager.get_font_names())
    return [*mpl.rcParams["font.family"], *[each for each in ASIAN if each in here][:1]]


def _inline(svg: str, name: str, title: str) -> Markup:
    """The drawing as a part of a page: its ids its own, its colours the page's."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'(url\(#|href="#)', rf"\1{name}-", svg)
    svg = svg.replace("xlink:href", "href")
    for colour, variable in COLOURS.items():
        svg = svg.replace(colour, variable)
    label = Markup.escape(title)
    head = f'<svg role="img" aria-label="{label}" '
    svg = re.sub(r'^<svg [^>]*?viewBox="([^"]+)"[^>]*>', rf'{head}viewBox="\1">', svg, count=1)
    return Markup(re.sub(r">\s+<", "><", svg))


def short(names: Sequence[object]) -> list[str]:
    """Names as they stand beside an axis."""
    return [clean(name, NAME) for name in names]


def bars(
    name: str,
    title: str,
    labels: Sequence[str],
    series: Mapping[str, Sequence[float]],
    form: str = ".1%",
    says: Sequence[str] = (),
    axis: str = "",
) -> Chart:
    """Lying bars, one for each series beside each label."""

    def draw(axes: Axes) -> dict[str, Tips]:
        tips: dict[str, Tips] = {}
        thick = 0.8 / len(series)
        for place, (who, values) in enumerate(series.items()):
            at = np.arange(len(labels)) + (place - (len(series) - 1) / 2) * thick
            drawn = axes.barh(at, values, thick * 0.92, color=SERIES[place], label=clean(who, 40))
            for number, (bar, value) in enumerate(zip(drawn, values, strict=True)):
                bar.set_gid(f"{place}x{number}")
                told = f"{clean(labels[number], 80)}: {who} {value:{form}}"
                tips[f"{place}x{number}"] = [[told, ""]]
        _named(axes, labels)
        axes.set_xlabel(axis)
        if "%" in form:
            axes.xaxis.set_major_formatter(PercentFormatter(1))
        axes.locator_params(axis="x", nbins=6)
        axes.grid(axis="y", visible=False)
        if len(series) > 1:
            _legend(axes)
        return tips

    ours = [str(each) for each in labels if not isinstance(each, Data)]
    high = tall(len(labels) * max(1.0, 0.6 * len(series)))
    return chart(name, title, draw, high, says, [axis, *series, *ours])


def ranges(
    name: str,
    title: str,
    labels: Sequence[str],
    values: Sequence[float | None],
    reach: Sequence[tuple[float, float] | None],
    says: Sequence[str] = (),
    axis: str = "",
    zero: bool = False,
    others: Mapping[str, Sequence[float | None]] | None = None,
    form: str = ".4f",
) -> Chart:
    """A point and its range for each label; *others* are further points of the same label."""

    def draw(axes: Axes) -> dict[str, Tips]:
        tips: dict[str, Tips] = {}
        if zero:
            axes.axvline(0, color=INK, linewidth=0.8)
        for place, span in enumerate(reach):
            if span is not None and np.isfinite(span).all():
                axes.hlines(place, *span, color=SERIES[0], linewidth=4, alpha=0.3)
        marks = {"": values, **(others or {})}
        for number, (who, points) in enumerate(marks.items()):
            known = [place for place, value in enumerate(points) if value is not None]
            x = np.array([points[place] for place in known], dtype=float)
            hollow: Any = {"mfc": "none"} if number else {}
            axes.plot(
                x, known, "o", color=SERIES[number % 8], gid=f"m{number}", label=who, **hollow
            )
            tips[f"m{number}"] = [
                [_of(labels[place], who, points[place], None if number else reach[place], form), ""]
                for place in known
            ]
        _named(axes, labels)
        axes.set_xlabel(axis)
        axes.margins(x=0.08)
        axes.locator_params(axis="x", nbins=5)
        return tips

    ours = [str(clean(each, NAME)) for each in labels if not isinstance(each, Data)]
    return chart(name, title, draw, tall(len(labels)), says, [axis, *ours])


def _of(
    label: str, who: str, value: float | None, span: tuple[float, float] | None, form: str
) -> str:
    told = f"{clean(label, 80)}{f', {who}' if who else ''}: {value:{form}}"
    return told if span is None else f"{told} ({span[0]:{form}} to {span[1]:{form}})"


def _named(axes: Axes, labels: Sequence[str]) -> None:
    axes.set_yticks(range(len(labels)), short(labels))
    axes.tick_params(length=0)
    axes.set_ylim(len(labels) - 0.4, -0.6)


def _legend(axes: Axes) -> None:
    """Above the axes, as many names in a row as the figure is wide."""
    marks, names = axes.get_legend_handles_labels()
    longest = max(map(len, names)) * LETTER + MARK
    columns = int(min(3, len(names), max(1, WIDTH // longest)))
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.legend(marks, names, loc="outside upper left", ncols=columns, borderaxespad=0)


def tall(lines: float) -> float:
    """Inches for so many lines."""
    return min(9.0, 0.85 + 0.25 * max(lines, 2))


def dots(
    name: str,
    title: str,
    series: Sequence[tuple[str, np.ndarray, np.ndarray, Tips]],
    axes_named: tuple[str, str],
    diagonal: bool = False,
    joined: bool = False,
    says: Sequence[str] = (),
    log: bool = False,
) -> Chart:
    """Points (name, x, y, tips) in a plane; *joined*: lines through them."""

    def draw(axes: Axes) -> dict[str, Tips]:
        tips: dict[str, Tips] = {}
        if diagonal and series:
            x = np.concatenate([each[1] for each in series])
            axes.plot([x.min(), x.max()], [x.min(), x.max()], color=LINE, linewidth=1)
        for place, (who, x, y, told) in enumerate(series):
            few = len(x) <= 60
            axes.plot(
                x,
                y,
                ("-o" if few else "-") if joined else "o",
                color=SERIES[place % 8],
                markersize=4.5 if few else 3,
                linewidth=1.4,
                alpha=1.0 if few else 0.55,
                markeredgewidth=0,
                label=clean(who, 32),
                gid=f"s{place}",
            )
            tips[f"s{place}"] = told
        axes.set_xlabel(axes_named[0])
        axes.set_ylabel(axes_named[1])
        if log:
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter("{x:g}")  # the usual one writes formulas
            axes.xaxis.set_minor_formatter(NullFormatter())
        if 1 < len(series) <= 8:
            _legend(axes)
        return tips

    return chart(name, title, draw, 3.4, says, [*axes_named, *(each[0] for each in series)])
