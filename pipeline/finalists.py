"""Propose the last two submissions: the best honest score, and a hedge.

    python -m pipeline.finalists
    python -m pipeline.finalists --all --submissions.public_share 0.3

Makes the sent files again (with --all every written one) from their runs, without the fold that is
scored, and compares them on bootstrap draws of a private part. Leaderboard scores are shown beside
and have no say. Takes some seconds per file; nothing is written.
"""

import json
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from pipeline.base.command import run
from pipeline.base.parser import Parser


@cache
def parser() -> Parser:
    """The command's options; --help needs no heavy import."""
    options = Parser("finalists", __doc__ or "")
    options.add_argument(
        "--all", action="store_true", help="every written submission, not only those in the ledger"
    )
    options.add_competition()
    return options


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    options = parser()
    args = options.read(argv)
    competition = options.competition(args)
    from pipeline.base import Paths
    from pipeline.metrics import metric_of
    from pipeline.report.finalists import print_proposal, proposal_json
    from pipeline.report.page import page
    from pipeline.submissions.finalists import candidates, choose_files, private_rows, propose
    from pipeline.submissions.ledger import read_ledger

    root = Path(args.root)
    folder = Paths(root, competition.name).submissions
    entries = read_ledger(folder, competition.name)
    files, foreign = choose_files(folder, competition.name, entries, args.all)
    found, left_out = candidates(root, files)
    if not found:
        raise_nothing([*foreign, *left_out])
    rows, assumed = private_rows(competition.submissions, found[0])
    metric = metric_of(competition, root)
    proposal = propose(found, [*foreign, *left_out], rows, competition.folds.seed, metric)
    sent = {entry.file: entry for entry in entries}
    print_proposal(proposal, sent, assumed, page(sys.stderr if args.json else sys.stdout))
    if args.json:
        print(json.dumps(proposal_json(proposal, sent, assumed), allow_nan=False))
    return 0


def raise_nothing(reasons: Sequence[str]) -> None:
    """Raise ArtifactError with the reason for each file."""
    from pipeline.base import ArtifactError

    lines = "".join(f"\n  - {reason}" for reason in reasons)
    raise ArtifactError(f"no submission can be made again, so none can be compared:{lines}")


if __name__ == "__main__":
    raise SystemExit(run(main))
