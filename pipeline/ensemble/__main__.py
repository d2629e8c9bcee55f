"""Blend the finished runs of a competition, with a score that can be believed, and write a
submission.

    python -m pipeline.ensemble
    python -m pipeline.ensemble --config configs/NAME.yaml --runs linear minilm --method mean

Nothing is trained: only predictions are read, so the command takes seconds.
"""

import json
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import cache, partial
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from pipeline.base import Competition, UsageError
from pipeline.base.command import notified, run
from pipeline.base.parser import Parser
from pipeline.ensemble.methods.registry import METHODS, OF_TEXTS
from pipeline.experiments.companion import add_option

if TYPE_CHECKING:
    from jsonargparse import Namespace
    from rich.console import Console

    from pipeline.ensemble.outcome import Outcome
    from pipeline.ensemble.texts.outcome import TextOutcome
    from pipeline.submissions.build import BuiltSubmission
    from pipeline.submissions.kaggle import Client, Sent
    from pipeline.submissions.submission_file import Written
    from pipeline.submissions.texts import BuiltTexts

LINE_EVERY_SECONDS = 5.0

# The options of `pipeline.ensemble`. Quick to import: --help needs nothing else.


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
        choices=("auto", *METHODS, *OF_TEXTS),
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
        help="blend runs whose score is in doubt, too; no score of such a blend is honest",
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


@cache
def parser() -> Parser:
    """The command's options; --help needs no heavy import."""
    options = Parser("ensemble", __doc__ or "")
    add_options(options)
    options.add_afterwards()
    add_option(options)
    options.add_competition()
    return options


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    options = parser()
    args = options.read(argv)
    competition = _with_share(options.competition(args), args.public_share)
    if args.figure:
        _check_figure(Path(args.figure))
    from pipeline.experiments.companion import tracked
    from pipeline.report.page import page

    say = partial(page(sys.stderr).print, soft_wrap=True)
    service = None if args.dry_run else args.track
    with (
        notified(args.notify, "ensemble", competition.name, args.root) as news,
        tracked(service, competition.name, args.root, 0.5, say) as companion,
    ):
        _blend(args, competition, news)
        if companion is not None:
            for member in news["RUNS"].split():
                companion.expect(member, None)
    return 0


def _blend(args: "Namespace", competition: Competition, news: dict[str, str]) -> None:
    """Fit, choose, score, print, write and, where asked, send; *news* gets what became of it."""
    client, kind = _client(args), competition.task.problem_type.predictions
    makers: dict[str, Callable[..., BuiltSubmission | BuiltTexts]]
    makers = {"numbers": _make, "texts": _make_texts}
    with _told_of_calls(competition.task.metric):
        made = makers[kind](args, competition)
    outcome = made.outcome
    message = args.message or _message(made)
    from pipeline.report import print_sent
    from pipeline.report.ensemble import print_submission
    from pipeline.report.page import page
    from pipeline.submissions.submission_file import answers_under_ids

    console = page(sys.stderr if args.json else sys.stdout)
    plain = _printed(made, console, args.figure)
    warnings = _warnings(args, made)
    for line in warnings:
        console.print(line, soft_wrap=True)
    written = None if args.dry_run else _write(args, made, message)
    print_submission(competition, written, message, console)
    if written is not None and outcome.competition.submissions.benchmark:
        from pipeline.setup.benchmark_files import official_files

        for path in official_files(written.path, outcome.competition):
            console.print(f"for the benchmark's own evaluation: {path}", soft_wrap=True)
    for path in [] if written is None else answers_under_ids(written.path, competition):
        console.print(f"the same as JSON, an answer under each id: {path}", soft_wrap=True)
    sent = None
    if client is not None and written is not None:
        sent = _send(args, client, outcome, written, message)
        print_sent(sent, console)
    if args.json:
        answer = plain(outcome, written, message) | {"warnings": warnings}
        print(json.dumps(answer | {"sent": sent and asdict(sent.entry)}, allow_nan=False))
    news |= {"RUNS": " ".join(outcome.names), "SCORE": f"{outcome.honest:.6f}"}
    if written is not None:
        news["FILE"] = str(written.path)
    if not args.dry_run:
        from pipeline.report.drawn.pages import report_line

        console.print(report_line(competition, Path(args.root), args.report), soft_wrap=True)


def _printed(
    made: "BuiltSubmission | BuiltTexts", console: "Console", figure: str | None
) -> Callable[..., Any]:
    """Print the page of what was *made*, draw the *figure*; what gives the same as plain values."""
    from pipeline.report.ensemble import as_json, print_outcome
    from pipeline.report.texts.ensemble import print_texts, texts_as_json
    from pipeline.submissions.texts import BuiltTexts

    if isinstance(made, BuiltTexts):
        print_texts(made.outcome, console)
    else:
        print_outcome(made.outcome, console)
    if figure:
        _draw(made.outcome, Path(figure))
    return texts_as_json if isinstance(made, BuiltTexts) else as_json


@contextmanager
def _told_of_calls(metric: str) -> Iterator[None]:
    """A line on stderr now and then, with the time left, where *metric* takes its time."""
    from pipeline.metrics.own import CALLS
    from pipeline.report.page import page

    token = CALLS.set(CallsLine(metric, partial(page(sys.stderr).print, soft_wrap=True)))
    try:
        yield
    finally:
        CALLS.reset(token)


class CallsLine:
    """Counts the calls of a metric; says after some seconds how many are left."""

    def __init__(
        self, metric: str, say: Callable[[str], object], clock: Callable[[], float] = monotonic
    ) -> None:
        self.metric, self.say, self.clock = metric, say, clock
        self.began = self.shown = clock()
        self.made = self.ahead = 0

    def expect(self, calls: int) -> None:
        """About so many are to come in all."""
        self.began, self.made, self.ahead = self.clock(), 0, calls
        self.shown = self.began

    def one_more(self) -> None:
        """One is about to be made."""
        self.made += 1
        now = self.clock()
        if self.ahead and now - self.shown >= LINE_EVERY_SECONDS:
            self.shown = now
            spent = now - self.began
            left = spent / self.made * max(self.ahead - self.made, 0)
            about = f"about {left:.0f} s left" if left >= 1 else "nearly done"
            self.say(f"{self.metric}: {self.made:,} of about {self.ahead:,} calls, {about}")


def _client(args: "Namespace") -> "Client | None":
    """Kaggle's client where the file is to be sent: asked for first, so that a missing one costs
    no time."""
    if not args.submit:
        return None
    if args.dry_run:
        raise UsageError("--submit sends a file and --dry-run writes none; leave one of them out")
    from pipeline.submissions import kaggle

    return kaggle.connect()


def _with_share(competition: Competition, share: float | None) -> Competition:
    """The competition with the public share that was given for this call."""
    if share is None:
        return competition
    known = replace(competition.submissions, public_share=share, public_rows=None)
    return replace(competition, submissions=known)


def _make(args: "Namespace", competition: Competition) -> "BuiltSubmission":
    """Find the runs; read everything, fit, choose, score; the outcome and the file's bytes."""
    from pipeline.base import Paths
    from pipeline.oof.runs import FIXED, find_runs
    from pipeline.submissions.build import BuildRequest, beside_equal_weights, make

    paths = Paths(Path(args.root), competition.name)
    train = _command(args, "cv", "--model", competition.task.problem_type.first_recipe)
    runs, notes = find_runs(paths, args.runs, args.force, competition.folds, train, args.method)
    asked = BuildRequest(runs=runs, method=args.method, slice_by=args.slice_by)
    made = make(paths.root, competition, asked, notes)
    if not (args.runs or args.force or args.method in FIXED):
        more, _ = find_runs(paths, [], False, competition.folds, train, FIXED[0])
        if set(more) != set(runs):
            mean = _command(args, "ensemble", "--method", FIXED[0])
            made = beside_equal_weights(made, paths.root, more, mean)
    made.outcome.complete()
    return made


def _make_texts(args: "Namespace", competition: Competition) -> "BuiltTexts":
    """Find the runs; compare their candidates, with a line about it where that takes its time."""
    from pipeline.base import Paths
    from pipeline.ensemble.texts.outcome import check_method
    from pipeline.oof.runs import find_runs
    from pipeline.report.page import page
    from pipeline.report.texts.ensemble import ComparedLine
    from pipeline.submissions.build import BuildRequest
    from pipeline.submissions.texts import make_texts

    check_method(args.method)
    paths = Paths(Path(args.root), competition.name)
    train = _command(args, "cv", "--model", competition.task.problem_type.first_recipe)
    runs, notes = find_runs(paths, args.runs, args.force, competition.folds, train, args.method)
    asked = BuildRequest(runs=runs, method=args.method, slice_by=args.slice_by)
    line = ComparedLine(partial(page(sys.stderr).print, soft_wrap=True))
    return make_texts(paths.root, competition, asked, notes, line)


def _write(args: "Namespace", made: "BuiltSubmission | BuiltTexts", message: str) -> "Written":
    from pipeline.base import Paths
    from pipeline.submissions.built import provenance_any
    from pipeline.submissions.submission_file import write

    name, root = made.outcome.competition.name, Path(args.root)
    origin = provenance_any(made, message, root)
    return write(Paths(root, name).submissions, name, made.method, made.content, origin)


def _warnings(args: "Namespace", made: "BuiltSubmission | BuiltTexts") -> list[str]:
    """What the guard says of the file beside those that were sent."""
    from pipeline.base import Paths
    from pipeline.report.ledger import guard_lines
    from pipeline.submissions.already_sent import alike, sent_before

    name = made.outcome.competition.name
    folder = Paths(Path(args.root), name).submissions
    before = sent_before(folder, name, made.content) if args.dry_run else None
    return list(guard_lines(before, alike(folder, name, made.content)))


def _send(
    args: "Namespace",
    client: "Client",
    outcome: "Outcome | TextOutcome",
    written: "Written",
    message: str,
) -> "Sent":
    from pipeline.submissions.kaggle import check_sendable, send_file

    check_sendable(written.path, outcome.competition, args.by)
    return send_file(
        client,
        written.path,
        outcome.competition,
        outcome.metric.name,
        message,
        args.by,
        args.wait,
    )


def _check_figure(path: Path) -> None:
    """Say what is wrong with the picture's name, before anything is computed."""
    if path.suffix not in (".png", ".svg", ".pdf"):
        raise UsageError(f"--figure {path}: expected a name that ends in .png, .svg or .pdf")


def _draw(outcome: "Outcome | TextOutcome", path: Path) -> None:
    """Draw the picture, or say why it cannot be written."""
    from pipeline.base.files import as_resource_error
    from pipeline.report.drawn.blend import draw

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draw(outcome, path, outcome.competition.folds.seed)
    except OSError as error:
        raise as_resource_error(error, path) or error from error


def _message(made: "BuiltSubmission | BuiltTexts") -> str:
    outcome = made.outcome
    said, honest = f"{made.method} of {', '.join(made.weights)}; ", outcome.honest
    if outcome.doubts:
        return f"{said}claimed {outcome.metric.name} {honest:.4f}, not honest"
    return f"{said}honest {outcome.metric.name} {honest:.4f}"


def _command(args: "Namespace", name: str, *words: str) -> str:
    """Another command on the same files, as a person would type it."""
    root = [] if args.root == "." else ["--root", str(args.root)]
    config = [word for path in args.config or [] for word in ("--config", str(path))]
    return shlex.join(["python", "-m", f"pipeline.{name}", *root, *config, *words])


if __name__ == "__main__":
    raise SystemExit(run(main))
