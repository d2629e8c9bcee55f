import json

import numpy as np
import pytest

from pipeline.base.command import run
from pipeline.ensemble.honest import AUTO, Gain, Nest
from pipeline.report.worth import verdict_text
from pipeline.team.worth import _before
from pipeline.worth import main
from tests.blendable import Toy, make
from tests.ensemble.test_command import whole_numbers
from tests.ensemble.toys import gather, member, truth_of
from tests.team.files import predictions, send


def call(toy: Toy, capsys, *words: str) -> tuple[int, dict]:
    capsys.readouterr()
    code = run(main, toy.arguments(*words, "--json"))
    printed = capsys.readouterr()
    return code, json.loads(printed.out) if printed.out else {"error": printed.err}


@pytest.fixture
def toy(tmp_path) -> Toy:
    made = make(tmp_path, "regression", "pearson", n=300)
    made.add_run("m0", 0.8, seed=0)
    made.add_run("m1", 0.9, seed=1)
    return made


def test_a_good_file_is_worth_adding_and_stays_outside(toy, capsys):
    path = str(send(toy, predictions(toy, 0.6)))
    before = sorted(path for path in (toy.root / "oof").rglob("*"))
    code, answer = call(toy, capsys, path)
    assert code == 0
    auto = answer["methods"][0]
    assert (answer["verdict"], auto["gain"]["verdict"]) == ("real", "real")
    assert auto["gain"]["low"] > 0
    assert auto["with"] - auto["without"] == pytest.approx(auto["gain"]["difference"])
    assert auto["weight"] > 0.3
    assert answer["notes"] == ["audit: in"]
    assert answer["seconds"] is None
    assert sorted(path for path in (toy.root / "oof").rglob("*")) == before


def test_noise_is_worth_nothing(toy, capsys):
    random = np.random.default_rng(0)
    noise = {file: random.uniform(0, 5, each.shape) for file, each in toy.truth.items()}
    _, answer = call(toy, capsys, str(send(toy, noise)), "--force")
    gains = {line["method"]: line["gain"] for line in answer["methods"]}
    assert answer["verdict"] in ("no", "undecided")
    assert all(abs(gain["difference"]) < 0.002 for gain in gains.values())


def test_a_run_is_compared_with_the_others_by_the_ensembles_own_scores(toy, capsys):
    """The same nest, by hand: with all runs, and without this one."""
    from pipeline.team.competition import read_peers
    from pipeline.team.worth import weigh
    from tests.team.files import contest_of

    toy.add_run("m2", 0.7, seed=2)
    _, answer = call(toy, capsys, "m2")
    contest = contest_of(toy)
    peers, _ = read_peers(toy.paths, contest)
    from pipeline.ensemble.evidence import Evidence

    def honest(names):
        chosen = [peer for peer in peers if peer.name in names]
        evidence = Evidence.gather(
            [peer.name for peer in chosen],
            [peer.oof for peer in chosen],
            contest.truth,
            contest.folds.fold_of_row[0],
            contest.folds.group_of_row,
            contest.metric,
            contest.problem,
        )
        return Nest(evidence, contest.competition.folds.seed).honest_gain("greedy")

    greedy = answer["methods"][1]
    assert greedy["with"] == pytest.approx(honest(["m0", "m1", "m2"]))
    assert greedy["without"] == pytest.approx(honest(["m0", "m1"]))
    assert [line["name"] for line in answer["runs"]] == ["m0", "m1"]
    again = weigh(contest, peers[:2], "m2", peers[2].oof)
    assert again.methods[1].gain.difference == pytest.approx(greedy["gain"]["difference"])


def test_what_it_costs_is_read_from_the_parts(toy, capsys):
    from pipeline.base.files import commit_json, read_json

    for fold in range(4):
        path = toy.paths.fold_predictions("m1", 42, 0, fold).with_suffix(".json")
        commit_json(path, read_json(path) | {"seconds": {"fit": 10.0, "predict": 0.5}})
    _, answer = call(toy, capsys, "m1")
    assert answer["seconds"] == {"fit": 40.0, "predict": 2.0}
    run(main, toy.arguments("m1"))
    assert "40.0 s of training and 2.0 s of prediction, all folds together" in (
        capsys.readouterr().out
    )
    run(main, toy.arguments("m0"))
    assert "costs    unknown: no seconds are recorded with it" in capsys.readouterr().out


@pytest.mark.parametrize(
    "seconds", ["12", None, {"fit": "x", "predict": 1}, {"fit": -1, "predict": 1}, {"fit": 1}]
)
def test_seconds_that_are_none_are_not_known(toy, capsys, seconds):
    path = send(toy)
    path.with_suffix(".json").write_text(json.dumps({"seconds": seconds}))
    code, answer = call(toy, capsys, str(path))
    assert (code, answer["seconds"]) == (0, None)


def test_seconds_of_a_sidecar_are_taken_without_what_else_it_says(toy, capsys):
    path = send(toy)
    path.with_suffix(".json").write_text('{"seconds": {"fit": 3, "predict": 1, "more": NaN}}')
    _, answer = call(toy, capsys, str(path))
    assert answer["seconds"] == {"fit": 3.0, "predict": 1.0}


def test_a_metric_without_a_value_says_why(toy, capsys):
    code, answer = call(toy, capsys, "m0", "--task.metric", "qwk")
    assert code == 3
    assert "qwk" in answer["error"]


def test_options_of_a_file_are_refused_for_a_run(toy, capsys):
    code, answer = call(toy, capsys, "m0", "--logits", "--test", "x.csv")
    assert code == 2
    assert "--test, --logits: only with a file, but m0 is a run" in answer["error"]


def test_a_file_that_is_out_is_refused_unless_forced(toy, capsys):
    path = str(send(toy, {file: toy.truth[file] for file in toy.truth}))
    code, answer = call(toy, capsys, path)
    assert code == 3
    assert "the predictions are the labels themselves" in answer["error"]
    assert "mate.csv is out; --force weighs it all the same" in answer["error"]
    code, answer = call(toy, capsys, path, "--force")
    assert code == 0
    assert "leakage: the predictions are the labels themselves" in answer["notes"]


def test_an_unproven_file_is_weighed_with_a_note(toy, capsys):
    code, answer = call(toy, capsys, str(send(toy, fold=False)))
    assert code == 0
    assert any(note.startswith("folds: nothing shows") for note in answer["notes"])


def test_neither_a_file_nor_a_run_names_both(toy, capsys):
    code, answer = call(toy, capsys, "nope")
    assert code == 2
    assert (
        "there is no file nope, and there is no complete run nope; complete runs: m0, m1"
        in answer["error"]
    )


def test_without_another_run_there_is_nothing_to_add_to(tmp_path, capsys):
    toy = make(tmp_path, "regression", "pearson", n=60)
    toy.add_run("m0", 0.8)
    code, answer = call(toy, capsys, "m0")
    assert (code, "no other complete run of toy to add it to" in answer["error"]) == (2, True)


@pytest.mark.parametrize(
    ("problem", "metric"), [("binary", "f1"), ("multiclass", "log-loss"), ("multilabel", "auc")]
)
def test_every_kind_of_problem_has_a_page(tmp_path, capsys, problem, metric):
    sample = {"multiclass": (["topic"], ["art"])}.get(problem)
    toy = make(tmp_path, problem, metric, n=100, sample=sample)
    toy.add_run("m0", 0.8, seed=0)
    assert run(main, toy.arguments(str(send(toy)))) == 0
    page = capsys.readouterr().out
    assert f"is mate.csv worth adding to 1 run? Scored by {metric}" in page
    for piece in ("Honest score of the ensemble", "ensemble of them", "worth    ", "costs    "):
        assert piece in page
    assert "cut points come last" not in page


def test_scores_by_kappa_with_cuts_say_so(tmp_path, capsys):
    """They are not those that cv prints, which rounds."""
    toy = whole_numbers(tmp_path)
    toy.add_run("m0", 0.8, seed=0)
    toy.add_run("m1", 0.9, seed=1)
    assert run(main, toy.arguments("m1")) == 0
    assert "qwk with cuts that give each label its share of rows" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("difference", "low", "high", "told"),
    [
        (-0.00003, -0.00006, 1e-9, "no gain to be seen"),
        (0.0, -0.1, 0.1, "no gain to be seen"),
        (0.01, -0.1, 0.2, "undecided: the interval holds 0, the gain may be luck"),
        (0.1, 0.05, 0.2, "real: the whole interval is above 0"),
        (-0.1, -0.2, -0.05, "no: it does not reach above 0"),
    ],
)
def test_luck_is_said_only_of_a_gain(difference, low, high, told):
    assert verdict_text(Gain(difference, 0.01, low, high)).startswith(told)


@pytest.mark.parametrize(("n", "fitting_helps"), [(24, False), (40, True)])
def test_one_other_run_counts_as_it_is_or_fitted_whichever_scores_higher(n, fitting_helps):
    """A candidate is neither praised for what a fit does to the other run, nor for its harm."""
    truth = truth_of("regression", n, 1, 2)
    bare = gather("regression", "rmse", [member("regression", truth, 0.8, 2)], truth)
    methods = ["best", "mean", "simplex", "greedy", "nonnegative-ridge", "ridge"]
    plain, fitted = (Nest(bare, 0, each).honest_gain(AUTO) for each in (["best"], methods))
    assert (plain < fitted) == fitting_helps
    assert _before(bare, 0, methods).honest_gain(AUTO) == max(plain, fitted)
