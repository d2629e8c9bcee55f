"""`pipeline.wrapup`: facts are filled in, judgements are questions, no word is lost."""

import importlib.util
import json
import re
import subprocess
from pathlib import Path

import pytest

from pipeline.base.command import run
from pipeline.report.drawn.words import words_of
from pipeline.submissions.ledger import News, record
from pipeline.wrapup import has_docx, plain
from pipeline.wrapup import main as wrapup
from tests.submitted import FIRST, root, written

__all__ = ["root", "written"]


def commit(root: Path, name: str, subject: str) -> None:
    person = {"user.name": name, "user.email": "a@example.org", "commit.gpgsign": "false"}
    options = [word for key, value in person.items() for word in ("-c", f"{key}={value}")]
    for words in (["add", "folds", "configs"], ["commit", "-q", "--allow-empty", "-m", subject]):
        subprocess.run(["git", *options, "-C", str(root), *words], check=True)


def sections(text: str) -> dict[str, str]:
    pieces = re.split(r"^## \d\. (.*)$", text, flags=re.MULTILINE)
    return dict(zip(pieces[1::2], pieces[2::2], strict=True))


@pytest.fixture(scope="module")
def draft(written, tmp_path_factory) -> Path:
    """The draft of a team of two: one commits, one sends."""
    import shutil

    here = Path(shutil.copytree(written, tmp_path_factory.mktemp("wrapup") / "root"))
    subprocess.run(["git", "init", "-q", str(here)], check=True)
    commit(here, "김 철수", "Folds | frozen *once*")
    commit(here, "김 철수", "Second")
    digest = json.loads((here / "submissions" / FIRST).with_suffix(".json").read_text())["sha256"]
    news = News(file=FIRST, sha256=digest, public=0.8125, by="Ann_Lee")
    record(here / "submissions", "toy", "pearson", news)
    assert run(wrapup, ["--root", str(here), "--config", "toy", "--lang", "ko"]) == 0
    return here / "wrapup" / "toy"


def test_the_five_sections_hold_the_facts_of_the_disk(draft, capsys):
    from pipeline.ensemble.__main__ import main as ensemble

    here = draft.parents[1]
    text = (draft / "report.md").read_text("utf-8")
    found = sections(text)
    assert list(found) == [
        "프로젝트 개요",
        "팀 구성 및 역할",
        "수행 절차 및 방법",
        "수행 결과",
        "자체 평가 의견",
    ]
    capsys.readouterr()
    assert run(ensemble, ["--root", str(here), "--config", "toy", "--dry-run", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    overview, team, procedure, results, _ = found.values()
    assert f"**{answer['rows']['train']:,}** train.csv" in overview
    assert "| 김 철수 | 2 | 1 | folds 2, configs 1 | – | 0 |" in team
    assert "| Ann\\_Lee | 0 | 0 | – | – | 1 |" in team
    for member in answer["members"]:
        assert f"| {member['name']} |" in procedure
        assert f"{member['score']:.4f}" in procedure
    assert f"**{answer['scores']['honest']:.4f}**" in results
    assert f"{answer['scores']['gain_over_best_single']:+.5f}" in results
    assert "0.8125" in results


def test_every_section_ends_in_questions_and_answers_none(draft):
    text = (draft / "report.md").read_text("utf-8")
    for title, body in sections(text).items():
        asked = re.findall(r"^- \[ \] \*\*(.*)\*\*$", body, re.MULTILINE)
        assert len(asked) >= 2, title
        assert all(each.endswith("?") for each in asked)
        assert body.rstrip().endswith("**")


def test_every_figure_that_is_named_is_a_picture(draft):
    text = (draft / "report.md").read_text("utf-8")
    figures = re.findall(r"!\[.*\]\((.*)\)", text)
    assert len(figures) >= 5
    for figure in figures:
        assert (draft / figure).read_bytes().startswith(b"\x89PNG")


def test_everybody_gets_a_page_with_their_own_traces(draft):
    pages = {path.name: path.read_text("utf-8") for path in (draft / "members").glob("*.md")}
    assert sorted(pages) == ["1-김-철수.md", "2-Ann-Lee.md"]
    assert "Folds \\| frozen \\*once\\*" in pages["1-김-철수.md"]
    assert "toy-001" not in pages["1-김-철수.md"]
    assert FIRST in pages["2-Ann-Lee.md"].replace("\\", "")
    assert all(page.count("- [ ]") == 6 for page in pages.values())


def test_a_draft_that_may_hold_words_of_a_person_is_not_written_over(draft, capsys):
    here, report = draft.parents[1], draft / "report.md"
    before = report.read_text("utf-8")
    report.write_text("my own words")
    try:
        assert run(wrapup, ["--root", str(here), "--config", "toy"]) == 2
        said = capsys.readouterr().err
        assert "may hold your own words. Another place: --to DIR; a new draft over it" in said
        assert report.read_text() == "my own words"
    finally:
        report.write_text(before, "utf-8")


def test_without_git_runs_or_a_ledger_it_says_so_and_still_asks(root, capsys):
    import shutil

    shutil.rmtree(root / "oof")
    assert run(wrapup, ["--root", str(root), "--config", "toy", "--json"]) == 0
    (path,) = [
        Path(each) for each in json.loads(capsys.readouterr().out)["written"] if each.endswith("md")
    ]
    text = path.read_text("utf-8")
    assert "neither git log nor the ledger names anybody here" in text
    assert "> ! no run is complete yet" in text
    assert text.count("- [ ]") >= 10


def test_every_sentence_of_the_draft_is_said_in_korean(draft):
    text = (draft / "report.md").read_text("utf-8")
    english = [
        line
        for line in text.splitlines()
        if re.search(r"[A-Za-z]{3,} [a-z]{2,} [a-z]{2,}", line) and not re.search("[가-힣]", line)
    ]
    assert english == []
    table = words_of("ko").table
    assert table["Self-assessment"] in text


def test_markdown_cannot_be_broken_by_a_name():
    assert plain("a|b\n# <b>") == "a\\|b \\# &lt;b>"


@pytest.mark.skipif(not has_docx(), reason="python-docx is not installed (the extra docx)")
def test_the_docx_holds_the_same_headings_tables_and_pictures(draft):
    docx = importlib.import_module("docx")
    document = docx.Document(str(draft / "report.docx"))
    text = (draft / "report.md").read_text("utf-8")
    headings = [each.text for each in document.paragraphs if each.style.name.startswith("Heading")]
    assert [plain(each) for each in headings] == re.findall(r"^##+ (.*)$", text, re.MULTILINE)
    assert len(document.inline_shapes) == text.count("![")
    assert len(document.tables) == len(re.findall(r"^\|( -+:? \|)+$", text, re.MULTILINE))
