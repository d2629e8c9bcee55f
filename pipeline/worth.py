"""Say whether a candidate is worth adding to the runs that are there.

    python -m pipeline.worth minilm
    python -m pipeline.worth oof.csv --test test.csv --config configs/NAME.yaml

A candidate is a complete run, or a team-mate's file as `pipeline.team add` takes it; nothing is
stored. The honest score of the ensemble with it, minus that without it, is what it is worth.
"""

import json
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.base import Competition, DataError, UsageError, raise_if
from pipeline.base.command import run
from pipeline.base.parser import Parser
from pipeline.team.options import add_file_options, asked_of

if TYPE_CHECKING:
    from jsonargparse import Namespace

    from pipeline.base import Paths
    from pipeline.team import CompetitionView
    from pipeline.team.competition import Peer
    from pipeline.team.worth import Worth


@cache
def parser() -> Parser:
    """The command's options; --help needs no heavy import."""
    options = Parser("worth", __doc__ or "")
    options.add_argument("file", type=str, metavar="FILE_OR_RUN", help="a csv, or a run's name")
    add_file_options(options)
    options.add_argument(
        "--passport", type=str, metavar="DIGEST", help="of the folds the file was made on"
    )
    options.add_argument(
        "--force",
        action="store_true",
        help="take a file that the audit leaves out, and runs that the ensemble leaves out",
    )
    options.add_competition()
    return options


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    options = parser()
    args = options.read(argv)
    worth, contest = _weigh(args, options.competition(args))
    from pipeline.report.page import page
    from pipeline.report.worth import as_json, print_worth

    print_worth(worth, contest, page(sys.stderr if args.json else sys.stdout))
    if args.json:
        print(json.dumps(as_json(worth, contest), allow_nan=False))
    return 0


def _weigh(args: "Namespace", competition: Competition) -> "tuple[Worth, CompetitionView]":
    from pipeline.team.competition import load_contest
    from pipeline.team.worth import weigh

    paths, contest = load_contest(competition, Path(args.root))
    if Path(args.file).exists():
        without, candidate = "", None
    else:
        candidate = _run(paths, contest, args)
        without = candidate.name
        _refuse_file_options(args)
    peers, notes = _peers(paths, contest, args, without)
    if candidate is not None:
        from pipeline.team.store import seconds_of

        seconds = seconds_of(paths, candidate.name, candidate.manifest)
        return weigh(contest, peers, candidate.name, candidate.weighed, seconds, notes), contest
    oof, seconds, more = _from_file(args, contest, peers)
    return weigh(contest, peers, Path(args.file).name, oof, seconds, [*notes, *more]), contest


def _refuse_file_options(args: "Namespace") -> None:
    """Raise UsageError for options that say how a file is to be read: a run needs none of them."""
    names = ("test", "logits", "probabilities", "id", "fold", "passport")
    given = [f"--{name}" for name in names if args[name]]
    if given:
        raise UsageError(f"{', '.join(given)}: only with a file, but {args.file} is a run")


def _run(paths: "Paths", contest: "CompetitionView", args: "Namespace") -> "Peer":
    from pipeline.team.competition import read_one

    try:
        return read_one(paths, contest, args.file)
    except UsageError as error:
        raise UsageError(f"there is no file {args.file}, and {error}") from None


def _peers(
    paths: "Paths", contest: "CompetitionView", args: "Namespace", without: str
) -> "tuple[list[Peer], list[str]]":
    """The runs that the ensemble would blend, but the candidate."""
    from pipeline.oof.runs import find_runs
    from pipeline.team.competition import read_named

    train = "python -m pipeline.cv --model NAME"
    names, notes = find_runs(paths, [], args.force, contest.competition.folds, train)
    names = [name for name in names if name != without]
    if not names:
        raise UsageError(
            f"there is no other complete run of {contest.competition.name} to add it to. Train "
            f"one first: {train}"
        )
    return read_named(paths, contest, names), notes


def _from_file(
    args: "Namespace", contest: "CompetitionView", peers: "list[Peer]"
) -> tuple[Any, dict[str, float] | None, list[str]]:
    """Out-of-fold predictions, seconds and notes of a file; DataError where it is out."""
    from pipeline.team.audit import OUT, audit
    from pipeline.team.candidate import read_candidate
    from pipeline.team.candidate_view import CandidateView
    from pipeline.team.store import as_seconds

    candidate = read_candidate(asked_of(args), contest)
    found = audit(CandidateView(candidate, contest, peers))
    if found.verdict == OUT and not (args.force and found.storable):
        more = "; --force weighs it all the same" if found.storable else ""
        raise_if(
            [f"{each.check}: {each.says}" for each in found.reasons],
            DataError,
            f"{args.file} is out{more}",
        )
    said = [f"audit: {found.verdict}"] + [
        f"{each.check}: {each.says}" for each in found.findings if each.grade != "ok"
    ]
    seconds = as_seconds(candidate.sidecar.get("seconds"))
    return candidate.weighed, seconds, [*candidate.notes, *said]


if __name__ == "__main__":
    raise SystemExit(run(main))
