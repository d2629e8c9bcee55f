"""The options of `pipeline.ensemble`. Quick to import: --help needs nothing else."""

from pipeline.base.parser import Parser

METHODS = (
    *("auto", "best", "mean", "rank-mean", "simplex", "greedy", "greedy-bag"),
    *("nonnegative-ridge", "ridge", "logistic", "slices", "layers"),
)


def add_options(options: Parser) -> None:
    """What is blended and how, and what becomes of the file."""
    _add_blend(options)
    _add_file(options)


def _add_blend(options: Parser) -> None:
    options.add_argument(
        "--runs", nargs="+", default=[], metavar="RUN", help="default: every complete run"
    )
    options.add_argument(
        "--method",
        choices=METHODS,
        default="auto",
        help="auto takes the simplest method whose honest score is within noise of the best",
    )
    options.add_argument(
        "--slice-by",
        metavar="COLUMN",
        help="the column whose values may get weights of their own; default: the first of "
        "columns.features that has 2 to 20 values; '' for none",
    )
    options.add_argument(
        "--force",
        action="store_true",
        help="blend runs whose checkpoints were chosen on the held-out rows, too",
    )


def _add_file(options: Parser) -> None:
    options.add_argument(
        "--public-share",
        type=float,
        metavar="SHARE",
        help="share of the test rows on the public leaderboard (submissions.public_share)",
    )
    options.add_argument("--message", metavar="TEXT", help="the message of the submit line")
    options.add_argument(
        "--figure",
        metavar="FILE",
        help="draw errors, weights and scores into FILE (.png, .svg or .pdf)",
    )
    options.add_argument("--dry-run", action="store_true", help="show everything, write nothing")
    options.add_argument(
        "--submit",
        action="store_true",
        help="send the file through Kaggle's client and enter it into the ledger once it is listed",
    )
    options.add_argument("--by", metavar="NAME", help="who sends it; default: the login's name")
    options.add_argument(
        "--wait", type=float, default=120.0, metavar="SECONDS", help="for Kaggle to list the file"
    )
