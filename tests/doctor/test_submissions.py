"""Submissions, their provenance and the runs they were made from."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from pipeline.submissions.ledger import Entry
from tests.sound import RUN, SUBMISSION, edit, examine, problem_of, sound, spoil

RECORD = SUBMISSION.with_suffix(".json")
LEDGER = Path("submissions/toy-ledger.jsonl")


@pytest.fixture
def root(tmp_path):
    return sound(tmp_path)


def test_a_changed_submission_is_not_to_be_sent(root):
    spoil(root / SUBMISSION)
    found = problem_of(root, SUBMISSION)
    assert found["what"].startswith("has changed since it was written")
    assert found["todo"].startswith("Do not send it.")


def test_a_submission_without_provenance_says_how_to_get_it(root):
    (root / RECORD).unlink()
    answer = examine(root)
    assert answer.code == 0
    (found,) = [note for note in answer.notes if note["path"] == str(SUBMISSION)]
    assert found["what"].startswith("has no provenance beside it")
    assert found["todo"].startswith("Do not send it as it is.")
    assert "python -m pipeline.ensemble --root " in found["todo"]


def test_a_csv_of_ones_own_is_a_problem_and_a_readme_is_not(root):
    (root / "submissions/README.md").write_text("")
    assert examine(root).code == 0
    (root / "submissions/mine.csv").write_text("")
    assert (
        "is not named as pipeline.ensemble names"
        in problem_of(root, "submissions/mine.csv")["what"]
    )


def test_provenance_without_its_submission_is_a_problem(root):
    (root / SUBMISSION).unlink()
    found = problem_of(root, SUBMISSION)
    assert found["what"] == "is missing, its provenance is there"
    assert f"python -m pipeline.rebuild --root {root} {SUBMISSION.name}" in found["todo"]


def test_provenance_of_another_file_is_a_problem(root):
    for suffix in (".csv", ".json"):
        shutil.copy(
            root / SUBMISSION.with_suffix(suffix), root / f"submissions/toy-002-best{suffix}"
        )
    found = problem_of(root, "submissions/toy-002-best.json")
    assert found["what"] == "is the provenance of toy-001-best.csv"


def test_provenance_without_a_digest_is_a_problem(root):
    edit(root / RECORD, sha256=None)
    assert "does not hold the SHA-256" in problem_of(root, RECORD)["what"]


def test_a_submission_whose_runs_have_changed_cannot_be_rebuilt(root):
    members = json.loads((root / RECORD).read_text())["members"]
    members[0]["parts"]["seed-42/fold-1"] = "0" * 64
    edit(root / RECORD, members=members)
    (found,) = examine(root).notes
    assert found["path"] == str(SUBMISSION)
    assert found["what"] == (
        "cannot be rebuilt from today's runs: linear has other predictions than then"
    )
    (root / RUN).unlink()
    whats = [note["what"] for note in examine(root).notes if note["path"] == str(SUBMISSION)]
    assert whats == ["cannot be rebuilt from today's runs: linear has no run.json to read any more"]


def ledger(root, *entries):
    lines = [entry if isinstance(entry, str) else entry.line for entry in entries]
    (root / LEDGER).write_text("".join(f"{line}\n" for line in lines))


def test_a_ledger_that_speaks_of_these_files_is_whole(root):
    digest = json.loads((root / RECORD).read_text())["sha256"]
    ledger(root, Entry(day="2026-03-01", file=SUBMISSION.name, sha256=digest, public=0.9))
    answer = examine(root)
    assert (answer.code, answer.problems, answer.notes) == (0, [], [])


def test_a_damaged_ledger_names_its_lines(root):
    ledger(root, "<<<<<<< HEAD", "no")
    assert "holds the marks of a merge" in problem_of(root, LEDGER)["what"]
    ledger(root, "no")
    found = problem_of(root, LEDGER)
    assert "line 1 is no JSON" in found["what"]
    assert found["todo"].startswith("Mend the lines by hand")


def test_a_ledger_alone_is_looked_at_too(root):
    for path in (root / "submissions").glob("toy*"):
        path.unlink()
    ledger(root, "no")
    assert "line 1 is no JSON" in problem_of(root, LEDGER)["what"]


def test_another_file_under_the_name_of_a_sent_one_is_a_problem(root):
    ledger(root, Entry(day="2026-03-01", file=SUBMISSION.name, sha256="0" * 64))
    assert problem_of(root, SUBMISSION)["what"] == (
        "is not the file that was sent under this name on 2026-03-01"
    )
    assert examine(root, "--quick").code == 0


def test_somebody_elses_csv_may_lie_there_once_it_is_in_the_ledger(root):
    mine = root / "submissions/mine.csv"
    mine.write_text("id,label\n")
    assert "pipeline.ledger add mine.csv" in problem_of(root, "submissions/mine.csv")["todo"]
    digest = hashlib.sha256(mine.read_bytes()).hexdigest()
    ledger(root, Entry(day="2026-03-01", file="mine.csv", sha256=digest))
    assert examine(root).code == 0
    assert examine(root, "--quick").code == 0
    mine.write_text("id,label\nx,1\n")
    assert examine(root).code == 5
    assert examine(root, "--quick").code == 0
