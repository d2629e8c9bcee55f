"""Print the look at a competition: about a screen and a half, short where all is well."""

import sys
from typing import IO

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table as Grid
from rich.text import Text

from pipeline.base.files import size_text
from pipeline.report.init_signals import alike, alone, copies, overlap, relation
from pipeline.report.page import Section, figure, name, names, number, page, plural, share, writable
from pipeline.setup import Inspection
from pipeline.setup.inspection.description import Quantiles, Spread

# What the look at the data says about the machine: disk, need, devices.

PART = 0.01
"""Of the free disk, from which the size of predictions is told."""


def machine(seen: Inspection) -> Section:
    """Free disk, what a run will need of it, and the devices."""
    facts = seen.machine
    free = ", ".join(f"{size_text(size)} at {place}" for place, size in facts.free.items())
    weights = ", ".join(f"{size_text(size)} for a {kind}" for kind, size in facts.weights.items())
    memory = "" if facts.memory is None else f"{size_text(facts.memory)} memory, "
    least = min(facts.free.values())
    tight = [kind for kind, size in facts.weights.items() if size > least]
    devices = f"{plural(facts.cores, 'core')}, {memory}GPU: {names(facts.gpus) or 'none'}"
    heavy = facts.predictions > PART * least
    predicted = f"predictions {size_text(facts.predictions)}, " if heavy else ""
    return Section(
        title=f"Machine: {devices}; free disk {free}",
        says=[f"{predicted}weights of {plural(facts.fits, 'fold')} {weights} model"],
        warns=[
            f"too little disk to keep the weights of a {kind} transformer" for kind in tight[:1]
        ],
    )


# What the look at the data says about its rows: files, target, texts.


SHOWN = 12
"""Classes or labels that are listed where there are a few more."""
MANY = 24
"""From so many on a third of these are enough."""
BAR = 24
RARE = 0.02
UNDECIDED = 0.05
"""Share of rows that read like a row of another label from which the columns are too few."""
MOVED = 0.1


def files(seen: Inspection) -> Section:
    """Rows per file, and columns that not both files have."""
    rows = [f"{role} {number(count)}" for role, count in seen.rows.items()]
    if seen.submission_rows != seen.rows.get("test"):
        rows.append(f"sample submission {number(seen.submission_rows)}")
    says = []
    if seen.columns.only_train:
        says.append(f"only train has {names(seen.columns.only_train)}: no help in predicting test")
    if seen.columns.only_test:
        says.append(f"only test has {names(seen.columns.only_test)}")
    return Section(title=f"{name(seen.name)}: rows of {', '.join(rows)}", says=says)


def target(seen: Inspection) -> Section:
    """How the target is spread."""
    spread = seen.spread
    if not spread.names:
        return _several_numbers(spread)
    says, warns = _spread_says(seen), []
    scored = [(n, each) for n, each in zip(spread.counts["train"], spread.names, strict=True) if n]
    least = min(scored, default=(0, ""))
    if not spread.numbers and 0 < least[0] < seen.folds:
        warns.append(
            f"{name(least[1], 20)} has {plural(least[0], 'row')}, fewer than the {seen.folds} "
            "folds: some held-out parts will lack it"
        )
    return Section(
        title=_target_title(seen),
        header=_histogram_header(spread),
        rows=_histogram(spread),
        right=[1, 2, 4],
        says=says,
        warns=warns,
    )


def _target_title(seen: Inspection) -> str:
    spread = seen.spread
    if spread.numbers:
        fact = spread.numbers[0]
        return (
            f"Target {name(fact.name)}: {number(fact.minimum)} to {number(fact.maximum)}, mean "
            f"{figure(fact.mean)}, sd {figure(fact.deviation)}, {fact.distinct:,} different values"
        )
    if spread.heads:
        return (
            f"Target: {spread.heads} targets of {len(spread.names)} classes, "
            f"{spread.label_sets:,} of their combinations occur"
        )
    if spread.label_sets:
        without = share(spread.unlabelled, spread.totals["train"])
        return (
            f"Target: {plural(len(spread.names), 'label')}, {plural(spread.label_sets, 'set')} "
            f"of them, {without} of the rows without any"
        )
    return f"Target: {len(spread.names)} classes"


def _histogram_header(spread: Spread) -> list[str]:
    return ["", "train", "", "", "holdout"] if "holdout" in spread.counts else []


def _histogram(spread: Spread) -> list[list[str]]:
    """Name, rows, share, bar and, where there is one, the holdout's share."""
    train, other = spread.counts["train"], spread.counts.get("holdout")
    places = list(range(len(train)))
    if (most := _shown(len(places))) < len(places):
        places = sorted(places, key=lambda place: -train[place])[:most]
    rows = []
    for place in places:
        bar = "█" * round(BAR * train[place] / max(1, *train))
        row = [name(spread.names[place]), number(train[place])]
        row += [share(train[place], spread.totals["train"]), bar]
        rows.append(row if other is None else [*row, share(other[place], spread.totals["holdout"])])
    return rows


def _shown(count: int) -> int:
    return count if count <= SHOWN else SHOWN if count < MANY else SHOWN // 3


def _spread_says(seen: Inspection) -> list[str]:
    spread, says = seen.spread, []
    train, total = spread.counts["train"], spread.totals["train"]
    if rest := sorted(train, reverse=True)[_shown(len(train)) :]:
        fewest = f"down to {rest[-1]:,}" if rest[-1] < rest[0] else "each"
        says.append(f"{len(rest)} more with {plural(rest[0], 'row')} {fewest}")
    rare = [n for n, count in zip(spread.names, train, strict=True) if count < RARE * total]
    if rare and not spread.numbers:
        most = len(rare) > len(train) / 2  # then their names say nothing
        told = f"{len(rare)} of {len(train)}" if most and len(train) >= MANY else names(rare)
        says.append(f"rare, under {RARE:.0%} of the rows: {told}".replace("%", " %"))
        if rest and " of " in told:  # both are numbers of classes
            says = ["; ".join(says)]
    if "holdout" in spread.counts and (moved := spread.moved("holdout")) > MOVED:
        says.append(
            f"the holdout's labels are spread differently ({share(moved, 1)} of its rows would "
            "have to move): expect another score there"
        )
    return says


def _several_numbers(spread: Spread) -> Section:
    few = len(spread.numbers) <= 8
    header = ["", "least", "mean", "largest", "sd"]
    rows = []
    for place, fact in enumerate(spread.numbers):
        row = [f"{place + 1} {name(fact.name)}", number(fact.minimum), figure(fact.mean)]
        row += [number(fact.maximum), figure(fact.deviation)]
        rows.append(row + [f"{value:.2f}" for value in spread.correlations[place] if few])
    if few:
        header += [str(place + 1) for place in range(len(spread.numbers))]
    pairs = [r for place, line in enumerate(spread.correlations) for r in line[:place]]
    says = [f"the targets correlate {min(pairs):.2f} to {max(pairs):.2f} with each other"]
    return Section(
        title=f"Target: {len(spread.numbers)} numbers" + (" and their correlations" if few else ""),
        header=header,
        rows=rows,
        right=range(1, len(header)),
        says=[] if few else says,
    )


def texts(seen: Inspection) -> Section:
    """Lengths of the texts, train and test side by side, and what is empty."""
    facts, rows = seen.lengths, []
    for fact in facts.columns:
        rows.append([name(fact.column), "characters", *_side_by_side(fact.characters)])
        if len(facts.columns) == 1:
            rows.append(["", "words", *_side_by_side(fact.words)])
    rows.append(["whole input", "tokens, about", *_side_by_side(facts.tokens)])
    budget, title = _budget(facts.beyond), "Texts: median, mean, 95 %, longest"
    if facts.sampled:
        title += " (words and tokens of a sample)"
    elif len(budget) < 50:
        title, budget = f"{title}; {budget}", ""
    return Section(
        title=title,
        header=["", "", "train", "", "", "", "test", "", "", ""],
        rows=rows,
        right=range(2, 10),
        says=[*([budget] if budget else []), *_lengths_differ(seen)],
        warns=[
            f"{role}: {plural(count, 'row')} with an empty {name(fact.column)}"
            for fact in facts.columns
            for role, count in fact.empty.items()
            if count
        ]
        + _undecided(seen),
    )


def _undecided(seen: Inspection) -> list[str]:
    if seen.undecided <= UNDECIDED * seen.rows["train"]:
        return []
    return [
        f"{plural(seen.undecided, 'row')} ({share(seen.undecided, seen.rows['train'])}) read like "
        "another row with another label: what a model reads does not tell them apart. Does a "
        "column that is not used (above) do so? --template takes it in"
    ]


def _side_by_side(files: dict[str, Quantiles]) -> list[str]:
    return [
        number(round(value, 1) if value < 100 else round(value))
        for facts in files.values()
        for value in (facts.median, facts.mean, round(facts.high), facts.maximum)
    ]


def _budget(beyond: dict[str, dict[str, float]]) -> str:
    """The shortest usual input that holds nearly all rows."""
    worst = {
        budget: max(part[budget] for part in beyond.values())
        for budget in next(iter(beyond.values()))
    }
    for budget, longer in worst.items():
        if longer == 0:
            return f"an input of {budget} tokens holds every row"
        if longer < 0.01:
            return f"an input of {budget} tokens cuts {share(longer, 1)} of the rows"
    return (
        f"even an input of {list(worst)[-1]} tokens cuts {share(list(worst.values())[-1], 1)} "
        "of the rows: what stands at the end of long texts is lost to most backbones"
    )


def _lengths_differ(seen: Inspection) -> list[str]:
    """Text columns whose median length in test is far from that in train."""
    says = []
    for fact in seen.lengths.columns:
        train, test = (fact.characters[role].median for role in ("train", "test"))
        if train and test and not 0.8 < test / train < 1.25:
            word = "longer" if test > train else "shorter"
            says.append(f"{name(fact.column)} is {word} in test than in train")
    return says


WIDTH = 100
"""Columns where there is no terminal to ask."""


def show(inspection: Inspection, stream: IO[str] | None = None) -> None:
    """Print *inspection* to *stream* (default: standard output).

    Styled on a terminal, plain text elsewhere; what the stream's encoding cannot write is replaced.
    """
    stream = stream or sys.stdout
    console = page(stream, WIDTH)
    encoding = getattr(stream, "encoding", None) or "utf-8"
    with console.capture() as captured:
        shown = sections(inspection)
        for place, section in enumerate(shown):
            if place > 1 and (shown[place - 1].rows or section.rows):
                console.print()  # sections of sentences, and the first two, close up
            console.print(_piece(section, encoding, console.width))
    lines = captured.get().rstrip("\n").split("\n")
    stream.write("\n".join(line.rstrip() for line in lines) + "\n")


def sections(inspection: Inspection) -> list[Section]:
    """All sections in reading order."""
    rooms = (files, target, texts, copies, overlap, relation, alone, alike, machine)
    return [room(inspection) for room in rooms if room is not relation or inspection.asked]


def _piece(section: Section, encoding: str, width: int) -> RenderableType:
    """A section for the console: its title, its grid, its sentences; in one line where it is one
    sentence alone, and fits."""
    title = Text(writable(section.title, encoding), style="bold")
    if not section.rows and not section.warns and len(section.says) == 1:
        arrow = Text(writable(" → ", encoding), style="cyan")
        line = Text.assemble(title, arrow, writable(section.says[0], encoding))
        if line.cell_len <= width:
            return line
    parts: list[RenderableType] = [title]
    if section.rows:
        parts.append(Padding(_grid(section, encoding), (0, 0, 0, 2)))
    remarks = Grid.grid(padding=(0, 1, 0, 0))
    remarks.add_column(no_wrap=True)
    remarks.add_column()
    for mark, style, sentences in (("!", "bold red", section.warns), ("→", "cyan", section.says)):
        for sentence in sentences:
            remarks.add_row(
                Text(writable(mark, encoding), style=style), Text(writable(sentence, encoding))
            )
    if remarks.row_count:
        parts.append(Padding(remarks, (0, 0, 0, 2)))
    return Group(*parts)


def _grid(section: Section, encoding: str) -> Grid:
    grid = Grid(box=None, pad_edge=False, show_header=bool(section.header), header_style="dim")
    width = max(len(row) for row in [section.header, *section.rows])
    for place in range(width):
        title = section.header[place] if place < len(section.header) else ""
        grid.add_column(
            Text(writable(title, encoding)), justify="right" if place in section.right else "left"
        )
    for row in section.rows:
        grid.add_row(*(Text(writable(cell, encoding)) for cell in row))
    return grid
