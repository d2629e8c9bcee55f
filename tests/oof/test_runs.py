"""Doubts about a run, read from its run.json, and what they do to the list of runs to blend."""

import pytest

from pipeline.base.errors import ArtifactError, UsageError
from pipeline.base.files import commit_json, read_json
from pipeline.oof.manifest import origin_of, unproven
from pipeline.oof.runs import (
    FIXED_INSTEAD,
    FOLDS,
    ON_TRUST,
    doubted,
    doubts_of,
    find_runs,
    remarks_of,
    seen_by_audit,
    standing,
)
from tests.blendable import make


def team(proof="folds", findings=(), forced=(), **more):
    """The field of a team-mate's run, as `team add` writes it."""
    audit = {"verdict": "in", "findings": list(findings), "folds": [], "notes": []}
    field = {"sources": {}, "kind": "csv", "by": "ann", "when": "today"}
    return field | {"proof": {"kind": proof}, "forced": list(forced), "audit": audit} | more


def finding(grade, about="labels", says="too good"):
    return {"grade": grade, "about": about, "says": says}


def kinds(**fields):
    return [(doubt.kind, doubt.says) for doubt in doubts_of({"name": "m", **fields})]


def test_a_run_of_our_own_is_in_doubt_only_for_its_selection():
    assert kinds() == []
    assert kinds(selection="last-epoch") == []
    ((kind, _),) = kinds(selection="best-on-valid")
    assert kind == "selection"


def test_each_finding_is_a_doubt_of_its_kind_and_a_warning_is_a_remark():
    listed = [
        finding("unproven", says="saw labels"),
        finding("unproven", about="folds", says="hides its folds"),
        finding("warning", says="rounded"),
        "no finding",
    ]
    manifest = {"name": "m", "team": team(findings=listed, forced=["two rows lack"])}
    assert [(each.kind, each.says) for each in doubts_of(manifest)] == [
        ("forced", "two rows lack"), ("labels", "saw labels"), ("folds", "hides its folds"),
    ]  # fmt: skip
    assert remarks_of(manifest) == ["rounded"]
    assert remarks_of({"name": "own"}) == []


def test_a_passed_challenge_takes_back_doubts_about_labels_and_a_failed_one_is_one():
    listed = [finding("unproven"), finding("unproven", about="folds", says="whose folds")]
    passed = team(findings=listed, challenge={"verdict": "passed"})
    assert kinds(team=passed) == [("folds", "whose folds")]
    failed = team(challenge={"verdict": "failed", "says": "it knows the rows"})
    assert kinds(team=failed) == [("labels", "it failed the challenge: it knows the rows")]


@pytest.mark.parametrize(
    ("proof", "expected"),
    [("passport", []), ("folds", []), ("none", [("folds", FOLDS)])],
)
def test_only_a_passport_or_the_folds_column_prove_the_folds(proof, expected):
    assert kinds(team=team(proof)) == expected
    assert unproven({"team": team(proof)}) == bool(expected)
    assert not unproven({})


def test_the_folds_are_doubted_once():
    listed = [finding("unproven", about="folds", says="whose folds")]
    assert kinds(team=team("none", listed)) == [("folds", "whose folds")]


def test_doubts_about_folds_do_not_touch_fixed_weights():
    runs = [
        {"name": "own"},
        {"name": "hidden", "team": team("none")},
        {"name": "leak", "team": team(findings=[finding("unproven")])},
    ]
    assert [name for name, _ in doubted(runs, fixed=False)] == ["hidden", "leak"]
    assert [name for name, _ in doubted(runs, fixed=True)] == ["leak"]


@pytest.mark.parametrize(
    ("expected", "manifest"),
    [
        ("in", {}),
        ("in", {"selection": "best-on-valid"}),
        ("in", {"team": team(findings=[finding("warning")])}),
        ("unproven", {"team": team("none")}),
        ("unproven", {"team": team(findings=[finding("unproven")])}),
        ("in", {"team": team(findings=[finding("unproven")], challenge={"verdict": "passed"})}),
        ("out", {"team": team(challenge={"verdict": "failed"})}),
        ("out", {"team": team(forced=["rows lack"])}),
    ],
)
def test_audit_and_challenge_make_one_verdict(expected, manifest):
    assert standing({"name": "m", **manifest}) == expected


def test_what_an_audit_could_see_is_told_of_team_runs_only():
    field = team()
    field["audit"]["power"] = "half of it"
    assert seen_by_audit({"name": "m", "team": field}) == "half of it"
    assert seen_by_audit({"name": "m", "team": team()}) == ""
    assert seen_by_audit({"name": "own"}) == ""


@pytest.mark.parametrize(
    "broken",
    [
        "a text",
        {},
        {key: value for key, value in team().items() if key != "by"},
        team(audit={"verdict": "in", "findings": [], "folds": []}),
        team(audit={"verdict": "in", "findings": "none", "folds": [], "notes": []}),
        team() | {"proof": {}},
    ],
)
def test_a_damaged_field_is_refused(broken):
    with pytest.raises(ArtifactError, match=r"run\.json of m has a field 'team' that is damaged"):
        origin_of({"name": "m", "team": broken})


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    made = make(tmp_path_factory.mktemp("doubts"), "regression", "rmse", n=40, m=8)
    made.add_run("own", 0.5)
    made.add_run("hidden", 0.6, seed=2, team=team("none"))
    made.add_run("leak", 0.7, seed=3, team=team(findings=[finding("unproven", says="saw all")]))
    made.add_run("said", 0.7, seed=4, team=team(findings=[finding("warning", says="rounded")]))
    return made


def found(toy, *wanted, force=False, method="auto"):
    return find_runs(toy.paths, wanted, force, toy.competition.folds, "train it", method)


def test_runs_in_doubt_are_left_out_with_the_way_to_blend_them(toy):
    kept, notes = found(toy)
    assert kept == ["own", "said"]
    assert notes == [
        "said: rounded",
        f"hidden left out: {FOLDS} (--force blends it); {FIXED_INSTEAD}",
        "leak left out: saw all (--force blends it)",
    ]


def test_equal_weights_take_a_run_whose_folds_are_unknown_on_trust(toy):
    kept, notes = found(toy, method="mean")
    assert kept == ["hidden", "own", "said"]
    assert f"hidden: {FOLDS}. {ON_TRUST}" in notes
    assert "leak left out: saw all (--force blends it)" in notes


def test_by_force_all_are_blended_and_the_reason_stands_beside(toy):
    kept, notes = found(toy, force=True)
    assert kept == ["hidden", "leak", "own", "said"]
    assert "leak is blended (--force) although saw all" in notes


def test_a_run_that_was_named_is_refused_with_the_way_to_blend_it(toy):
    with pytest.raises(UsageError) as caught:
        found(toy, "own", "hidden", "leak")
    message = str(caught.value)
    assert f"run hidden: {FOLDS}. {FIXED_INSTEAD}; --force blends it all the same" in message
    assert "run leak: saw all. --force blends it all the same" in message
    assert "run own" not in message


def test_what_is_not_complete_or_not_there_is_named(toy, tmp_path):
    fresh = make(tmp_path, "regression", "rmse", n=40, m=8)
    with pytest.raises(UsageError, match=r"there is no complete run of toy under .*\nTrain one"):
        found(fresh)
    fresh.add_run("own", 0.5)
    fresh.add_fold("begun", 0, 0.5)
    fresh.add_fold("begun", 2, 0.5)
    kept, notes = found(fresh)
    assert (kept, notes) == (["own"], ["begun left out: seed-42 lacks fold-1, fold-3"])
    with pytest.raises(UsageError) as caught:
        found(fresh, "begun", "gone")
    assert "run begun is not complete: seed-42 lacks fold-1, fold-3. Go on with: train it" in str(
        caught.value
    )
    assert "there is no run gone; complete runs: own" in str(caught.value)


def test_a_run_in_doubt_alone_is_refused_though_nobody_named_it(tmp_path):
    one = make(tmp_path, "regression", "rmse", n=40, m=8)
    one.add_run("leak", 0.5)
    manifest = read_json(one.paths.run_manifest("leak"))
    commit_json(one.paths.run_manifest("leak"), manifest | {"selection": "best-on-valid"})
    with pytest.raises(UsageError, match="run leak: its checkpoints were chosen on the held-out"):
        found(one)
