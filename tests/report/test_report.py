"""The report: one file that shows what lies on the disk, and holds what a text may try."""

import json
import os
import re
import shutil
from html.parser import HTMLParser
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pipeline.base.command import run
from pipeline.base.config import TaskConfig
from pipeline.data import Table as Rows
from pipeline.data.table import Units
from pipeline.data.tables import load
from pipeline.folds.frozen import frozen
from pipeline.metrics import get_metric
from pipeline.problems.span import SPAN
from pipeline.report.__main__ import main as report
from pipeline.report.drawn import pages as writing
from pipeline.report.drawn.charts import bars
from pipeline.report.drawn.document import Page, Says, Table, num, render, text
from pipeline.report.drawn.errors import slices_of
from pipeline.report.drawn.pages import fillers, pages_of, report_path
from pipeline.report.drawn.row_errors import DocumentErrors
from pipeline.report.drawn.words import LANGUAGES, PLACE, Words, words_of
from pipeline.submissions.ledger import News, record
from tests.blendable import make as make_toy
from tests.browser import CONTRAST, OVERFLOW, SIZES, browser
from tests.nightly import nightly
from tests.submitted import FIRST, root, written

__all__ = ["browser", "root", "written"]
EVIL = [
    '<script>alert("x")</script>',
    '"><img src=x onerror=alert(1)>',
    "=HYPERLINK(1)",
    "$\\frac{$",
]


class Seen(HTMLParser):
    """Tags, texts and ids of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.said: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.said.append(data)

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.said).split())


def made(at: Path, name: str = "toy") -> str:
    return report_path(at, name).read_text("utf-8")


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> tuple[Path, str, dict[str, Page]]:
    """A competition with pairs, three runs, one of them in doubt of nothing, and a sent file."""
    here = tmp_path_factory.mktemp("report")
    more = {"texts": 2, "holdout": True, "m": 60, "folds": 3}
    more["task"] = "label_range: [0, 5]"
    toy = make_toy(here, "regression", "pearson", **more)
    csv = here / "data" / "train.csv"
    head, *lines = csv.read_text("utf-8").splitlines()
    harmful = [line.replace(" ", f" {EVIL[0]} ".replace('"', "'"), 1) for line in lines]
    csv.write_text("\n".join([head, *harmful]) + "\n", "utf-8")
    shutil.rmtree(here / "folds")
    toy.tables = load(toy.competition, here)
    toy.folds = frozen(toy.competition, toy.paths, toy.tables.train)
    part = {"fold": 0, "score": 0.9, "seconds": {"fit": 60.0, "predict": 6.0}}
    part["peak_memory"] = {"ram": 3_000_000_000}
    part["events"] = [{"what": "diverged", "message": EVIL[0], "at": 1_795_923_536.4}]
    for place, noise in enumerate((0.6, 0.9, 1.2)):
        toy.add_run(f"m{place}", noise, seed=place)
        for fold in range(3):
            path = toy.paths.fold_predictions(f"m{place}", 42, 0, fold).with_suffix(".json")
            path.write_text(json.dumps(json.loads(path.read_text()) | part))
    kept: list[list[Page]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writing, "pages_of", lambda *asked: kept.append(pages_of(*asked)) or kept[0])
        assert run(report, toy.arguments("--quick")) == 0
    return here, made(here), {each.id: each for each in kept[0]}


def test_the_file_is_whole_small_and_loads_nothing(whole):
    here, page, _ = whole
    seen = Seen(page)
    assert report_path(here, "toy").stat().st_size < 1_000_000
    loading = [attrs for _, attrs in seen.tags if "src" in attrs or "srcset" in attrs]
    links = [attrs["href"] or "" for _, attrs in seen.tags if attrs.get("href")]
    assert loading == []
    assert [link for link in links if not link.startswith("#")] == []
    assert not re.search(r"url\((?!#)|@import", page)
    assert {tag for tag, _ in seen.tags} & {"link", "iframe", "object", "embed", "base"} == set()
    ids = [attrs["id"] for _, attrs in seen.tags if attrs.get("id")]
    assert sorted(ids) == sorted(set(ids)), "an id stands twice"
    assert {link[1:] for link in links} <= set(ids), "a link leads nowhere"


def test_every_page_says_what_is_known(whole):
    _, page, pages = whole
    assert list(pages) == list(fillers())
    said = Seen(page).words
    for words in ("Labels: share of rows", "Nearest relative in what was learnt from", "peak GB"):
        assert words in said
    for words in ("The 100 worst rows", "Doubtful labels", "Correlation of errors", "toy-report"):
        assert (words in said) == (words != "toy-report")
    assert "nothing is in the ledger yet" in said
    assert "words in common" in said
    assert "diverged" in said
    members = next(each for each in pages["cost"].blocks if isinstance(each, Table))
    assert [row[0].text for row in members.rows] == ["m0", "m1", "m2"]
    assert [row[1].sort for row in members.rows] == [pytest.approx(3.3)] * 3


def test_the_score_on_the_page_is_the_ensembles(whole, capsys):
    from pipeline.ensemble.__main__ import main as ensemble

    here, page, _ = whole
    capsys.readouterr()
    options = ["--root", str(here), "--config", "toy", "--dry-run", "--json"]
    assert run(ensemble, options) == 0
    scores = json.loads(capsys.readouterr().out)["scores"]
    assert f"<dd>{scores['honest']:.4f}</dd>" in page
    assert f"<dd>{scores['gain_over_best_single']:+.5f}</dd>" in page


def test_the_worst_row_is_the_worst(whole):
    _, _, pages = whole
    tables = [each for each in pages["errors"].blocks if isinstance(each, Table)]
    worst = next(each for each in tables if each.title.startswith("The "))
    errors = [row[1].sort for row in worst.rows]
    assert errors == sorted(errors, reverse=True)
    label, predicted = float(worst.rows[0][2].text), float(worst.rows[0][3].text)
    assert abs(label - predicted) == pytest.approx(errors[0], abs=0.006)


@pytest.mark.parametrize("evil", EVIL)
def test_what_a_text_holds_is_shown_and_does_nothing(evil):
    blocks = [
        Says(says=[evil], warns=[evil], title=evil),
        Table(title=evil, header=[evil], rows=[[text(evil)], [num(1.0)]], ids=["a", "b"]),
        bars("drawn", evil, [evil], {evil: [0.5]}, says=[evil]),
    ]
    page = render(evil, "today", [Page(id="one", title=evil, blocks=blocks)])
    seen = Seen(page)
    assert [tag for tag, _ in seen.tags if tag in ("img", "a", "script")].count("img") == 0
    assert [tag for tag, _ in seen.tags].count("script") == 2
    assert not any(key.startswith("on") for _, attrs in seen.tags for key in attrs)
    assert seen.words.count(" ".join(evil.split())) >= 6
    tips = json.loads(re.search(r'id="tips">(.*?)</script>', page, re.DOTALL)[1])
    assert evil in tips["drawn-0x0"][0][0]


def test_a_script_in_the_data_stays_a_text(whole):
    _, page, _ = whole
    assert "<script>alert" not in page
    assert page.count("&lt;script&gt;alert") > 100


def test_what_is_missing_is_a_sentence(tmp_path, capsys):
    toy = make_toy(tmp_path, "multiclass", "accuracy", sample=(["label"], ["art"]))
    assert run(report, toy.arguments("--json")) == 0
    told = json.loads(capsys.readouterr().out)
    assert Path(told["report"]).stat().st_size == told["bytes"]
    said = Seen(made(tmp_path)).words
    assert said.count("no run is complete yet. Train one") == 5
    assert "nothing is in the ledger yet" in said
    shutil.rmtree(tmp_path / "folds")
    assert run(report, toy.arguments()) == 0
    assert "there are no frozen folds" in Seen(made(tmp_path)).words


@pytest.mark.parametrize(
    ("problem", "metric", "words"),
    [
        ("multiclass", "accuracy", "Confusion: rows by true and predicted class"),
        # its curves are drawn in test_curves
        nightly("multilabel", "auc", "Hits and false alarms at every threshold (ROC)"),
    ],
)
def test_every_problem_type_has_its_pictures(tmp_path, problem, metric, words):
    toy = make_toy(tmp_path, problem, metric, folds=3, **SAMPLES.get(problem, {}))
    for place, noise in enumerate((0.8, 1.1)):
        toy.add_run(f"m{place}", noise, seed=place)
    assert run(report, toy.arguments()) == 0
    said = Seen(made(tmp_path)).words
    assert words in said
    assert "Not to be shown yet" not in said
    assert "The 100 worst rows" in said


SAMPLES = {"multiclass": {"sample": (["label"], ["art"])}}


@pytest.mark.nightly
def test_what_was_sent_stands_beside_what_was_expected(root):
    folder = root / "submissions"
    digest = json.loads((folder / FIRST).with_suffix(".json").read_text())["sha256"]
    news = News(file=FIRST, sha256=digest, by="ann", public=0.1, day="2026-03-01")
    record(folder, "toy", "pearson", news)
    told = ["--root", str(root), "--config", "toy", "--submissions.public_share", "0.5"]
    assert run(report, told) == 0
    said = Seen(made(root)).words
    assert FIRST in said
    assert "0.1000" in said
    assert "The public score against what was expected" in said


def test_curves_of_a_killed_attempt_end_where_the_next_one_goes_on(tmp_path):
    from pipeline.training.tracking import TensorBoard, curves_at

    assert curves_at(tmp_path / "none") == {}
    for hide, steps in ((None, [0, 10, 20]), (10, [10, 30])):
        tracker = TensorBoard(tmp_path / "logs", hide)
        for step in steps:
            tracker.log({"train_loss": step + 0.5 * (hide is None)}, step)
        tracker.close()
    assert curves_at(tmp_path / "logs") == {"train_loss": {0: 0.5, 10: 10.0, 30: 30.0}}


def test_attempts_of_one_second_are_read_in_the_order_in_which_they_began(tmp_path):
    """TensorBoard counts the files of a process in their names: 9, then 10."""
    from pipeline.training.tracking import TensorBoard, curves_at

    for attempt in range(12):
        tracker = TensorBoard(tmp_path, 0 if attempt else None)
        tracker.log({"train_loss": float(attempt)}, 0)
        tracker.close()
    assert curves_at(tmp_path) == {"train_loss": {0: 11.0}}


def test_the_greedy_path_ends_at_the_greedy_weights():
    from pipeline.ensemble.methods.weights import greedy, picks
    from tests.ensemble.toys import evidence_of

    found = evidence_of("regression", "pearson")
    chosen, gains = picks(found, found.folds)
    weights = np.bincount(chosen, minlength=4) / len(chosen)
    assert greedy(found, found.folds).weights == pytest.approx(weights)
    assert gains[-1] == max(gains)


@pytest.fixture
def opened(browser, whole):
    """The file in a browser; whatever its console says fails the test."""
    here, _, _ = whole
    browser.look("screen", "light")
    browser.open("about:blank")
    browser.open(report_path(here, "toy").as_uri())
    yield browser
    assert browser.complaints() == []


def turned_to(opened, name):
    """The page *name*, once the menu has brought it up."""
    opened.run("document.querySelector(arguments[0]).click()", f"nav a[href='#{name}']")
    return opened.wait_for(f"#{name}.shown")


def test_every_page_fits_and_can_be_read_on_a_screen_and_a_phone_by_day_and_night(opened):
    seen = set()
    for size, scheme in product(("screen", "phone"), ("light", "dark")):
        opened.look(size, scheme)
        seen.add(opened.run("return getComputedStyle(document.body).backgroundColor"))
        for name in fillers():
            turned_to(opened, name)
            assert len(opened.all(".page")) == 1
            assert opened.run(OVERFLOW) <= 0, f"{name} on a {size}"
            told = opened.run(CONTRAST, ".page.shown :is(p, td, th, h3, dt, dd), nav a")
            assert min(told) >= 4.5, f"{name} in {scheme}"
    assert len(seen) == 2, "light and dark differ"


def test_tables_are_sorted_and_filtered_by_hand(opened):
    turned_to(opened, "errors")
    block = next(
        each for each in opened.all(".page.shown .block") if "The 100 worst rows" in each.text
    )
    head = block.find_elements("css selector", "th button")[1]
    column = "return [...arguments[0].querySelectorAll('tbody tr')].map((row) => "
    column += "Number(row.cells[1].dataset.sort))"
    head.click()
    errors = opened.run(column, block)
    assert len(errors) == 100
    assert errors == sorted(errors, reverse=True)
    head.send_keys("\n")
    assert opened.run(column, block) == errors[::-1]
    field = block.find_element("css selector", ".filter")
    first = block.find_element("css selector", "tbody td").text
    rows = "return [...arguments[0].querySelectorAll('tbody tr')].filter((row) => "
    rows += "row.offsetParent).map((row) => row.cells[0].textContent)"
    for words, left in ((first, {first}), ("zzzz", set())):
        field.clear()
        field.send_keys(words)
        assert set(opened.run(rows, block)) == left


def test_a_mark_says_what_it_is_and_leads_to_its_row(opened):
    turned_to(opened, "errors")
    marks = opened.all(".page.shown [data-tip]")
    assert len(marks) > 100
    opened.point_at(marks[0])
    tip = opened.find("#tip")
    assert tip.text == marks[0].get_attribute("data-tip")
    box, width = tip.rect, SIZES["screen"][0]
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width
    opened.press("ESCAPE")
    assert not tip.is_displayed()
    leads = next(each for each in marks if each.get_attribute("data-to"))
    opened.run("arguments[0].dispatchEvent(new MouseEvent('click', {bubbles: true}))", leads)
    found = opened.wait_for("tr.to")
    assert found.get_attribute("id") == leads.get_attribute("data-to")
    assert found.text.split()[0] in leads.get_attribute("data-tip")
    assert opened.run("return document.activeElement.id") == found.get_attribute("id")


def test_it_is_used_with_the_keyboard_alone(opened):
    opened.press("TAB", "ENTER")
    assert opened.run("return document.activeElement.id") == "main"
    opened.run("document.querySelector('nav a').focus()")
    opened.press("ARROW_RIGHT", "ARROW_RIGHT", "ARROW_RIGHT")
    assert opened.find(".page.shown").get_attribute("id") == "errors"
    chart = opened.find(".page.shown svg [tabindex='0']")
    opened.run("arguments[0].focus()", chart)
    said = opened.find("#tip").text
    opened.press("ARROW_RIGHT")
    assert opened.find("#tip").text not in ("", said)
    while not opened.run("return document.activeElement.dataset.to"):
        opened.press("ARROW_LEFT")
    opened.press("ENTER")
    opened.wait_for("tr.to")


OTHERS = [language for language in LANGUAGES if language != "en"]
OF_THE_TOY = re.compile(
    r"m\d(: .*|, fold .*)?|(train|test|holdout|dev)\.csv|text_?\d|pearson|[0-9a-f]{12}"
    r"|toy: regression, metric pearson|mean|best|greedy|simplex|[\d.]+ to [\d.]+(: .*)?|label"
)
"""Names of files, columns, runs and methods: they are the same in every language."""


@pytest.mark.parametrize("language", OTHERS)
def test_every_word_of_the_page_is_said_in_every_language(whole, language):
    _, page, pages = whole
    words = words_of(language)
    other = render("toy", "now", list(pages.values()), words)
    assert {each for each in words.missing if not OF_THE_TOY.fullmatch(each)} == set()
    assert f'<html lang="{language}">' in other
    assert page.count("<td") == other.count("<td")
    numbers = [
        [said for said in Seen(text).said if said.strip("-+").isdigit()] for text in (page, other)
    ]
    assert numbers[0] == numbers[1]


@pytest.mark.parametrize("language", OTHERS)
def test_what_a_sentence_leaves_open_is_filled_in_every_language(language):
    for english, said in words_of(language).table.items():
        assert set(PLACE.findall(said.replace("!t}", "}"))) == set(PLACE.findall(english)), english


def test_words_of_the_user_are_left_alone_and_ours_are_not():
    words = Words("xx", {"weight": "W", "gain: {what}": "G {what!t}", "real": "R"})
    table = Table(
        title="weight", header=["weight", "real"], rows=[[text("weight"), text("real", label=True)]]
    )
    page = Seen(render("toy", "now", [Page(id="a", title="gain: real", blocks=[table])], words))
    assert "G R" in page.said
    assert [each for each in page.said if each in ("weight", "W", "R")] == [
        "W",
        "W",
        "R",
        "weight",
        "R",
    ]


def test_a_language_that_is_not_there_is_refused(whole, capsys):
    assert run(report, ["--root", str(whole[0]), "--config", "toy", "--lang", "xx"]) == 2
    assert "ko" in capsys.readouterr().err


def test_ensemble_names_the_report_and_refreshes_it_when_told_to(root, capsys):
    from pipeline.ensemble.__main__ import main as ensemble

    path = report_path(root, "toy")
    options = ["--root", str(root), "--config", "toy"]

    def last(*more: str) -> str:
        capsys.readouterr()
        assert run(ensemble, [*options, *more]) == 0
        return capsys.readouterr().out.splitlines()[-1]

    assert last() == f"report: --report would write {path}, for a browser"
    assert not path.exists()
    path.write_text("of an earlier day", encoding="utf-8")
    os.utime(path, (0, 0))
    assert "(as of 19" in last()
    assert path.read_text("utf-8") == "of an earlier day"
    assert re.fullmatch(rf"report: {re.escape(str(path))} \([\d.]+ [kM]B\)", last("--report"))
    assert "<html" in path.read_text("utf-8")


def test_a_document_is_wrong_by_its_pieces_and_says_them_in_words():
    def found(*rows: set[tuple[int, int, str]]) -> np.ndarray:
        return np.array([*rows, None], dtype=object)[:-1]

    words = np.array(["Ann", "Lee", "slept", "Bo", "ran"], dtype=object)
    after = np.array([" ", " ", "", " ", ""], dtype=object)
    names = np.array(["a", "a", "a", "b", "b"], dtype=object)
    task = TaskConfig(problem="tags", metric="entity-f1", classes=["O", "B-PER", "I-PER"])
    errors = DocumentErrors(
        kind=task.problem_type,
        rows=Rows(ids=names[[0, 3]], texts=words[[0, 3], None]),
        truth=found({(0, 1, "PER")}, set()),
        target=np.empty(0),
        predicted=found({(0, 0, "PER")}, {(3, 3, "PER"), (4, 4, "PER")}),
        members=[],
        names=[],
        outputs=[],
        classes=task.classes,
        limits=None,
        metric=get_metric("entity-f1", task),
        fold_of_row=np.zeros(2),
        facts=None,
        units=Units(document=names, place=np.array([0, 1, 2, 0, 1]), after=after),
        texts=words,
        chances=np.full((5, 3), 1 / 3),
        tagged=np.array([[1.0], [2], [0], [0], [0]]),
    )
    assert errors.of(errors.predicted).tolist() == [2, 2], "one missing, one that is none; two"
    assert (errors.label(0), errors.label(1)) == ("Ann Lee (PER)", "none")
    assert errors.said(errors.predicted[1]) == "Bo (PER); ran (PER)"
    cut = {(by, name): here.tolist() for by, name, here in errors.label_slices([])}
    assert cut["holds", "PER"] == [True, False]
    answered = SPAN.amiss({(3, 5, "")}, {(0, 2, ""), (3, 5, "")})
    assert (answered, SPAN.amiss(set(), {(0, 2, "")}), SPAN.amiss(set(), set())) == (0, 1, 0)


def test_errors_are_shown_by_the_letters_a_row_is_written_in():
    texts = np.array([["비가 온다"], ["it rains"], ["눈이 온다"], ["no snow"]], dtype=object)
    rows = SimpleNamespace(texts=texts, features={"source": np.array(["a", "a", "b", "b"])})
    found: Any = SimpleNamespace(
        rows=rows, facts=None, fold_of_row=np.zeros(4), label_slices=lambda targets: []
    )
    disk: Any = SimpleNamespace(
        competition=SimpleNamespace(columns=SimpleNamespace(targets=["label"]))
    )
    cut = {(by, name): here.tolist() for by, name, here in slices_of(disk, found)}
    assert cut["alphabet", "hangul"] == [True, False, True, False]
    assert cut["alphabet", "latin"] == [False, True, False, True]
    assert cut["source", "b"] == [False, False, True, True]
