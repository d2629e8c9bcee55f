"""What `make test` leaves out, `make faults` runs; GitHub runs both."""

import re
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
WORKFLOWS = PROJECT / ".github" / "workflows"


def recipe(target: str) -> list[str]:
    """What stands behind `-m pytest` in each such line of a target of the Makefile."""
    text = (PROJECT / "Makefile").read_text(encoding="utf-8")
    found = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", text, re.MULTILINE)
    assert found, f"the Makefile has no {target}"
    runs = re.findall(r"^(.*)-m pytest(.*)$", found[1], re.MULTILINE)
    return [f"{before.strip()} {after.strip()}" for before, after in runs]


def test_what_make_test_leaves_out_make_faults_runs():
    (ordinary,) = recipe("test")
    assert ordinary.endswith('-m "not nightly"')
    faults, others = recipe("faults")
    assert "FAULT_TRIALS=" in faults
    assert faults.endswith(" tests/faults")
    assert " -m nightly " not in faults
    assert others.endswith(" -m nightly tests --ignore tests/faults")


def test_github_runs_both():
    for workflow, command in (("test.yml", "make test"), ("nightly.yml", "make faults")):
        steps = (WORKFLOWS / workflow).read_text(encoding="utf-8")
        assert f"- run: {command}\n" in steps
