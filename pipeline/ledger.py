"""Keep the ledger of what was sent to the leaderboard, and see what is left.

    python -m pipeline.ledger                                      what was sent, the budget, noise
    python -m pipeline.ledger add FILE --public 0.9352 --by ann    enter a file, or a later score
    python -m pipeline.ledger send FILE                            send it through Kaggle's client

The ledger lies in submissions/COMP-ledger.jsonl and belongs into git. FILE is a submission of ours
or any csv that was sent. The budget is told by the config's section submissions, or by options.
Nothing is ever fitted to what stands in it.
"""

import json
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.base import Competition, UsageError, raise_if
from pipeline.base.command import run
from pipeline.base.parser import Parser

if TYPE_CHECKING:
    from jsonargparse import Namespace

ADDS = ("public", "private", "date", "correct")
SENDS = ("message",)


@cache
def parser() -> Parser:
    """The command's options; --help needs no heavy import."""
    options = Parser("ledger", __doc__ or "")
    options.add_argument(
        "action", nargs="?", choices=("list", "add", "send"), default="list", help="default: list"
    )
    options.add_argument("file", nargs="?", metavar="FILE", help="a submission: path, or name")
    options.add_argument("--public", type=float, metavar="SCORE", help="on the public leaderboard")
    options.add_argument("--private", type=float, metavar="SCORE", help="may be added later")
    options.add_argument("--by", metavar="NAME", help="who sent it; default: the login's name")
    options.add_argument("--date", metavar="DAY", help="YYYY-MM-DD; default: today (UTC)")
    options.add_argument(
        "--correct", action="store_true", help="replace what the entry says; it was a slip"
    )
    options.add_argument("--message", metavar="TEXT", help="for Kaggle; default: the provenance's")
    options.add_argument(
        "--wait", type=float, default=120.0, metavar="SECONDS", help="for Kaggle to list the file"
    )
    options.add_argument(
        "--quick", action="store_true", help="list without noise, which takes some seconds"
    )
    options.add_competition()
    return options


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    options = parser()
    args = options.read(argv)
    _check(args)
    competition = options.competition(args)
    from pipeline.metrics import metric_of

    metric_of(competition, Path(args.root))  # its name is checked
    if args.action == "add":
        return _add(args, competition)
    return _send(args, competition) if args.action == "send" else _list(args, competition)


def _check(args: "Namespace") -> None:
    """Raise UsageError for options that the action does not take."""
    problems = []
    if (args.file is None) != (args.action == "list"):
        needs = "takes no FILE" if args.file else "needs a FILE, right after it"
        problems.append(f"{args.action} {needs}")
    for action, names in (("add", ADDS), ("send", SENDS)):
        values = {f"--{name}": args[name] for name in names}
        given = [flag for flag, each in values.items() if each is not None and each is not False]
        if given and args.action != action:
            problems.append(f"{', '.join(given)}: only with {action} FILE")
    raise_if(problems, UsageError)


def _list(args: "Namespace", competition: Competition) -> int:
    from pipeline.base import Paths
    from pipeline.metrics import metric_of
    from pipeline.report.ledger import print_standing, standing_json
    from pipeline.report.page import page
    from pipeline.submissions.ledger import today
    from pipeline.submissions.overview import noise, standing

    root = Path(args.root)
    folder = Paths(root, competition.name).submissions
    metric = metric_of(competition, root)
    found = standing(folder, competition.name, competition.submissions, today())
    stray, why = None, "left out (--quick)"
    if found.rows is None:
        why = "--submissions.public_share or --submissions.public_rows tells the public part"
    elif not args.quick:
        why = "it takes two files of ours whose runs are still here"
        stray = noise(
            root, found.lines, found.rows[0], competition.folds.seed, metric.greater_is_better
        )
    print_standing(found, stray, why, page(sys.stderr if args.json else sys.stdout))
    if args.json:
        print(json.dumps(standing_json(found, stray), allow_nan=False))
    return 0


def _add(args: "Namespace", competition: Competition) -> int:
    from pipeline.base import Paths
    from pipeline.report.ledger import entry_lines
    from pipeline.report.page import page
    from pipeline.submissions.ledger import News, record, today
    from pipeline.submissions.overview import standing
    from pipeline.submissions.rebuild import identify

    root = Path(args.root)
    folder = Paths(root, competition.name).submissions
    name, digest = identify(root, competition.name, args.file)
    news = News(
        file=name,
        sha256=digest,
        day=args.date,
        by=args.by,
        public=args.public,
        private=args.private,
    )
    entry, new = record(folder, competition.name, competition.task.metric, news, args.correct)
    found = standing(folder, competition.name, competition.submissions, today())
    console = page(sys.stderr if args.json else sys.stdout)
    for line in entry_lines(found, entry, new):
        console.print(line, soft_wrap=True)
    if args.json:
        print(entry.line)
    return 0


def _send(args: "Namespace", competition: Competition) -> int:
    from pipeline.base import read_json
    from pipeline.report import print_sent
    from pipeline.report.page import page
    from pipeline.submissions import kaggle
    from pipeline.submissions.kaggle import check_sendable, send_file
    from pipeline.submissions.rebuild import find_file

    csv = find_file(Path(args.root), args.file)
    check_sendable(csv, competition, args.by)
    message = args.message or str(read_json(csv.with_suffix(".json")).get("message") or csv.name)
    client = kaggle.connect()
    metric = competition.task.metric
    sent = send_file(client, csv, competition, metric, message, args.by, args.wait)
    print_sent(sent, page(sys.stderr if args.json else sys.stdout))
    if args.json:
        print(sent.entry.line)
    return 0


if __name__ == "__main__":
    raise SystemExit(run(main))
