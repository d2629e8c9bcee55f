"""Take a team-mate's predictions in, audited; list all runs; give one away.

    python -m pipeline.team add oof.csv --test test.csv --name anna-deberta --by Anna
    python -m pipeline.team list
    python -m pipeline.team show anna-deberta
    python -m pipeline.team export minilm --out minilm.csv
    python -m pipeline.team challenge anna-deberta

Each takes --config configs/NAME.yaml; python -m pipeline.team add --help says more. A file that is
out ends with exit code 3, and nothing is written.
"""

import json
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.base import Competition, DataError, UsageError
from pipeline.base.command import run
from pipeline.base.parser import DEFAULT_CONFIG, Parser, read_section
from pipeline.team.options import add_options, asked_of

if TYPE_CHECKING:
    from jsonargparse import Namespace
    from rich.console import Console

    from pipeline.base import Paths
    from pipeline.team.audit import Audit
    from pipeline.team.challenge import Answered
    from pipeline.team.competition import CompetitionView, Peer
    from pipeline.team.store import Stored

ADD = """Audit a team-mate's predictions on one page and store them as a run.

    python -m pipeline.team add FILE.csv --name anna-deberta

FILE holds an id column and the predictions, in any order of rows and columns: rows of train and of
test (and of the holdout) together, or test in a file of its own (--test). The passport of the
folds, or a column with the fold of each row, proves that it was made on our folds. The verdict is
in, unproven (stored, but in no honest score) or out. --answer takes the answers to a challenge.
"""
LIST = "List all complete runs, our own and those of others."
SHOW = "Print the audit of a run again; for a run of our own it is made anew."
CHALLENGE = """A proof for a run in doubt: questions that only learners of the right folds answer.

    python -m pipeline.team challenge anna-deberta                        write the questions
    python -m pipeline.team challenge anna-deberta --answer answer.csv    judge the answers

The file holds training rows, each with its own fold and with another one; the team-mate predicts
each with the learner that was trained without the fold beside it. One model that was trained on all
rows has one answer for both, and cannot pass.
"""
EXPORT = """Write a run as one csv with a sidecar, for a team-mate or another tool.

    python -m pipeline.team export minilm --out minilm.csv

Columns: id, part (train, test, holdout), fold, one per output. The json beside it holds the
passport. `team add` takes both.
"""


@cache
def parser_of(action: str) -> Parser:
    """The options of one action; --help needs no heavy import."""
    about = {"add": ADD, "list": LIST, "show": SHOW, "export": EXPORT, "challenge": CHALLENGE}[
        action
    ]
    options = Parser(f"team {action}", about)
    options.add_argument(
        "--config", type=str, metavar="FILE", help=f"default: ROOT/{DEFAULT_CONFIG}"
    )
    if action == "add":
        add_options(options)
    if action == "challenge":
        options.add_argument("--answer", type=str, metavar="FILE", help="the answers, to be judged")
        options.add_argument("--logits", action="store_true", help="the answers are raw outputs")
    if action in ("show", "export", "challenge"):
        options.add_argument("run", type=str, metavar="RUN", help="a complete run")
    if action in ("export", "challenge"):
        name = "COMP-RUN.csv" if action == "export" else "COMP-RUN-challenge.csv"
        options.add_argument("--out", type=str, metavar="FILE", help=f"default: {name}")
    if action == "export":
        options.add_argument("--replace", action="store_true", help="overwrite another file")
    return options


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    actions = {"add": _add, "list": _list, "show": _show, "export": _export}
    actions["challenge"] = _challenge
    if not words or words[0] not in actions:
        if words and words[0] in ("-h", "--help"):
            print(f"usage: python -m pipeline.team {{{','.join(actions)}}} …\n\n{__doc__}")
            return 0
        found = f"found {words[0]!r}" if words else "found nothing"
        raise UsageError(
            f"say what to do: python -m pipeline.team {{{','.join(actions)}}} …; {found}"
        )
    args = parser_of(words[0]).read(words[1:])
    return actions[words[0]](args, read_section(Competition, Path(args.config)))


def _add(args: "Namespace", competition: Competition) -> int:
    from pipeline.report.page import page
    from pipeline.report.team import print_audit
    from pipeline.team.audit import OUT, as_values, audit
    from pipeline.team.candidate import read_candidate
    from pipeline.team.candidate_view import CandidateView
    from pipeline.team.competition import load_contest, read_peers
    from pipeline.team.store import check_name

    paths, contest = load_contest(competition, Path(args.root))
    check_name(paths, args.name)
    candidate = read_candidate(asked_of(args), contest)
    peers, notes = read_peers(paths, contest, without=paths.run(args.name).name)
    subject = CandidateView(candidate, contest, peers)
    found = audit(subject, notes)
    console = page(sys.stderr if args.json else sys.stdout)
    by = f" by {args.by}" if args.by else ""
    title = f"{args.name}{by}"
    print_audit(found, contest, title, candidate.sources, console, whole=args.why)
    admitted = found.verdict != OUT or (args.force and found.storable)
    stored = None
    if admitted and not args.dry_run:
        from pipeline.team.store import store

        stored = store(paths, args.name, subject, found, args.by or "", args.replace)
    console.print(_written(found, stored, args), soft_wrap=True)
    told = None if stored is None else str(stored.folder)
    reused = stored is not None and stored.reused
    answer = {"name": args.name, **as_values(found), "stored": told, "reused": reused}
    passed = True
    if args.answer is not None and stored is not None:
        from pipeline.team.competition import read_one

        peer = read_one(paths, contest, args.name)
        judged = _judged(paths, contest, peer, Path(args.answer), args.logits, console)
        answer |= {"challenge": judged.as_values()}
        passed = judged.verdict == "passed"
    if args.json:
        print(json.dumps(answer, allow_nan=False))
    return 0 if admitted and passed else DataError.exit_code


def _written(found: "Audit", stored: "Stored | None", args: "Namespace") -> str:
    """What became of the file, in a sentence."""
    if stored is not None and stored.reused:
        return f"{stored.folder} holds this very file: nothing new was written"
    if stored is not None:
        return f"wrote {stored.folder}"
    if found.verdict == "out" and not found.storable:
        return (
            "nothing was written, and --force cannot store it: rows or numbers are missing, or "
            "stand twice"
        )
    if found.verdict == "out" and not args.force:
        return "nothing was written; --force stores it all the same, and run.json says so"
    return "dry run: nothing was written"


def _list(args: "Namespace", competition: Competition) -> int:
    from pipeline.report.page import page
    from pipeline.report.team import print_runs
    from pipeline.team.competition import list_runs, load_contest

    paths, contest = load_contest(competition, Path(args.root))
    lines = list_runs(paths, contest)
    if args.json:
        print(json.dumps({"runs": [vars(line) for line in lines]}, allow_nan=False))
    else:
        print_runs(lines, contest, page())
    return 0


def _show(args: "Namespace", competition: Competition) -> int:
    from pipeline.oof import origin_of
    from pipeline.report.page import page
    from pipeline.report.team import print_answered, print_audit
    from pipeline.team.audit import as_values, audit_own, from_values
    from pipeline.team.challenge import answered_of

    paths, contest, peer = _named_run(args, competition)
    team = origin_of(peer.manifest)
    found = audit_own(paths, contest, peer) if team is None else from_values(team["audit"])
    if args.json:
        print(json.dumps({"name": peer.name, **as_values(found)}, allow_nan=False))
        return 0
    by = "trained here" if team is None else f"by {team['by'] or 'a team-mate'}, {team['when']}"
    sources = {} if team is None else team["sources"]
    console = page()
    print_audit(found, contest, f"{peer.name} ({by})", sources, console)
    if team is not None and (judged := answered_of(team)) is not None:
        print_answered(judged, peer.name, peer.manifest, console)
    return 0


def _export(args: "Namespace", competition: Competition) -> int:
    from pipeline.report.page import page
    from pipeline.team.store import WRITTEN, export

    paths, contest, peer = _named_run(args, competition)
    path = Path(
        args.out or f"{paths.runs.name}-{peer.name}{WRITTEN[contest.kind.predictions].suffix}"
    )
    digest = export(paths, contest, peer, path, args.replace)
    beside = path.with_suffix(".json")
    if args.json:
        print(json.dumps({"run": peer.name, "file": str(path), "sha256": digest}))
    else:
        page().print(f"wrote {path} and {beside.name}, send both", soft_wrap=True)
    return 0


def _challenge(args: "Namespace", competition: Competition) -> int:
    from pipeline.report.page import page
    from pipeline.team.challenge import check_given, instructions, write

    paths, contest, peer = _named_run(args, competition)
    check_given(peer)
    console = page(sys.stderr if args.json else sys.stdout)
    if args.answer is None:
        path = Path(args.out or f"{paths.runs.name}-{peer.name}-challenge.csv")
        count = write(contest, peer.name, path)
        for line in instructions(contest, peer.name, path, count):
            console.print(line, soft_wrap=True)
        if args.json:
            print(json.dumps({"run": peer.name, "file": str(path), "rows": count}))
        return 0
    found = _judged(paths, contest, peer, Path(args.answer), args.logits, console)
    if args.json:
        print(json.dumps({"run": peer.name, **found.as_values()}, allow_nan=False))
    return 0 if found.verdict == "passed" else DataError.exit_code


def _judged(
    paths: "Paths",
    contest: "CompetitionView",
    peer: "Peer",
    path: Path,
    logits: bool,
    console: "Console",
) -> "Answered":
    """What the answers at *path* prove; kept in run.json, and printed."""
    from pipeline.report.team import print_answered
    from pipeline.team.challenge import enter, judge, read_answer

    found = judge(contest, peer, read_answer(contest, peer.name, path, logits))
    print_answered(found, peer.name, enter(paths, peer, path, found), console)
    return found


def _named_run(
    args: "Namespace", competition: Competition
) -> "tuple[Paths, CompetitionView, Peer]":
    """The complete run that is named; UsageError, or what keeps it from being read."""
    from pipeline.team.competition import load_contest, read_one

    paths, contest = load_contest(competition, Path(args.root))
    return paths, contest, read_one(paths, contest, args.run)


if __name__ == "__main__":
    raise SystemExit(run(main))
