import csv
import json
import re
import subprocess
import sys
import time
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from jsonargparse import Namespace

from pipeline.base.command import run
from pipeline.base.files import read_json
from pipeline.ensemble import outcome
from pipeline.ensemble.__main__ import CallsLine, main
from pipeline.ensemble.__main__ import _command as command_told
from pipeline.ensemble.honest import Gain
from pipeline.ensemble.outcome import Outcome
from pipeline.finalists import main as finalists
from pipeline.ledger import main as ledger
from pipeline.metrics import get_metric
from pipeline.oof.predictions import read_run
from pipeline.rebuild import main as rebuild
from pipeline.report import ensemble_answer as answer
from pipeline.report.ensemble_answer import verdict_text
from tests import blendable
from tests.blendable import Toy
from tests.ensemble.toys import CLASSES, member
from tests.nightly import every, nightly

make = partial(blendable.make, folds=3)


@pytest.fixture(autouse=True)
def wide_pages(monkeypatch):
    """Tests side by side are told of a narrow terminal, which cuts tables."""
    monkeypatch.delenv("COLUMNS", raising=False)


def call(toy: Toy, *more: str) -> int:
    return run(main, toy.arguments(*more))


def submitted(toy: Toy) -> list[list[str]]:
    (path,) = (toy.root / "submissions").glob("*.csv")
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.reader(stream))


def provenance(toy: Toy) -> dict:
    (path,) = (toy.root / "submissions").glob("*.json")
    return read_json(path)


@pytest.fixture
def toy(tmp_path) -> Toy:
    """Regression, three unlike runs."""
    made = make(tmp_path, "regression", "pearson", holdout=True, task="label_range: [0, 5]")
    for place, noise in enumerate((0.6, 0.8, 1.0)):
        made.add_run(f"m{place}", noise, seed=place)
    return made


KINDS = [
    ("regression", "pearson", {"texts": 2}),
    ("regression", "mcrmse", {"targets": ["content", "wording", "style"]}),
    ("regression", "qwk", {}),
    ("binary", "auc", {}),
    ("binary", "f1", {"sample": (["target"], ["0"])}),
    ("multiclass", "macro-f1", {"sample": (["topic"], ["art"])}),
    ("multiclass", "log-loss", {"sample": (["world", "art", "sport", "business"], ["0.25"] * 4)}),
    ("multilabel", "auc", {}),
    ("multilabel", "f1", {"sample": (["insult", "toxic", "threat"], ["0"] * 3)}),
]


@pytest.mark.parametrize(("problem", "metric", "more"), every(2, KINDS))
def test_every_kind_of_problem_ends_in_a_file_that_fits_the_sample(
    tmp_path, capsys, problem, metric, more
):
    toy = make(tmp_path, problem, metric, n=96, **more)
    if metric == "qwk":
        toy = whole_numbers(tmp_path / "whole")
    for place, noise in enumerate((0.6, 0.9)):
        toy.add_run(f"m{place}", noise, seed=place)
    assert call(toy, "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    rows = submitted(toy)
    sample = toy.tables.sample
    assert rows[0] == [sample.id_column, *sample.columns]
    assert [row[0] for row in rows[1:]] == sample.ids.tolist()
    cells = [cell for row in rows[1:] for cell in row[1:]]
    if answer["form"] == "label":
        allowed = CLASSES if problem == "multiclass" else [str(number) for number in range(6)]
        assert set(cells) <= set(allowed)
    else:
        assert np.isfinite([float(cell) for cell in cells]).all()
    assert answer["scores"]["honest"] is not None
    assert answer["submission"].endswith(f"toy-001-{answer['method']}.csv")


def whole_numbers(root) -> Toy:
    """A regression whose labels are 0 to 5, as qwk wants them."""
    toy = make(root, "regression", "qwk", n=96, sample=(["score"], ["1"]))
    path = root / "data" / "train.csv"
    with path.open(encoding="utf-8", newline="") as stream:
        header, *rows = list(csv.reader(stream))
    for row in rows:
        row[-1] = str(round(float(row[-1])))
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([header, *rows])
    toy.paths.folds_csv.unlink()
    toy.paths.passport.unlink()
    from pipeline.data.tables import load
    from pipeline.folds.frozen import frozen

    toy.tables = load(toy.competition, root)
    toy.folds = frozen(toy.competition, toy.paths, toy.tables.train)
    return toy


def test_the_file_holds_the_weighted_mean_of_the_fold_learners(toy):
    assert call(toy, "--method", "mean") == 0
    none = toy.tables.holdout.ids
    runs = [
        read_run(toy.paths.run(f"m{i}"), toy.folds.ids, toy.tables.test.ids, none) for i in range(3)
    ]
    expected = np.mean([run.test[:, 0] for run in runs], axis=0)
    found = np.array([row[1] for row in submitted(toy)[1:]], dtype=np.float32)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_the_answer_stands_first_in_five_lines(toy, capsys):
    assert call(toy, "--method", "mean") == 0
    first = capsys.readouterr().out.splitlines()[:6]
    assert first[0].startswith("answer   mean of m0, m1, m2: honest pearson ")
    assert " over the best single model: " in first[1]
    assert "carries the score" in first[2]
    assert first[3].strip() == "no run is left out"
    assert first[4].startswith("next ")
    assert first[5] == ""


def test_a_member_without_which_little_is_left_is_said_to_carry_the_score(toy, capsys):
    toy.add_run("m3", 0.05, seed=9)
    assert call(toy, "--json", "--dry-run", "--method", "greedy") == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["carried_by"] == "m3"
    assert "m3 carries the score (" in printed.err
    assert "it was trained here" in printed.err


@pytest.mark.parametrize(
    ("costs", "named"), [([0.10, 0.22], "b"), ([0.10, None], "a"), ([0.05, 0.09], None)]
)
def test_of_two_members_that_carry_the_score_the_one_worth_more_is_named(costs, named):
    lines = [SimpleNamespace(name=n, cost_without=c) for n, c in zip("ab", costs, strict=True)]
    outcome = SimpleNamespace(
        members=SimpleNamespace(names=["a", "b"]),
        assessment=SimpleNamespace(members=lines),
        metric=SimpleNamespace(best=1.0),
        honest=0.805,
    )
    assert Outcome.carrier.fget(outcome) == named


def test_the_page_says_what_was_read_chosen_and_written(toy, capsys):
    assert call(toy) == 0
    page = capsys.readouterr().out
    for piece in (
        "toy: 3 runs, scored by pearson (larger is better)",
        "120 train, 30 test, 40 holdout; 3 folds",
        f"passport {toy.folds.digest[:16]}",
        "loss without it",
        "in-sample",
        "over the best single model, 95 % interval",
        "Correlation of errors",
        "to 0 … 5; ",
        "decided  nothing: no decision clears its hurdle",
        "kaggle competitions submit toy -f ",
    ):
        assert piece in page
    lines = [line for line in page.splitlines() if str(toy.root) not in line]
    assert max(map(len, lines)) < 200


BENT = [
    ("binary", "f1", (["target"], ["0"]), "threshold"),
    ("multiclass", "macro-f1", (["topic"], ["art"]), "offsets"),
]


@pytest.mark.parametrize(
    ("problem", "metric", "sample", "name"),
    [nightly(*BENT[0]), BENT[1]],  # thresholds: the next test
)
def test_the_best_single_model_gets_decisions_of_its_own_where_the_blend_has_them(
    tmp_path, capsys, monkeypatch, problem, metric, sample, name
):
    """Else a threshold that only the blend has would be told as the gain of blending."""

    def leaning(problem, truth, noise, seed):
        found = member(problem, truth, noise, seed)
        return found**4 if problem == "binary" else found * np.array([6.0, 1, 1, 1])

    monkeypatch.setattr(blendable, "member", leaning)
    toy = make(tmp_path, problem, metric, n=400, m=60, sample=sample)
    for place in range(2):
        toy.add_run(f"m{place}", 0.8, seed=place)
    found = {}
    for method in ("mean", "best"):
        assert call(toy, "--json", "--dry-run", "--method", method) == 0
        found[method] = json.loads(capsys.readouterr().out)["scores"]
    gain = found["mean"]["honest"] - found["best"]["honest"]
    assert found["mean"]["gain_over_best_single"] == pytest.approx(gain)
    low, high = found["mean"]["interval_95"]
    assert low < gain < high


def test_the_best_single_model_gets_a_threshold_though_the_blend_needs_none(
    tmp_path, capsys, monkeypatch
):
    """Two models lean to one side each, and their mean to none."""

    def leaning(problem, truth, noise, seed):
        found = member(problem, truth, noise, seed)
        return found**4 if seed[0] == 0 else 1 - (1 - found) ** 4

    monkeypatch.setattr(blendable, "member", leaning)
    toy = make(tmp_path, "binary", "f1", n=400, m=60, sample=(["target"], ["0"]))
    for place in range(2):
        toy.add_run(f"m{place}", 0.8, seed=place)
    found, page = {}, ""
    for method in ("best", "mean"):
        assert call(toy, "--json", "--dry-run", "--method", method) == 0
        printed = capsys.readouterr()
        found[method], page = json.loads(printed.out), printed.err
    applied = {method: answer["decisions"]["applied"] for method, answer in found.items()}
    assert applied == {"mean": "nothing", "best": "threshold"}
    mean, best = (found[method]["scores"] for method in ("mean", "best"))
    assert mean["gain_over_best_single"] == pytest.approx(mean["honest"] - best["honest"])
    assert mean["honest"] - best["honest_undecided"] > mean["gain_over_best_single"] + 0.02
    assert "over the best single model with threshold of its own" in page


def test_the_gain_over_the_plain_mean_is_between_the_two_files(tmp_path, capsys, monkeypatch):
    """Models that lean to yes with few: a fit brings the blend to its threshold, the mean has one
    of its own."""

    def leaning(problem, truth, noise, seed):
        return member(problem, truth, noise, seed) ** 4

    monkeypatch.setattr(blendable, "member", leaning)
    toy = make(tmp_path, "binary", "f1", n=300, m=60, sample=(["target"], ["0"]))
    for place in range(2):
        toy.add_run(f"m{place}", 0.8, seed=place)
    found, pages = {}, {}
    for method in ("mean", "logistic"):
        assert call(toy, "--json", "--dry-run", "--method", method) == 0
        printed = capsys.readouterr()
        found[method], pages[method] = json.loads(printed.out)["scores"], printed.err
    mean, fitted = (found[method]["honest"] for method in ("mean", "logistic"))
    assert mean > found["mean"]["honest_undecided"] + 0.02
    told = re.search(
        r"([-+]\d\.\d{5}) over the plain mean with threshold of its own", pages["logistic"]
    )
    assert float(told[1]) == pytest.approx(fitted - mean, abs=1e-5)


@pytest.mark.parametrize(
    ("single", "mean", "named"),
    [
        ((-0.09, 0.05), (-0.07, 0.01), ("best", 0.59)),
        ((0.01, 0.05), (-0.07, 0.01), ("mean", 0.57)),
        ((-0.04, 0.05), (0.02, 0.01), None),  # within a standard error
    ],
)
def test_a_simple_method_that_scores_higher_once_decided_is_named(single, mean, named):
    gains = [Gain(gain, error, gain - 0.1, gain + 0.1) for gain, error in (single, mean)]
    this = SimpleNamespace(
        honest=0.5, doubts=[], members=SimpleNamespace(names=["a", "b"]),
        over_single=gains[0], over_mean=gains[1], metric=SimpleNamespace(as_gain=float),
        decided=SimpleNamespace(gain=0.5),
    )  # fmt: skip
    found = Outcome.plainer.fget(this)
    if named is None:
        assert found is None
        return
    assert found[:2] == (named[0], pytest.approx(named[1]))
    said = answer._plainer(*found, "f1")
    assert (
        f"honest f1 {named[1]:.4f} (+{found[2].difference:.4f}: better, which may be luck)" in said
    )
    assert said.endswith(f"add --method {named[0]}")


@pytest.mark.parametrize(
    ("decided", "plain", "low", "high", "undecided"),
    [
        ((0.02, 0.13), (0.45, 0.8), 0.02, 0.4, 1.5),
        ((0.07, 0.4), (0.45, 0.6), 0.05, 0.4, 2.5),  # its own threshold does the model harm
    ],
)
def test_the_gain_between_decided_models_is_no_surer_than_that_of_undecided_ones(
    monkeypatch, decided, plain, low, high, undecided
):
    """On either side the wider interval counts: around 0.1 with decisions, around 0.5 without."""
    gains = [Gain(0.1, 0.01, *decided), Gain(0.5, 0.02, *plain)]
    nest = SimpleNamespace(draws=lambda folds: None, evidence=SimpleNamespace(
        folds=[], problem="binary", truth=None))  # fmt: skip
    compared = []
    judge = SimpleNamespace(score=sum, gain=lambda *both: compared.append(both) or gains[0])
    single = SimpleNamespace(
        decision="threshold", predicted=[1], anew=[2], undecided=[undecided], chosen="a threshold"
    )
    monkeypatch.setattr(outcome, "decide_on", lambda *_: single)
    monkeypatch.setattr(outcome, "Judge", lambda *_: judge)
    assessment = SimpleNamespace(nest=nest, requested="auto", members=[1, 2])
    blend = SimpleNamespace(lines=["…"], decision="threshold", predicted=[3])
    asked = (None, None, assessment, None, (0, 1), blend)
    found, told = outcome._over_simple(*asked, "best", gains[1])
    assert outcome._over_simple(*asked, "auto", gains[1]) == (gains[1], "nothing")
    assert (found.difference, found.error) == (0.1, 0.02)
    assert told == ("nothing" if undecided > 2 else "a threshold")
    assert compared == [([3], [max(2, undecided)])]
    assert (found.low, found.high) == pytest.approx((low, high))


NEAR_THE_END = [
    nightly("binary", "auc", 0.35, {}),  # a range between two ends: macro-f1
    nightly("regression", "pearson", 0.35, {}),
    ("multiclass", "macro-f1", 0.3, {"sample": (["topic"], ["art"])}),
    ("regression", "rmse", 0.35, {}),
]


@pytest.mark.parametrize(("problem", "metric", "noise", "more"), NEAR_THE_END)
def test_no_range_leaves_what_the_metric_can_be(tmp_path, capsys, problem, metric, noise, more):
    """Few rows and a score near the end of the scale: half a range would lie beyond it."""
    toy = make(tmp_path, problem, metric, n=60, m=40, holdout=True, **more)
    for place in range(2):
        toy.add_run(f"m{place}", noise, seed=place)
    assert call(toy, "--json", "--public-share", "0.3") == 0
    printed = capsys.readouterr()
    scores = json.loads(printed.out)["scores"]
    assert set(scores["expected"]) == {"whole", "public", "private"}
    ranges = [(part["low"], part["score"], part["high"]) for part in scores["expected"].values()]
    told = re.findall(r"(-?\d\.\d{4}) to (-?\d\.\d{4})[,)]", printed.err)
    ranges += [(float(low), float(low), float(high)) for low, high in told]
    assert len(ranges) >= 6
    least, most = get_metric(metric, toy.competition.task).record.bounds
    assert all(least <= low <= score <= high <= most for low, score, high in ranges)
    assert run(ledger, toy.arguments("add", provenance(toy)["file"])) == 0
    assert run(ledger, toy.arguments()) == 0
    listed = re.findall(r"(-?\d\.\d{4}) … (-?\d\.\d{4})", capsys.readouterr().out)
    assert len(listed) == 2
    assert all(least <= float(low) <= float(high) <= most for low, high in listed)


@pytest.mark.parametrize(("problem", "metric", "sample", "name"), BENT)
def test_what_was_decided_stands_in_the_file(
    tmp_path, capsys, monkeypatch, problem, metric, sample, name
):
    """Members that lean to one side: at 0.5, or by the largest, they would be written otherwise."""

    def leaning(problem, truth, noise, seed):
        found = member(problem, truth, noise, seed)
        return found**4 if problem == "binary" else found * np.array([6.0, 1, 1, 1])

    monkeypatch.setattr(blendable, "member", leaning)
    toy = make(tmp_path, problem, metric, n=400, m=60, sample=sample)
    toy.add_run("m0", 0.8)
    assert call(toy, "--method", "best") == 0
    decisions = provenance(toy)["decisions"]
    assert decisions["applied"] == name
    assert f"decided  {name}: " in capsys.readouterr().out
    run_ = read_run(
        toy.paths.run("m0"), toy.folds.ids, toy.tables.test.ids, toy.tables.test.ids[:0]
    )
    predicted = run_.test
    if problem == "binary":
        expected = [
            str(int(value >= decisions["fitted"]["levels"][0])) for value in predicted[:, 0]
        ]
        plain = [str(int(value >= 0.5)) for value in predicted[:, 0]]
    else:
        offsets = np.array(decisions["fitted"]["offsets"])
        expected = [CLASSES[place] for place in (np.log(predicted) + offsets).argmax(axis=1)]
        plain = [CLASSES[place] for place in predicted.argmax(axis=1)]
    found = [row[1] for row in submitted(toy)[1:]]
    assert found == expected != plain
    assert provenance(toy)["scores"]["honest"] > provenance(toy)["scores"]["honest_undecided"]


def test_the_number_beside_a_file_is_that_of_the_file_wherever_it_stands(
    tmp_path, capsys, monkeypatch
):
    """Nothing is applied to the file, but one fold would clip, and so score higher."""

    def wild(problem, truth, noise, seed):
        random = np.random.default_rng(seed)
        found = truth + noise * random.normal(size=truth.shape)
        return found + 2 * (truth > 4.5) * random.random(truth.shape)

    monkeypatch.setattr(blendable, "member", wild)
    toy = make(tmp_path, "regression", "pearson", task="label_range: [0, 5]")
    toy.add_run("m0", 0.8, seed=9)
    assert call(toy, "--json") == 0
    printed = capsys.readouterr()
    answer = json.loads(printed.out)
    assert answer["decisions"]["applied"] == "nothing"
    assert set(answer["decisions"]["without_one_fold"]) == {"nothing", "clip"}
    honest = answer["scores"]["honest"]
    told = f"{honest:.4f}"
    assert honest == pytest.approx(answer["members"][0]["score"], abs=1e-6)
    assert answer["scores"]["honest_undecided"] == pytest.approx(honest)
    assert answer["scores"]["expected_from"] == honest
    assert f"best of m0: honest pearson {told} (leaderboard" in printed.err
    assert f"\nhonest   {told} (in-sample {told})\n" in printed.err
    assert "the honest score is that of the file, to which nothing is done" in printed.err
    assert f"honest pearson {told}" in answer["submit"]
    assert provenance(toy)["scores"]["honest"] == honest
    file = provenance(toy)["file"]
    options = toy.arguments()
    for command, words in ((ledger, ["add", file]), (ledger, []), (finalists, ["--all"])):
        assert run(command, [*options, *words]) == 0
        assert told in capsys.readouterr().out
    assert run(rebuild, [file, "--root", str(toy.root)]) == 0
    assert f"honest   pearson {told}\n" in capsys.readouterr().out


def test_the_leaderboards_parts_are_told_and_kept(tmp_path, capsys):
    toy = make(tmp_path, "regression", "pearson")
    toy.add_run("m0", 0.8)
    assert call(toy, "--public-share", "0.4") == 0
    page = capsys.readouterr().out
    expected = provenance(toy)["scores"]["expected"]
    assert {name: part["rows"] for name, part in expected.items()} == {
        "whole": 30, "public": 12, "private": 18,
    }  # fmt: skip
    for name, part in expected.items():
        low, score, high = (f"{part[key]:.4f}" for key in ("low", "score", "high"))
        assert low < score < high
        assert f"{name:<7} {score} (90 %: {low} to {high}, {part['rows']} rows)" in page
    assert call(toy, "--public-share", "1.4") == 2
    assert "submissions.public_share is 1.4" in capsys.readouterr().err


def test_the_provenance_names_everything_the_file_was_made_from(toy):
    assert call(toy, "--method", "simplex", "--message", "first try") == 0
    found = provenance(toy)
    manifest = read_json(toy.paths.run_manifest("m1"))
    assert [each["name"] for each in found["members"]] == ["m0", "m1", "m2"]
    assert found["members"][1]["parts"] == manifest["parts"]
    assert sum(each["weight"] for each in found["members"]) == pytest.approx(1)
    assert (found["method"], found["message"]) == ("simplex", "first try")
    assert found["passport"] == toy.folds.digest
    assert found["config"]["task"]["metric"] == "pearson"
    assert set(found["scores"]) >= {"honest", "in_sample", "verdict", "holdout"}
    assert set(found["versions"]) >= {"foldstack", "numpy"}


def test_the_same_command_again_writes_nothing_new(toy, capsys):
    call(toy)
    before = sorted((toy.root / "submissions").glob("toy*"))
    capsys.readouterr()
    assert call(toy) == 0
    assert sorted((toy.root / "submissions").glob("toy*")) == before
    assert "which stands for them: nothing new was written" in capsys.readouterr().out


def test_a_dry_run_writes_nothing(toy, capsys):
    assert call(toy, "--dry-run") == 0
    assert "dry run: nothing was written" in capsys.readouterr().out
    assert not (toy.root / "submissions").exists()


def test_a_pictures_name_is_looked_at_before_anything_is_computed(toy, capsys):
    assert call(toy, "--figure", "errors.gif") == 2
    said = capsys.readouterr()
    assert "expected a name that ends in .png, .svg or .pdf" in said.err
    assert not said.out


def test_a_picture_that_cannot_be_written_is_named(toy, capsys):
    blocked = toy.root / "file"
    blocked.write_text("")
    assert call(toy, "--dry-run", "--figure", str(blocked / "errors.png")) == 4
    assert f"cannot write {blocked / 'errors.png'}" in capsys.readouterr().err


def test_json_is_one_object_and_the_page_goes_to_stderr(toy, capsys):
    assert call(toy, "--json", "--method", "greedy") == 0
    printed = capsys.readouterr()
    answer = json.loads(printed.out)
    assert answer["method"] == "greedy"
    assert {each["name"] for each in answer["methods"]} == {
        "best", "mean", "simplex", "greedy", "nonnegative-ridge", "ridge", "layers",
    }  # fmt: skip
    assert len(answer["error_correlation"]) == 3
    assert "Members" in printed.err


def test_named_runs_alone_are_blended(toy, capsys):
    assert call(toy, "--runs", "m2", "m0", "--json") == 0
    assert [m["name"] for m in json.loads(capsys.readouterr().out)["members"]] == ["m2", "m0"]


def test_one_run_is_submitted_as_it_is(toy, capsys):
    assert call(toy, "--runs", "m1", "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["method"], answer["reason"]) == ("best", "there is one run")
    best = answer["methods"][0]
    assert best["honest"] == best["in_sample"] == answer["scores"]["honest_undecided"]
    assert answer["members"][0]["cost_without"] is None


@pytest.mark.parametrize("method", ["mean", "simplex", "greedy", "ridge"])
def test_one_run_can_be_given_to_any_method(toy, method):
    assert call(toy, "--runs", "m1", "--method", method) == 0


def test_the_holdout_is_scored_and_never_fitted_on(toy, capsys):
    call(toy, "--json", "--dry-run")
    answer = json.loads(capsys.readouterr().out)
    metric = np.corrcoef
    run_ = read_run(toy.paths.run("m0"), toy.folds.ids, toy.tables.test.ids, toy.tables.holdout.ids)
    expected = metric(run_.holdout[:, 0], toy.truth["dev"][:, 0])[0, 1]
    assert answer["members"][0]["holdout"] == pytest.approx(expected, abs=1e-5)
    assert answer["scores"]["holdout"] > 0.9


def test_no_runs_name_the_command_that_trains_one(tmp_path, capsys):
    toy = make(tmp_path, "regression", "pearson", n=60)
    assert call(toy) == 2
    message = capsys.readouterr().err
    assert "there is no complete run of toy" in message
    assert f"python -m pipeline.cv --root {tmp_path} --config" in message


def test_an_unknown_run_names_those_there_are(toy, capsys):
    assert call(toy, "--runs", "m0", "nope") == 2
    assert "there is no run nope; complete runs: m0, m1, m2" in capsys.readouterr().err


def test_an_incomplete_run_names_its_missing_folds(toy, capsys):
    toy.add_fold("half", 1, 1.0)
    assert call(toy, "--runs", "half") == 2
    assert "run half is not complete: seed-42 lacks fold-0, fold-2" in capsys.readouterr().err
    assert call(toy) == 0
    assert "half left out: seed-42 lacks fold-0, fold-2" in capsys.readouterr().out


def test_mixed_passports_are_refused_naming_both_and_the_first_rows(toy, capsys):
    moved = toy.folds.fold_of_row.copy()
    place = int(np.flatnonzero(moved[0] == 0)[0])
    moved[0, place] = 1
    old = type(toy.folds)(
        ids=toy.folds.ids,
        fold_of_row=moved,
        group_of_row=toy.folds.group_of_row,
        count=toy.folds.count,
        digest="f" * 64,
    )
    today, toy.folds = toy.folds, old
    toy.add_run("old", 0.5)
    assert call(toy) == 5
    message = capsys.readouterr().err
    assert f"{today.digest[:16]} (toy.csv, today): m0, m1, m2" in message
    row = f"{today.ids[place]} (fold 1, now 0)"
    assert f"ffffffffffffffff: old; 1 of 120 rows are in another fold, first {row}" in message
    assert "or leave out old: --runs m0 m1 m2" in message
    assert not (toy.root / "submissions").exists()
    assert call(toy, "--runs", "m0", "m1") == 0


def test_a_passport_of_the_same_folds_and_labels_but_other_texts_is_refused(toy, capsys):
    toy.add_run("old", 0.5, passport="e" * 64)
    assert call(toy) == 5
    message = capsys.readouterr().err
    assert "in the same fold, but texts or groups have changed since" in message
    assert "the labels are the same" in message


def test_a_run_that_lies_about_its_folds_is_found_out(toy, capsys):
    toy.folds.fold_of_row[0] = np.roll(toy.folds.fold_of_row[0], 1)
    toy.add_run("liar", 0.5)
    assert call(toy) == 5
    assert "run liar claims the passport" in capsys.readouterr().err


def test_a_run_with_its_classes_in_another_order_is_refused(tmp_path, capsys):
    toy = make(tmp_path, "multiclass", "accuracy", n=60, sample=(["topic"], ["art"]))
    toy.add_run("good", 0.5)
    toy.add_run("turned", 0.5, outputs=CLASSES[::-1])
    assert call(toy) == 5
    assert "run turned predicts the columns ['world', 'sport'" in capsys.readouterr().err


def test_a_run_that_chose_its_epochs_on_held_out_rows_needs_force(toy, capsys):
    toy.add_run("lucky", 0.3, selection="best-on-valid")
    assert call(toy, "--dry-run") == 0
    assert "lucky left out: its checkpoints were chosen on the held-out rows" in (
        capsys.readouterr().out
    )
    assert call(toy, "--runs", "lucky") == 2
    assert "--force blends it all the same" in capsys.readouterr().err
    assert call(toy, "--force", "--json", "--dry-run") == 0
    printed = capsys.readouterr()
    assert "lucky" in [member["name"] for member in json.loads(printed.out)["members"]]
    assert "lucky is blended (--force) although" in printed.err


def test_the_same_model_twice_is_flagged(toy, capsys):
    toy.add_run("twin", 0.6, seed=0)
    assert call(toy, "--dry-run") == 0
    assert "twin is left out: its predictions correlate" in capsys.readouterr().out


def test_test_rows_that_are_not_finite_are_refused(toy, capsys):
    toy.truth["test"][3] = np.nan
    toy.add_run("broken", 0.5)
    assert call(toy) == 5
    assert (
        "run broken has 3 predictions of test rows that are not finite" in capsys.readouterr().err
    )
    assert not (toy.root / "submissions").exists()


def test_a_damaged_manifest_is_named(toy, capsys):
    toy.paths.run_manifest("m1").write_text('{"name": "m1"}')
    assert call(toy) == 5
    assert "lacks passport, outputs, seeds, repeats, folds, parts" in capsys.readouterr().err


def test_a_changed_part_is_found_out(toy, capsys):
    path = toy.paths.fold_predictions("m1", 42, 0, 2)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert call(toy) == 5
    told = capsys.readouterr().err
    assert "fold-2.npz has changed since it was written" in told
    assert "python -m pipeline.doctor says how to mend it" in told
    path.unlink()
    assert call(toy) == 5
    assert "fold-2.npz is missing; python -m pipeline.doctor says how" in capsys.readouterr().err


def test_a_constant_run_is_scored_as_undefined_and_gets_no_weight(toy, capsys):
    toy.truth["train"][:] = 2.5
    toy.add_run("flat", 0.0)
    assert call(toy, "--json", "--dry-run", "--method", "greedy") == 0
    flat = json.loads(capsys.readouterr().out)["members"][0]
    assert (flat["name"], flat["score"], flat["weight"]) == ("flat", None, 0.0)


def test_what_is_not_known_of_constant_runs_is_null_in_json(toy, capsys):
    toy.truth["train"][:] = 2.5
    toy.add_run("flat", 0.0)
    toy.add_run("level", 0.0)
    words = ["--runs", "flat", "level", "m0", "--method", "mean", "--task.metric", "spearman"]
    assert call(toy, *words, "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["submission"]
    assert call(toy, "--runs", "flat", "m0", *words[4:], "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    costs = {each["name"]: each["cost_without"] for each in answer["members"]}
    assert costs["m0"] is None, "without it there is no score"


def test_only_constant_runs_end_in_the_metrics_reason(tmp_path, capsys):
    toy = make(tmp_path, "regression", "pearson", n=60)
    toy.truth["train"][:] = 2.5
    toy.add_run("flat", 0.0)
    assert call(toy) == 3
    assert "all predictions are the same" in capsys.readouterr().err


def test_an_unknown_method_is_refused_with_those_there_are(toy, capsys):
    assert call(toy, "--method", "magic") == 2
    assert "simplex" in capsys.readouterr().err


def test_seeds_and_repeats_are_averaged(tmp_path):
    """Two seeds of one model: the run's mean is what counts, and both seeds' parts are named."""
    toy = make(tmp_path, "regression", "rmse", n=60)
    toy.add_run("m", 0.5)
    for fold in range(toy.folds.count):
        source = toy.paths.fold_predictions("m", 42, 0, fold)
        for suffix in (".npz", ".json"):
            copy = toy.paths.fold_predictions("m", 43, 0, fold).with_suffix(suffix)
            copy.parent.mkdir(exist_ok=True)
            copy.write_bytes(source.with_suffix(suffix).read_bytes())
    manifest = read_json(toy.paths.run_manifest("m"))
    parts = manifest["parts"] | {
        name.replace("42", "43"): digest for name, digest in manifest["parts"].items()
    }
    toy.paths.run_manifest("m").write_text(
        json.dumps(manifest | {"seeds": [42, 43], "parts": parts})
    )
    assert call(toy) == 0
    assert provenance(toy)["members"][0]["parts"] == parts


@pytest.mark.nightly  # test_layers asks every command for help
def test_help_is_quick_and_needs_no_torch():
    began = time.monotonic()
    code = (
        "import sys; from pipeline.ensemble.__main__ import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'pandas', 'sklearn', 'scipy'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--method" in done.stdout
    assert time.monotonic() - began < 10


def test_a_slow_metric_tells_now_and_then_how_many_calls_are_left():
    said, clock = [], iter([0.0, 100.0, 100.0, 104.0, 110.0, 112.0, 120.0, 120.0, 130.0])
    line = CallsLine("slow", said.append, lambda: next(clock))
    line.one_more()
    assert not said, "how many are to come is not known yet"
    line.expect(40)
    for _ in range(4):
        line.one_more()
    assert said == [
        "slow: 2 of about 40 calls, about 190 s left",
        "slow: 4 of about 40 calls, about 180 s left",
    ]
    line.expect(1)
    line.one_more()
    assert said[2:] == ["slow: 1 of about 1 calls, nearly done"]


def test_a_command_that_is_told_reads_every_config_that_was_given():
    args = Namespace(root="elsewhere", config=["a.yaml", "my b.yaml"])
    told = "python -m pipeline.worth --root elsewhere --config a.yaml --config 'my b.yaml' --all"
    assert command_told(args, "worth", "--all") == told
    here = Namespace(root=".", config=None)
    assert command_told(here, "worth") == "python -m pipeline.worth"


@pytest.mark.parametrize(
    ("difference", "said"), [(-0.02, "no gain to be seen"), (0.02, "the gain may be luck")]
)
def test_luck_is_said_of_a_gain_alone(difference, said):
    gain = SimpleNamespace(difference=difference)
    assert said in verdict_text(SimpleNamespace(verdict="undecided", over_single=gain))
