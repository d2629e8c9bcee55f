"""The pages about what was given: the competition, and its folds."""

import math
from collections.abc import Iterator

import numpy as np

from pipeline.data.units import documents
from pipeline.folds.relation import FEWEST, LEVELS, compare_folds, differ
from pipeline.report import folds as printed
from pipeline.report import init as seen_pages
from pipeline.report.drawn.charts import bars, ranges
from pipeline.report.drawn.disk import Disk
from pipeline.report.drawn.document import Block, Cards, Cell, Says, Table, clean, num, text
from pipeline.report.page import Section, plural

MOST_BARS = 30
LENGTHS = 12


def competition(disk: Disk) -> Iterator[Block]:
    """Labels, lengths, copies, train against test: what `pipeline.init` sees, drawn."""
    seen, metric = disk.seen, disk.metric
    better = "larger is better" if metric.greater_is_better else "smaller is better"
    cards = [(f"rows of {role}", f"{count:,}", seen.sources[role]) for role, count in rows(seen)]
    cards = [(name, count, where.rpartition("/")[2]) for name, count, where in cards]
    alike = seen.alike
    told = "–" if alike is None else f"{alike.auc:.2f}"
    yield Cards(
        cards=[
            *cards,
            ("problem", seen.problem, ", ".join(disk.competition.columns.targets)),
            ("metric", metric.name, better),
            ("train against test", told, "AUC of telling them apart; 0.5 is alike"),
        ]
    )
    spread = seen.spread
    if spread.names:
        named, counts = spread.names[:MOST_BARS], spread.counts
        shares = {
            who: [each / max(spread.totals[who], 1) for each in values[:MOST_BARS]]
            for who, values in counts.items()
        }
        left = len(spread.names) - len(named)
        says = [f"{left} more labels are not drawn"] if left > 0 else []
        yield bars("labels", "Labels: share of rows", [*map(clean, named)], shares, says=says)
    yield _lengths(disk)
    for section in seen_pages.sections(seen):
        if not section.title.startswith("Machine"):
            yield from _section(section)


def rows(seen: "seen_pages.Inspection") -> list[tuple[str, int]]:
    """Rows of each file."""
    return list(seen.rows.items())


def _lengths(disk: Disk) -> Block:
    """How long rows of train and test are, in characters."""
    counts = {
        who: np.array([sum(map(len, row)) for row in table.texts])
        for who, table in (
            ("train", documents(disk.tables.train, disk.competition.task)),
            ("test", documents(disk.tables.test, disk.competition.task)),
        )
        if len(table)
    }
    whole = np.concatenate(list(counts.values()))
    top = max(float(np.quantile(whole, 0.98)), 1.0)
    step = max(1, math.ceil(top / LENGTHS))
    edges = np.arange(0, step * LENGTHS + 1, step)
    names = [f"{low} to {low + step - 1}" for low in edges[:-1]] + [f"{edges[-1]} and more"]
    shares = {
        who: (
            np.bincount(np.minimum(each // step, LENGTHS), minlength=LENGTHS + 1) / len(each)
        ).tolist()
        for who, each in counts.items()
    }
    return bars("lengths", "Lengths: characters of a row's texts together", names, shares)


def _section(section: Section) -> Iterator[Block]:
    """A piece of the printed page."""
    if not section.rows:
        yield Says(title=section.title, says=section.says, warns=section.warns)
        return
    width = max(len(row) for row in section.rows)
    right = set(section.right)
    bars_at = {
        place
        for place in range(width)
        if any(place < len(row) and set(row[place]) <= set("█▏▎▍▌▋▊▉ ") for row in section.rows)
        and all(place >= len(row) or not row[place].strip("█▏▎▍▌▋▊▉ ") for row in section.rows)
        and not (section.header[place : place + 1] or [""])[0]
    }
    kept = [place for place in range(width) if place not in bars_at]
    header = [(section.header[place : place + 1] or [""])[0] for place in kept]
    cells = [
        [_printed(row[place] if place < len(row) else "", place in right, place) for place in kept]
        for row in section.rows
    ]
    says, warns = section.says, section.warns
    yield Table(title=section.title, header=header, rows=cells, says=says, warns=warns)


def _printed(said: str, number: bool, place: int) -> Cell:
    """A cell of a printed page, with the number it begins with to sort by; the first column holds
    words of ours."""
    cell = text(said) if place else Cell(text=str(clean(said)))
    head = said.split()[0].replace(",", "").rstrip("%") if number and said.split() else ""
    try:
        value = float(head)
    except ValueError:
        return Cell(text=cell.text, number=number)
    return Cell(text=cell.text, sort=value if math.isfinite(value) else None, number=True)


def folds(disk: Disk) -> Iterator[Block]:
    """How even the folds are, and whether they ask what test asks."""
    competition, task = disk.competition, disk.competition.task
    train, test = documents(disk.tables.train, task), documents(disk.tables.test, task)
    frozen = disk.folds if disk.shape != "documents" else disk.folds_of(train)
    found = printed.facts(frozen, competition, train)
    groups, settings = found["groups"], competition.folds
    largest = f"the largest of {plural(groups['largest'], 'row')}"
    yield Cards(
        cards=[
            ("folds", str(found["folds"]), f"{plural(found['repeats'], 'repeat')}"),
            ("groups", f"{groups['count']:,}", largest),
            ("rows in company", f"{groups['share_of_rows']:.1%}", "share a group with another row"),
            ("passport", frozen.digest[:12], "what every run carries"),
        ]
    )
    asked, ours = compare_folds(
        train,
        test,
        frozen.fold_of_row,
        settings.near_threshold,
        settings.group_columns,
    )
    apart = differ(asked, ours)
    lines = printed.lines(found, competition, train.source)
    yield Says(says=[line.strip() for line in lines[1:]], warns=[] if apart is None else [apart])
    numeric = task.problem_type.numeric or disk.shape != "numbers"
    named = list(found["table"][0]["targets"])
    shown = named if len(named) <= printed.WIDEST else []
    first = [line for line in found["table"] if line["repeat"] == 0]
    for place, target in enumerate(shown[:4] if numeric else []):
        yield ranges(
            f"means{place}",
            f"Mean {target} of the held-out rows",
            [f"fold {line['fold']}" for line in first],
            [line["targets"][target] for line in first],
            [None] * len(first),
        )
    if shown and not numeric:
        series = {f"fold {line['fold']}": list(line["targets"].values()) for line in first[:8]}
        yield bars("shares", "Share of each class in each fold", [*map(clean, shown)], series)
    if asked.rows >= FEWEST:
        levels = [level for level in LEVELS if asked.shares[level] or ours.shares[level]]
        both = {
            "test rows in train": [asked.shares[level] for level in levels],
            "held-out rows in training": [ours.shares[level] for level in levels],
        }
        yield bars(
            "relation",
            "Nearest relative in what was learnt from",
            levels,
            both,
            says=["a fold asks what test asks where both bars are alike"],
        )
    heads = ["fold", "rows", "off by", *map(clean, shown)]
    form = ".4f" if numeric else ".1%"
    cells = [
        [
            text(str(line["fold"]) if not line["repeat"] else f"{line['repeat']}: {line['fold']}"),
            num(line["rows"], ",.0f"),
            num(line["largest_deviation"], ".3%"),
            *(num(line["targets"][name], form) for name in shown),
        ]
        for line in found["table"]
    ]
    yield Table(
        title="Held-out rows",
        header=heads,
        rows=cells,
        says=[
            "off by: largest difference of a stratum's share of the fold from its share of all rows"
        ],
    )
