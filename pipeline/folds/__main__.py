"""Freeze a competition's folds, or check that the frozen ones still fit; show how even they are.

    python -m pipeline.folds --config configs/NAME.yaml
    python -m pipeline.folds --config configs/NAME.yaml --folds.file my-folds.csv

The first use of a competition freezes its folds (pipeline.cv does it too); every later one only
checks them. To freeze other folds, delete folds/NAME.csv and folds/NAME.json.
"""

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from pipeline.base.command import run
from pipeline.base.parser import Parser


@cache
def parser() -> Parser:
    """The command's options; --help needs no heavy import."""
    options = Parser("folds", __doc__ or "")
    options.add_competition()
    return options


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    options = parser()
    args = options.read(argv)
    competition = options.competition(args)
    from pipeline.base import Paths
    from pipeline.data import load
    from pipeline.data.units import documents
    from pipeline.folds.frozen import frozen
    from pipeline.folds.relation import FEWEST, compare_folds, differ, shares_line
    from pipeline.metrics import metric_of
    from pipeline.report.folds import facts, grid, lines
    from pipeline.report.page import page

    root = Path(args.root)
    metric_of(competition, root)  # a wrong name is told before all
    paths = Paths(root, competition.name)
    tables, task = load(competition, root), competition.task
    train, test = documents(tables.train, task), documents(tables.test, task)
    extra = None if tables.extra is None else documents(tables.extra, task)
    known = paths.passport.exists()
    folds = frozen(competition, paths, train, extra)
    found = facts(folds, competition, train)
    settings = competition.folds
    asked, ours = compare_folds(
        train,
        test,
        folds.fold_of_row,
        settings.near_threshold,
        settings.group_columns,
    )
    found["relation"] = {"test": asked.reached, "held_out": ours.reached}
    state = "checked" if known else "frozen"
    if args.json:
        files = {"csv": str(paths.folds_csv), "passport": str(paths.passport)}
        print(json.dumps({"state": state, **found, "files": files}))
        return 0
    console = page()
    for line in lines(found, competition, train.source):
        console.print(line, soft_wrap=True)
    if asked.rows >= FEWEST:
        console.print(f"  test     has in train: {shares_line(asked)}", soft_wrap=True)
        console.print(f"  held out have in training: {shares_line(ours)}", soft_wrap=True)
    if (apart := differ(asked, ours)) is not None:
        console.print(f"  note     {apart}", soft_wrap=True)
    console.print(grid(found, competition, train))
    console.print(
        "off by: largest difference of a stratum's share of the fold from its share of all rows",
        soft_wrap=True,
    )
    news = "still fit; nothing was written" if known else "are frozen: keep both files in git"
    console.print(f"{paths.folds_csv} and {paths.passport.name} {news}", soft_wrap=True)
    console.print(f"digest {folds.digest}", soft_wrap=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(run(main))
