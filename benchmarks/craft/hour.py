"""The best honest ensemble that two cores reach in an hour, before docs/craft.md and with it.

    nice python -m benchmarks.craft.hour train --root DIR    # goes on where it was stopped
    python -m benchmarks.craft.hour show --root DIR --write

`train` runs init and every member by the commands that a person would type, one thread each, and
notes the seconds of a core that each took; what is complete is not trained again. `show` blends the
members that there were before, then those and the new ones, and compares the honest predictions of
both files, as decided, by a paired bootstrap over groups. A competition with no more than two hours
of a core in all is within the hour of two.
"""

import argparse
import json
import os
import resource
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.shared.machine import DATA, keep, machine_line
from benchmarks.shared.members import MEMBERS
from pipeline.base.config import Competition
from pipeline.base.parser import read_section
from pipeline.data.tables import load
from pipeline.ensemble.decisions.choose import Judge
from pipeline.ensemble.predictor import Rows
from pipeline.metrics.bootstrap import Draws
from pipeline.submissions.build import BuildRequest, BuiltSubmission, make

BEFORE = {
    name: {member: shlex.join(words) for member, words in MEMBERS[name].items()}
    for name in ("stsb-en", "ynat", "nsmc")
}
"""Competition -> member -> what follows --model: those of docs/ensembles.md."""
LENGTH = "--set max_length=64"
MORPHEMES = "--set clean=[kiwi-morphemes]"
KOREAN = {
    "morphemes": f"linear {MORPHEMES}",
    "within words": "linear --set within_words=true",
    "naive Bayes": "naive-bayes",
    "naive Bayes, within words": "naive-bayes --set within_words=true",
    "naive Bayes, morphemes": f"naive-bayes {MORPHEMES}",
    "naive Bayes, morphemes, within": f"naive-bayes --set within_words=true {MORPHEMES}",
}
MORE: dict[str, dict[str, str]] = {
    "stsb-en": {
        "siamese, 2 seeds": f"minilm-siamese --set epochs=2 {LENGTH} --seed 42 43",
        "cross bce, 2 seeds": f"minilm --set loss=bce --set epochs=3 {LENGTH} --seed 42 43",
        "cross bce, both orders": (
            f"minilm --set loss=bce --set epochs=2 {LENGTH} --set rows=[swap] --set tta=[swap] "
            "--seed 44"
        ),
        "frozen": "minilm-frozen",
        "frozen, svr": "minilm-frozen --set head=svr",
        "boosting": "boosting",
    },
    "ynat": KOREAN,
    "nsmc": {**KOREAN, "spelling": "linear --set clean=[kiwi-normalise]"},
}
"""The same: those of docs/craft.md."""
HOUR = 2 * 60.0
"""Minutes of a core that two of them have in an hour."""


def main() -> int:
    """Train, or show."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("do", choices=("train", "show"))
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--root", type=Path, required=True, help="where folds and runs lie")
    parser.add_argument("--only", nargs="+", choices=list(BEFORE), default=list(BEFORE))
    parser.add_argument("--write", action="store_true", help="keep figures and page")
    args = parser.parse_args()
    if args.do == "train":
        for name in args.only:
            train(args.data / name, args.root)
        return 0
    found = [compare(args.root, name) for name in args.only]
    text = page(found)
    print(text)
    if args.write:
        keep("craft-hour", text, found)
    return 0


def train(folder: Path, root: Path) -> None:
    """Init where there is no config yet, then every member."""
    name = folder.name
    if not (root / "configs" / f"{name}.yaml").exists():
        command("init", str(folder.resolve()), "--root", str(root))
    for member, model in {**BEFORE[name], **MORE[name]}.items():
        note = note_of(root, name, member)
        known = json.loads(note.read_text("utf-8")) if note.exists() else {"seconds": 0.0}
        if known.get("model") == model:
            continue
        config = ["--root", str(root), "--config", f"configs/{name}.yaml"]
        asked = ["--json", "--no-weights", "--model", *shlex.split(model)]
        answer, seconds = command("cv", *config, *asked)
        (run,) = answer["runs"]
        done = {"run": run, "model": model, "seconds": known["seconds"] + seconds}
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(json.dumps(done), "utf-8")


def note_of(root: Path, competition: str, member: str) -> Path:
    """Where a member's run, command and seconds stand."""
    return root / "names" / competition / f"{member}.json"


def command(name: str, *arguments: str) -> tuple[dict[str, Any], float]:
    """Run one command of the pipeline; what it printed as JSON, if anything, and its seconds."""
    line = [sys.executable, "-m", f"pipeline.{name}", *arguments]
    print(shlex.join(line[1:]), file=sys.stderr, flush=True)
    before = _used()
    one = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(line, stdout=subprocess.PIPE, text=True, check=True, env=one)
    last = (done.stdout.strip().splitlines() or ["{}"])[-1]
    return json.loads(last) if last.startswith("{") else {}, _used() - before


def _used() -> float:
    """Seconds of a core that all commands have used so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def compare(root: Path, name: str) -> dict[str, Any]:
    """Both ensembles of a competition, and the honest gain of the second."""
    competition = read_section(Competition, root / "configs" / f"{name}.yaml")
    notes = {
        member: json.loads(note_of(root, name, member).read_text("utf-8"))
        for member in {**BEFORE[name], **MORE[name]}
    }
    old, new = (
        make(root, competition, BuildRequest(runs=[notes[each]["run"] for each in members]))
        for members in (BEFORE[name], notes)
    )
    evidence = old.outcome.evidence
    judge = Judge(
        evidence.metric, evidence.problem, evidence.truth, Draws.over(evidence.group_of_row, 0)
    )
    gain = judge.gain(new.honest, old.honest)
    minutes = {
        part: sum(notes[each]["seconds"] for each in members) / 60
        for part, members in (("before", BEFORE[name]), ("with", notes))
    }
    return {
        "competition": name,
        "rows": len(evidence.truth),
        "metric": evidence.metric.name,
        "before": ensemble(root, competition, old),
        "with": ensemble(root, competition, new),
        "gain": {"difference": gain.difference, "low": gain.low, "high": gain.high},
        "minutes": minutes,
        "members": {
            member: {
                "model": note["model"],
                "new": member in MORE[name],
                "minutes": note["seconds"] / 60,
                "score": manifest["oof_score"],
                "weight": weight,
            }
            for (member, note), manifest, weight in zip(
                notes.items(), new.outcome.manifests, _weights(new), strict=True
            )
        },
    }


def _weights(made: BuiltSubmission) -> list[float]:
    return [float(made.weights.get(name, 0.0)) for name in made.outcome.names]


def ensemble(root: Path, competition: Competition, made: BuiltSubmission) -> dict[str, Any]:
    """What stands on its page, and what it scores on a labelled dev file that nothing was fitted
    on."""
    outcome = made.outcome
    part = outcome.leaderboard.parts.get("whole")
    return {
        "method": made.method,
        "honest": outcome.honest,
        "range": None if part is None else [part.low, part.high],
        "dev": dev_score(root, competition, made),
    }


def dev_score(root: Path, competition: Competition, made: BuiltSubmission) -> float | None:
    """The score of the file's own weights on data.holdout; None where there is none."""
    outcome, holdout = made.outcome, load(competition, root).holdout
    if holdout is None or holdout.targets is None:
        return None
    given = Rows(outcome.members.holdout, outcome.given.facts.get("holdout"))
    raw = outcome.assessment.blend.predict(given, competition.task.problem)
    return float(outcome.metric.score(holdout.targets, outcome.decided.apply(raw)))


def page(found: list[dict[str, Any]]) -> str:
    """The table of both ensembles, and of the members."""
    lines = [
        "# The best honest ensemble of an hour",
        "",
        "`python -m benchmarks.craft.hour train`, then `show --write`. "
        + machine_line("torch", "transformers", "scikit-learn", "kiwipiepy"),
        "",
        "*Before*: the members of docs/ensembles.md. *With*: those and the new ones below. Both by "
        "`--method auto`; honest scores are those of the files, as decided. *Gain*: between the "
        "honest predictions of both, with a 95 % interval (paired bootstrap over groups). "
        "*Minutes* are of one core, one thread, for all members; two cores have "
        f"{HOUR:.0f} in an hour.",
        "",
        "| competition | metric | before | with | gain | dev file before, with | minutes |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for each in found:
        gain, old, new = each["gain"], each["before"], each["with"]
        dev = "" if old["dev"] is None else f"{old['dev']:.4f}, {new['dev']:.4f}"
        minutes = f"{each['minutes']['before']:.0f}, {each['minutes']['with']:.0f}"
        lines.append(
            f"| {each['competition']}, {each['rows']:,} rows | {each['metric']} "
            f"| {old['honest']:.4f} ({old['method']}) | {new['honest']:.4f} ({new['method']}) "
            f"| {gain['difference']:+.4f} ({gain['low']:+.4f} to {gain['high']:+.4f}) "
            f"| {dev} | {minutes} |"
        )
    for each in found:
        lines += ["", f"## {each['competition']}", ""]
        lines += ["| member | `--model` | new | score | weight | minutes |"]
        lines += ["| --- | --- | --- | --- | --- | --- |"]
        lines += [
            f"| {name} | `{one['model']}` | {'yes' if one['new'] else ''} | {one['score']:.4f} "
            f"| {one['weight']:.2f} | {one['minutes']:.1f} |"
            for name, one in each["members"].items()
        ]
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
