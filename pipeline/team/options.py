"""How a team-mate's file is named on a command line, for `pipeline.team` and `pipeline.worth`.

Quick to import: --help needs nothing else.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.base import UsageError
from pipeline.base.parser import Parser

if TYPE_CHECKING:
    from jsonargparse import Namespace

    from pipeline.team.candidate import FileOptions, Kind


def add_options(options: Parser) -> None:
    """Of `team add`."""
    options.add_argument("file", type=str, metavar="FILE", help="csv, tsv, jsonl or parquet")
    options.add_argument("--name", type=str, required=True, metavar="X", help="the run's name")
    add_file_options(options)
    for flag, value, what in (
        ("--by", "NAME", "who made it"),
        ("--answer", "FILE", "the answers to python -m pipeline.team challenge, to be judged"),
        ("--passport", "DIGEST", "of the folds it was made on, 16 digits at least"),
    ):
        options.add_argument(flag, type=str, metavar=value, help=what)
    for flag, what in (
        ("--force", "store it although it is out, where every row has its numbers"),
        ("--replace", "put it in the place of another file of that name"),
        ("--why", "show all that was looked at, below the answer"),
        ("--dry-run", "show everything, write nothing"),
    ):
        options.add_argument(flag, action="store_true", help=what)


def add_file_options(options: Parser) -> None:
    """How a team-mate's file is to be read."""
    options.add_argument(
        "--test", type=str, metavar="FILE", help="the test predictions, in a file of their own"
    )
    options.add_argument("--logits", action="store_true", help="raw outputs: softmax or sigmoid")
    options.add_argument(
        "--probabilities", action="store_true", help="probabilities: the default for classes"
    )
    options.add_argument(
        "--id", type=str, metavar="COLUMN", help="the column of ids (of --test if it has it)"
    )
    options.add_argument("--fold", type=str, metavar="COLUMN", help="the column of folds")
    options.add_argument(
        "--encoding",
        type=str,
        default="utf-8",
        metavar="NAME",
        help="of FILE and --test, such as cp949",
    )


def asked_of(args: "Namespace") -> "FileOptions":
    """What the user says about a file; UsageError where two flags contradict each other."""
    from pipeline.team.candidate import FileOptions

    if args.logits and args.probabilities:
        raise UsageError("--logits and --probabilities contradict each other: say one")
    kind: Kind | None = "probabilities" if args.probabilities else None
    if args.logits:
        kind = "logits"
    return FileOptions(
        file=Path(args.file),
        test=None if args.test is None else Path(args.test),
        kind=kind,
        id=args.id,
        fold=args.fold,
        passport=args.get("passport"),
        encoding=args.encoding,
    )
