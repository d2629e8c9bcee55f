"""Every blending method on real competitions: in-sample, honest with its interval, and dev.

    pip install -e ".[demo]" -c constraints.txt
    python -m benchmarks.blending.methods train --root DIR  # hours on two cores; goes on if stopped
    python -m benchmarks.blending.methods show --root DIR --write

`train` runs init and the members of MEMBERS by the commands that a person would type; a finished
run is not trained again. `show` blends them and prints a table per competition; with --write it
keeps the figures in benchmarks/results/ensembles.json, one picture per competition in
docs/figures/, and renders docs/ensembles.md. dev.csv was neither trained nor fitted on.
"""

import argparse
import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.blending.methods_page import render
from benchmarks.blending.methods_score import measure
from benchmarks.shared.machine import DATA, PROJECT, RESULTS, machine_line
from benchmarks.shared.members import MEMBERS

DOCS = PROJECT / "docs"


def main() -> int:
    """Train, or show."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("do", choices=("train", "show"))
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--root", type=Path, required=True, help="where folds and runs lie")
    parser.add_argument("--only", nargs="+", default=list(MEMBERS), metavar="NAME")
    parser.add_argument("--write", action="store_true", help="keep figures, pictures and the page")
    args = parser.parse_args()
    for name in args.only:
        train(args.data / name, args.root) if args.do == "train" else None
    if args.do == "show":
        kept = RESULTS / "ensembles.json"
        found = json.loads(kept.read_text("utf-8")) if kept.exists() else {}
        for name in args.only:
            runs = {run_of(args.root, name, member): member for member in MEMBERS[name]}
            picture = DOCS / "figures" / f"ensembles-{name}.png" if args.write else None
            found[name] = measure(args.root, name, runs, picture)
            found[name]["commands"] = {m: shlex.join(c) for m, c in MEMBERS[name].items()}
            found[name]["machine"] = machine_line("scipy", "scikit-learn")
        print(render({name: found[name] for name in args.only}))
        if args.write:
            kept.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n", "utf-8")
            (DOCS / "ensembles.md").write_text(
                render({n: found[n] for n in MEMBERS if n in found}), "utf-8"
            )
    return 0


def train(folder: Path, root: Path) -> None:
    """Init where there is no config yet, then every member."""
    name = folder.name
    if not (root / "configs" / f"{name}.yaml").exists():
        command("init", str(folder.resolve()), "--root", str(root))
    for member, model in MEMBERS[name].items():
        config = ["--root", str(root), "--config", f"configs/{name}.yaml"]
        answer = command("cv", *config, "--json", "--model", *model)
        (run,) = answer["runs"]
        note = root / "names" / name / f"{member}.txt"
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(run, "utf-8")


def run_of(root: Path, competition: str, member: str) -> str:
    """The folder name of a member's run."""
    return (root / "names" / competition / f"{member}.txt").read_text("utf-8")


def command(name: str, *arguments: str) -> dict[str, Any]:
    """Run one command of the pipeline; what it printed as JSON, if anything."""
    line = [sys.executable, "-m", f"pipeline.{name}", *arguments]
    print(shlex.join(line[1:]), file=sys.stderr, flush=True)
    done = subprocess.run(line, stdout=subprocess.PIPE, text=True, check=True)
    last = (done.stdout.strip().splitlines() or ["{}"])[-1]
    return json.loads(last) if last.startswith("{") else {}


if __name__ == "__main__":
    raise SystemExit(main())
