"""Pack a submission's model into a folder that predicts without network, data or checkout.

    python -m pipeline.bundle COMP-001-layers.csv -o bundle
    python -m pipeline.bundle COMP-001-layers.csv -o bundle.zip --half --prove

The bundle holds weights, tokenizers, recipes, the fitted blend and decisions, this package as a
wheel, a list of what else to install, checksums and licences, and a predict.py; `pipeline.serve`
answers from it over HTTP. A few test rows are predicted from it before it is put in place.
"""

import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.base.command import run
from pipeline.base.parser import Parser

if TYPE_CHECKING:
    from pipeline.serve.packing.half import Effect
    from pipeline.serve.packing.pack import Asked
    from pipeline.serve.packing.proof import Look, Proof


@cache
def parser() -> Parser:
    """The command's options; --help needs no heavy import."""
    options = Parser("bundle", __doc__ or "")
    options.add_argument("submission", metavar="SUBMISSION", help="a submission's name")
    options.add_argument(
        "-o", "--out", metavar="PATH", required=True, help="a folder, or a file that ends in .zip"
    )
    options.add_argument(
        "--members", nargs="+", metavar="RUN", help="only these, fitted and scored anew"
    )
    options.add_argument(
        "--half", action="store_true", help="weights in float16, with what that costs measured"
    )
    options.add_argument(
        "--prove",
        action="store_true",
        help="let predict.py answer the test file in an empty folder without a network",
    )
    options.add_argument(
        "--limit-hours", type=float, metavar="H", help="the rules' limit on run time"
    )
    options.add_argument("--limit-gb", type=float, metavar="GB", help="the rules' limit on size")
    return options


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    args = parser().read(argv)
    from pipeline.report.page import page
    from pipeline.serve.packing.half import effect_of, halve
    from pipeline.serve.packing.pack import Asked, check_place, pack, put, seal, size_of, staging_of
    from pipeline.serve.packing.proof import look, prove_alone
    from pipeline.submissions.rebuild import find_file, read_origin
    from pipeline.training.new_rows import whole_ensemble

    root, out, told = Path(args.root), Path(args.out), page(sys.stderr)
    origin = read_origin(find_file(root, args.submission))
    check_place(out)
    asked = Asked(root=root, origin=origin, made=whole_ensemble(root, origin, args.members))
    staging = staging_of(out)
    effect, proof = None, None
    try:
        pack(asked, staging)
        if args.half:
            halve(staging)
            tokens = staging.with_name(f"{staging.name}-tokens")
            effect = effect_of(asked, staging, tokens, told)
            shutil.rmtree(tokens, ignore_errors=True)
        seen = look(asked, staging, exact=not args.half)
        seal(staging)
        size = size_of(staging)
        if args.prove:
            proof = prove_alone(asked, staging)
        about = json.loads((staging / "bundle.json").read_text(encoding="utf-8"))
        put(staging, out)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    if args.json:
        print(json.dumps(_found(about, size, seen, effect, proof) | {"wrote": str(out)}))
        return 0
    for line in _lines(args, about, size, seen):
        page().print(line, soft_wrap=True)
    for line in _measured(asked, effect, proof):
        page().print(line, soft_wrap=True)
    page().print(f"wrote {out}", soft_wrap=True)
    return 0


def _found(
    about: dict[str, Any], size: int, seen: "Look", effect: "Effect | None", proof: "Proof | None"
) -> dict[str, Any]:
    """What was made, for programs."""
    from dataclasses import asdict

    return {
        "members": [each["name"] for each in about["members"]],
        "bytes": size,
        "check": asdict(seen) | {"seconds": seen.seconds},
        "float16": None if effect is None else asdict(effect),
        "proof": None if proof is None else asdict(proof),
    }


def _lines(args: Any, about: dict[str, Any], size: int, seen: "Look") -> Iterator[str]:
    """What was made, for people."""
    from pipeline.base.files import size_text
    from pipeline.training.progress import clock_text

    learners = sum(len(each["parts"]) for each in about["members"])
    honest = "untold" if about["honest"] is None else f"{about['honest']:.4f}"
    yield (
        f"{about['submission']}: {about['method']}, {learners} learners of "
        f"{len(about['members'])} runs; honest {about['metric']} {honest}"
    )
    if about["left_out"]:
        yield f"left out {', '.join(about['left_out'])}: of weight 0, so no answer needs it"
    limit = _against(size / 1e9, args.limit_gb, "GB")
    yield f"size     {size_text(size)}{limit}"
    yield (f"check    {seen.rows:,} test rows predicted from it, {_apart(about, seen.largest)}")
    limit = _against(seen.seconds / 3600, args.limit_hours, "hours")
    yield (
        f"time     about {clock_text(seen.seconds)} for the {seen.of:,} test rows on this machine"
        f"{limit}"
    )
    for each in about["backbones"].values():
        yield f"licence  {each['name']}: {each['licence']} ({each['said_by']})"
    for each in about["members"]:
        yield f"holds    {each['name']}: of training rows {each['remembers']}"


def _apart(about: dict[str, Any], largest: float) -> str:
    from pipeline.problems.registry import problem_of

    if problem_of(about["config"]["task"]["problem"]).predictions == "texts":
        return f"{largest:.1%} of the answers others than the runs gave"
    return f"at most {largest:.1e} from what the runs said"


def _against(value: float, limit: float | None, unit: str) -> str:
    if limit is None:
        return ""
    if value > limit:
        return f": OVER the limit of {limit:g} {unit}, {value / limit:.1f} times"
    return f", {value / limit:.1%} of the limit of {limit:g} {unit}"


def _measured(asked: "Asked", effect: "Effect | None", proof: "Proof | None") -> Iterator[str]:
    if effect is not None:
        scores = [
            "untold" if each is None else f"{each:.6f}" for each in (effect.honest, effect.halved)
        ]
        yield (
            f"float16  {effect.changed:,} of {effect.cells:,} answers of the test file are written "
            f"otherwise, predictions at most {effect.largest:.1e} away; honest "
            f"{asked.made.outcome.metric.name}, the method held: {scores[0]} -> {scores[1]}"
            + "".join(
                f"; held-out predictions of {name} are as they were, as its learners saw those rows"
                for name in effect.as_they_were
            )
        )
    if proof is not None:
        other = "OTHER bytes than the submission's" + (", as float16 tells" if effect else "")
        same = "the submission's bytes" if proof.same else other
        yield (
            f"proof    predict.py alone, in an empty folder with {proof.cut_off}: {same}, in "
            f"{proof.seconds:.0f} s"
        )


if __name__ == "__main__":
    raise SystemExit(run(main))
