import json
import re
from functools import partial

import numpy as np
import pytest

from pipeline.base.command import run
from pipeline.base.files import read_json
from pipeline.doctor.__main__ import main as doctor
from pipeline.ensemble.__main__ import main as ensemble
from pipeline.finalists import main as finalists
from pipeline.ledger import main as ledger
from pipeline.oof.predictions import read_run
from pipeline.rebuild import main as rebuild
from pipeline.team.__main__ import main
from tests import blendable
from tests.blendable import Toy
from tests.ensemble.toys import CLASSES
from tests.team.files import predictions, send

make = partial(blendable.make, folds=3)


def call(toy: Toy, action: str, *words: str) -> int:
    return run(main, [action, *words, "--root", str(toy.root), "--config", "toy"])


def blended(toy: Toy, capsys, *more: str) -> tuple[int, dict]:
    capsys.readouterr()
    code = run(ensemble, toy.arguments("--json", "--dry-run", "--method", "mean", *more))
    printed = capsys.readouterr()
    return code, json.loads(printed.out) if printed.out else {"error": printed.err}


@pytest.fixture
def toy(tmp_path) -> Toy:
    made = make(tmp_path, "regression", "pearson", holdout=True)
    made.add_run("m0", 0.8, seed=0)
    made.add_run("m1", 0.9, seed=1)
    return made


def files_of(toy: Toy) -> dict[str, bytes]:
    folder = toy.root / "oof"
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_an_admitted_file_is_a_run_like_any_other(toy, capsys):
    values = predictions(toy)
    path = send(toy, values, files=("train", "test", "dev"))
    assert call(toy, "add", str(path), "--name", "anna", "--by", "Anna") == 0
    page = capsys.readouterr().out
    assert "toy: anna by Anna, scored by pearson (larger is better)" in page
    assert "verdict  in\n" in page
    assert f"wrote {toy.paths.run('anna')}" in page
    holdout = toy.tables.holdout.ids
    found = read_run(toy.paths.run("anna"), toy.folds.ids, toy.tables.test.ids, holdout)
    np.testing.assert_allclose(found.oof, values["train"].astype(np.float32), rtol=1e-7)
    np.testing.assert_allclose(found.test, values["test"], rtol=1e-6)
    np.testing.assert_allclose(found.holdout, values["dev"], rtol=1e-6)
    team = found.manifest["team"]
    assert (list(team["sources"]), team["by"], team["proof"]["kind"]) == (
        ["mate.csv"], "Anna", "folds",
    )  # fmt: skip
    assert team["audit"]["verdict"] == "in"
    code, answer = blended(toy, capsys)
    assert code == 0
    assert [each["name"] for each in answer["members"]] == ["anna", "m0", "m1"]
    assert answer["members"][0]["holdout"] is not None


def test_the_doctor_finds_nothing_wrong_with_it(toy, capsys):
    assert call(toy, "add", str(send(toy)), "--name", "anna") == 0
    capsys.readouterr()
    run(doctor, ["--root", str(toy.root), "--json", "--run", "anna"])
    findings = json.loads(capsys.readouterr().out)["findings"]
    assert [each["what"] for each in findings if each["severity"] == "problem"] == []


def test_the_doctor_after_a_killed_add_says_to_add_it_again(toy, capsys):
    assert call(toy, "add", str(send(toy)), "--name", "anna") == 0
    toy.paths.run_manifest("anna").unlink()
    last = toy.paths.fold_predictions("anna", 0, 0, toy.folds.count - 1)
    last.unlink()
    last.with_suffix(".json").unlink()
    capsys.readouterr()
    assert run(doctor, ["--root", str(toy.root), "--json", "--run", "anna"]) == 0
    (note,) = json.loads(capsys.readouterr().out)["findings"]
    assert note["what"] == f"is not finished: seed 0 lacks {last.stem}"
    assert note["todo"] == (
        "Run: python -m pipeline.team add FILE --name anna --replace (1 fold to store)."
    )


def test_the_doctor_says_how_a_damaged_part_comes_back(toy, capsys):
    assert call(toy, "add", str(send(toy)), "--name", "anna") == 0
    toy.paths.fold_predictions("anna", 0, 0, 1).write_bytes(b"damaged")
    capsys.readouterr()
    assert run(doctor, ["--root", str(toy.root), "--run", "anna"]) == 5
    said = " ".join(capsys.readouterr().out.split())
    assert "python -m pipeline.team add FILE --name anna --replace" in said
    assert "pipeline.cv" not in said


def test_a_run_without_holdout_rows_is_blended_all_the_same(toy, capsys):
    assert call(toy, "add", str(send(toy)), "--name", "anna") == 0
    code, answer = blended(toy, capsys)
    assert code == 0
    assert answer["members"][0]["holdout"] is None
    assert answer["members"][1]["holdout"] is not None


def test_the_same_bytes_again_change_nothing(toy, capsys):
    path = str(send(toy))
    assert call(toy, "add", path, "--name", "anna") == 0
    before = files_of(toy)
    capsys.readouterr()
    assert call(toy, "add", path, "--name", "anna") == 0
    assert "holds this very file: nothing new was written" in capsys.readouterr().out
    assert files_of(toy) == before


def test_another_file_needs_replace_and_a_run_of_ours_is_never_replaced(toy, capsys):
    assert call(toy, "add", str(send(toy)), "--name", "anna") == 0
    other = str(send(toy, predictions(toy, 0.75, 9), name="other.csv"))
    before = files_of(toy)
    assert call(toy, "add", other, "--name", "anna") == 2
    assert "the name anna is taken by another file: mate.csv" in capsys.readouterr().err
    assert call(toy, "add", other, "--name", "m0", "--replace") == 2
    assert "m0 is a run that was trained here" in capsys.readouterr().err
    assert files_of(toy) == before
    assert call(toy, "add", other, "--name", "anna", "--replace") == 0
    assert list(read_json(toy.paths.run_manifest("anna"))["team"]["sources"]) == ["other.csv"]
    toy.add_fold("half", 0, 1.0)
    assert call(toy, "add", other, "--name", "half") == 2
    assert "half is a run in training" in capsys.readouterr().err


@pytest.mark.parametrize("seconds", ["NaN", '{"fit": NaN, "predict": 1}', '{"fit": true}'])
def test_odd_seconds_in_a_sidecar_do_not_cost_the_run_that_is_replaced(toy, capsys, seconds):
    assert call(toy, "add", str(send(toy)), "--name", "anna") == 0
    path = send(toy, predictions(toy, seed=9), name="v2.csv")
    path.with_suffix(".json").write_text(f'{{"seconds": {seconds}}}')
    assert call(toy, "add", str(path), "--name", "anna", "--replace") == 0
    manifest = read_json(toy.paths.run_manifest("anna"))
    assert "seconds" not in manifest
    assert list(manifest["team"]["sources"]) == ["v2.csv"]


def test_two_files_of_one_name_are_both_remembered(toy, capsys):
    for part in ("train", "test"):
        (toy.root / part).mkdir()
        send(toy, files=(part,), fold=part == "train", name=f"{part}/preds.csv")
    first, second = (str(toy.root / part / "preds.csv") for part in ("train", "test"))
    assert call(toy, "add", first, "--test", second, "--name", "anna") == 0
    sources = read_json(toy.paths.run_manifest("anna"))["team"]["sources"]
    assert list(sources) == ["preds.csv", "test/preds.csv"]
    assert len(set(sources.values())) == 2


def test_numbers_too_large_for_a_file_are_out_and_never_stored(toy, capsys):
    values = predictions(toy)
    values["train"][3] = 1e39
    assert call(toy, "add", str(send(toy, values)), "--name", "big", "--force") == 3
    assert "beyond 3.4e38" in " ".join(capsys.readouterr().out.split())
    assert not toy.paths.run("big").exists()


def test_a_kill_before_run_json_leaves_no_run_and_the_same_command_goes_on(toy, monkeypatch):
    from pipeline.team import store

    path = str(send(toy))
    with monkeypatch.context() as patch:
        patch.setattr(store, "_manifest", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        assert call(toy, "add", path, "--name", "anna") == 130
    assert not toy.paths.run_manifest("anna").exists()
    assert call(toy, "add", path, "--name", "anna") == 0
    assert toy.paths.run_manifest("anna").exists()


def test_while_another_process_writes_it_exits_75(toy, capsys):
    from pipeline.base.leases import lease

    path = str(send(toy))
    with lease(toy.paths.workspaces / ".anna.team.lease", "run anna"):
        assert call(toy, "add", path, "--name", "anna") == 75
    assert "run anna is being written by process" in capsys.readouterr().err


def test_out_is_exit_code_3_and_nothing_is_written(toy, capsys):
    before = files_of(toy)
    missing = str(send(toy, edit=lambda lines: lines[1:], name="short.csv"))
    assert call(toy, "add", missing, "--name", "anna", "--force") == 3
    assert (
        "--force cannot store it: rows or numbers are missing, or stand twice"
        in capsys.readouterr().out
    )
    labels = str(send(toy, {file: toy.truth[file] for file in toy.truth}, name="truth.csv"))
    assert call(toy, "add", labels, "--name", "anna") == 3
    page = capsys.readouterr().out
    assert "verdict  out\n" in page
    assert "  - leakage: the predictions are the labels themselves\n" in page
    assert "--force stores it all the same" in page
    assert "mend what is said above and add the file again; --why shows" in page
    assert files_of(toy) == before


def test_force_stores_it_and_every_blend_leaves_it_out_or_says_so(toy, capsys):
    labels = str(send(toy, {file: toy.truth[file] for file in toy.truth}))
    assert call(toy, "add", labels, "--name", "anna", "--force") == 0
    why = "the predictions are the labels themselves"
    _, answer = blended(toy, capsys)
    assert [each["name"] for each in answer["members"]] == ["m0", "m1"]
    (note,) = [note for note in answer["notes"] if note.startswith("anna left out: ")]
    assert why in note
    _, answer = blended(toy, capsys, "--force")
    assert any(note.startswith("anna is blended (--force)") for note in answer["notes"])
    assert (answer["scores"]["honest"], answer["scores"]["verdict"]) == (None, "untold")
    assert answer["scores"]["claimed"] > 0.9
    assert {each["run"] for each in answer["scores"]["doubts"]} == {"anna"}
    assert answer["scores"]["expected"] == {}


def test_an_unproven_run_is_left_out_of_blends_unless_forced(toy, capsys):
    assert call(toy, "add", str(send(toy, fold=False)), "--name", "anna") == 0
    assert "unproven" in capsys.readouterr().out
    _, answer = blended(toy, capsys, "--method", "greedy")
    assert [each["name"] for each in answer["members"]] == ["m0", "m1"]
    why = "nothing shows that it was made on our folds: neither a passport nor a column of folds"
    (note,) = [note for note in answer["notes"] if note.startswith("anna")]
    assert f"anna left out: {why}" in note
    assert note.endswith("--method mean takes it: equal weights need no proof of folds")
    code, answer = blended(toy, capsys, "--method", "greedy", "--runs", "anna", "m0")
    assert (code, why in answer["error"]) == (2, True)
    _, answer = blended(toy, capsys, "--method", "greedy", "--force")
    assert any(f"anna is blended (--force) although {why}" in note for note in answer["notes"])


def everywhere(toy: Toy, capsys, *more: str) -> dict[str, str]:
    """Command -> its page, after a file was blended, written and entered."""
    pages, options = {}, toy.arguments()
    for command, words in (
        (ensemble, more),
        (ledger, ("add", "toy-001-mean.csv")),
        (ledger, ()),
        (finalists, ("--all",)),
        (doctor, ()),
    ):
        capsys.readouterr()
        run(command, [*options[: 2 if command is doctor else None], *words])
        printed = capsys.readouterr()
        pages[f"{command.__module__} {len(pages)}"] = printed.out + printed.err
    run(rebuild, ["toy-001-mean.csv", "--root", str(toy.root)])
    return pages | {"rebuild": capsys.readouterr().out}


def rounded(lines):
    return [[*line[:-1], f"{float(line[-1]):.1f}"] for line in lines]


@pytest.mark.parametrize(
    ("fold", "edit", "says", "silent"),
    [(True, rounded, "rounded", 0), (False, None, "is taken on trust", 1)],
)
def test_what_a_person_should_know_of_a_member_stands_wherever_its_blend_does(
    toy, capsys, fold, edit, says, silent
):
    assert call(toy, "add", str(send(toy, fold=fold, edit=edit)), "--name", "anna") == 0
    pages = everywhere(toy, capsys, "--method", "mean")
    without = [name for name, page in pages.items() if not ("anna" in page and says in page)]
    assert len(without) == silent  # the doctor's word for folds nobody can prove is "in doubt"
    assert all("its score is in doubt" in pages[name] for name in without)
    (record,) = (toy.root / "submissions").glob("*.json")
    scores = read_json(record)["scores"]
    assert [each["run"] for each in scores["warnings"]] == ["anna"]
    assert scores["honest"] is not None


def test_no_page_of_a_blend_that_was_forced_says_honest_or_real(toy, capsys):
    labels = str(send(toy, {file: toy.truth[file] for file in toy.truth}))
    assert call(toy, "add", labels, "--name", "anna", "--force") == 0
    pages = everywhere(toy, capsys, "--method", "mean", "--force")
    page = pages[next(iter(pages))]
    assert "real" not in page.replace("really", "")
    assert re.search(r"honest +(pearson |effect|difference)?-?[01.d]", page) is None
    assert re.search(r"in-sample +claimed +difference", page)
    assert page.count("so no score on this page is honest") == 1
    for name, other in pages.items():
        assert "the predictions are the labels themselves" in other, name
    assert "its score is not honest" in next(p for n, p in pages.items() if "finalists" in n)
    assert run(ensemble, toy.arguments("--json", "--dry-run", "--force")) == 0
    methods = json.loads(capsys.readouterr().out)["methods"]
    assert all("honest" not in line for line in methods)


def test_equal_weights_take_a_run_whose_folds_nobody_can_prove(toy, capsys):
    assert call(toy, "add", str(send(toy, fold=False)), "--name", "anna") == 0
    code, answer = blended(toy, capsys, "--method", "mean")
    assert code == 0
    assert [each["name"] for each in answer["members"]] == ["anna", "m0", "m1"]
    (note,) = [note for note in answer["notes"] if note.startswith("anna: ")]
    assert "is taken on trust" in note


def test_a_better_proof_of_the_same_file_is_taken_up(toy, capsys):
    path = str(send(toy, fold=False))
    assert call(toy, "add", path, "--name", "anna") == 0
    assert call(toy, "add", path, "--name", "anna", "--passport", toy.folds.digest) == 0
    _, answer = blended(toy, capsys)
    assert "anna" in [each["name"] for each in answer["members"]]


def test_a_damaged_origin_is_told(toy, capsys):
    assert call(toy, "add", str(send(toy)), "--name", "anna") == 0
    path = toy.paths.run_manifest("anna")
    manifest = read_json(path)
    path.write_text(json.dumps(manifest | {"team": {"proof": "yes"}}))
    code, answer = blended(toy, capsys)
    assert (code, "a field 'team' that is damaged" in answer["error"]) == (5, True)
    assert call(toy, "list") == 0
    assert "a field 'team' that is damaged" in capsys.readouterr().out


def test_a_dry_run_writes_nothing_and_json_holds_the_audit(toy, capsys):
    before = files_of(toy)
    assert call(toy, "add", str(send(toy)), "--name", "anna", "--dry-run", "--json") == 0
    printed = capsys.readouterr()
    answer = json.loads(printed.out)
    assert (answer["verdict"], answer["stored"]) == ("in", None)
    assert {each["check"] for each in answer["findings"]} >= {"rows", "folds", "leakage", "copies"}
    assert "dry run: nothing was written" in printed.err
    assert files_of(toy) == before


def test_list_tells_our_runs_and_those_of_others(toy, capsys):
    assert call(toy, "add", str(send(toy, fold=False)), "--name", "anna", "--by", "Anna") == 0
    capsys.readouterr()
    assert call(toy, "list", "--json") == 0
    runs = {line["run"]: line for line in json.loads(capsys.readouterr().out)["runs"]}
    assert runs["m0"]["by"] == "trained here"
    assert (runs["anna"]["by"], runs["anna"]["proof"]) == ("Anna", "unproven")
    assert runs["anna"]["verdict"] == "unproven"
    assert runs["anna"]["score"] > runs["m0"]["score"]
    assert call(toy, "list") == 0
    assert "toy: 3 runs, scored by pearson" in capsys.readouterr().out


def test_the_answer_stands_first_in_five_lines_and_the_evidence_is_for_the_asking(toy, capsys):
    path = str(send(toy))
    assert call(toy, "add", path, "--name", "anna", "--by", "Anna") == 0
    short = capsys.readouterr().out.splitlines()
    assert short[0] == "toy: anna by Anna, scored by pearson (larger is better)"
    assert short[1] == "verdict  in"
    assert "out-of-fold; the best other run is m0 with" in short[2]
    assert short[3] == "labels   nothing could be excluded: rows are missing, or too few of test"
    assert short[4].startswith("next     python -m pipeline.ensemble blends it")
    assert short[5].startswith("wrote ")
    assert len(short) == 6
    assert call(toy, "add", path, "--name", "anna", "--by", "Anna", "--why") == 0
    whole = capsys.readouterr().out.splitlines()
    assert whole[:5] == short[:5]
    assert any("looked at" in line for line in whole)


def test_show_prints_the_page_again(toy, capsys):
    path = str(send(toy))
    assert call(toy, "add", path, "--name", "anna", "--by", "Anna", "--why") == 0
    page = capsys.readouterr().out
    assert call(toy, "show", "anna") == 0
    again = capsys.readouterr().out
    start = page.index("Audit")
    assert again[again.index("Audit") :] == page[start : page.index("wrote ")]
    assert call(toy, "show", "m0", "--json") == 0
    assert json.loads(capsys.readouterr().out)["verdict"] == "in"
    assert call(toy, "show", "nobody") == 2
    assert "there is no complete run nobody; complete runs: anna, m0, m1" in capsys.readouterr().err


KINDS = [
    ("regression", "mcrmse", {"targets": ["content", "wording", "style"], "holdout": True}),
    ("binary", "auc", {}),
    ("multiclass", "accuracy", {"sample": (["topic"], ["art"])}),
    ("multilabel", "auc", {}),
]


@pytest.mark.parametrize(("problem", "metric", "more"), KINDS)
def test_an_export_comes_back_as_the_same_numbers(tmp_path, capsys, problem, metric, more):
    here = make(tmp_path / "here", problem, metric, **more)
    there = make(tmp_path / "there", problem, metric, **more)
    here.add_run("m0", 0.8, seed=0)
    out = tmp_path / "m0.csv"
    assert call(here, "export", "m0", "--out", str(out)) == 0
    assert call(there, "add", str(out), "--name", "theirs") == 0
    holdout = here.tables.test.ids[:0] if here.tables.holdout is None else here.tables.holdout.ids
    ids = here.folds.ids, here.tables.test.ids, holdout
    mine, theirs = read_run(here.paths.run("m0"), *ids), read_run(there.paths.run("theirs"), *ids)
    np.testing.assert_array_equal(mine.oof.astype(np.float32), theirs.oof.astype(np.float32))
    for part in ("test", "holdout"):
        mean = getattr(mine, part).astype(np.float32)
        np.testing.assert_array_equal(mean, getattr(theirs, part).astype(np.float32))
    assert theirs.manifest["team"]["proof"]["kind"] == "folds"


def test_an_unproven_run_is_not_proved_by_an_export(toy, tmp_path, capsys):
    assert call(toy, "add", str(send(toy, fold=False)), "--name", "anna") == 0
    out = tmp_path / "anna.csv"
    assert call(toy, "export", "anna", "--out", str(out)) == 0
    assert out.read_text().splitlines()[0] == "id,part,label"
    assert "passport" not in read_json(out.with_suffix(".json"))


def test_a_run_that_chose_its_epochs_keeps_that_mark_abroad(toy, tmp_path, capsys):
    toy.add_run("lucky", 0.5, seed=3, selection="best-on-valid")
    out = tmp_path / "lucky.csv"
    assert call(toy, "export", "lucky", "--out", str(out)) == 0
    there = make(tmp_path / "there", "regression", "pearson", holdout=True)
    assert call(there, "add", str(out), "--name", "lucky") == 0
    assert read_json(there.paths.run_manifest("lucky"))["selection"] == "best-on-valid"


def test_an_export_does_not_overwrite_another_file(toy, tmp_path, capsys):
    out = tmp_path / "m0.csv"
    out.write_text("mine")
    assert call(toy, "export", "m0", "--out", str(out)) == 2
    assert "is there already with other content. --replace overwrites it" in capsys.readouterr().err
    assert out.read_text() == "mine"
    assert call(toy, "export", "m0", "--out", str(out), "--replace") == 0
    assert call(toy, "export", "m0", "--out", str(out)) == 0
    assert call(toy, "export", "m0", "--out", "m0.txt") == 2
    (tmp_path / "folder.csv").mkdir()
    capsys.readouterr()
    assert call(toy, "export", "m0", "--out", str(tmp_path / "folder.csv")) == 2
    assert "folder.csv is a folder; name a file in it" in capsys.readouterr().err


def test_a_broken_run_does_not_keep_a_file_from_being_looked_at(toy, capsys):
    toy.add_run("old", 0.5, passport="e" * 64)
    assert call(toy, "add", str(send(toy)), "--name", "anna", "--why") == 0
    assert "note     not compared with old: these runs were not made" in capsys.readouterr().out


def test_repeats_hold_the_same_predictions(tmp_path, capsys):
    toy = make(tmp_path, "regression", "pearson", n=60)
    config = tmp_path / "configs" / "toy.yaml"
    config.write_text(config.read_text() + "  repeats: 2\n")
    for path in (toy.paths.folds_csv, toy.paths.passport):
        path.unlink()
    from pipeline.base.config import Competition
    from pipeline.base.parser import read_section
    from pipeline.folds.frozen import frozen

    toy.competition = read_section(Competition, config)
    toy.folds = frozen(toy.competition, toy.paths, toy.tables.train)
    assert call(toy, "add", str(send(toy)), "--name", "a", "--passport", toy.folds.digest) == 0
    manifest = read_json(toy.paths.run_manifest("a"))
    assert (manifest["repeats"], len(manifest["parts"])) == (2, 6)
    assert manifest["team"]["proof"]["kind"] == "passport"
    none = toy.tables.test.ids[:0]
    found = read_run(toy.paths.run("a"), toy.folds.ids, toy.tables.test.ids, none)
    np.testing.assert_allclose(found.oof, predictions(toy)["train"], rtol=1e-6)


def test_several_classes_by_logits(tmp_path, capsys):
    toy = make(tmp_path, "multiclass", "accuracy", sample=(["topic"], ["art"]))
    logits = {file: np.log(each) for file, each in predictions(toy).items()}
    path = str(send(toy, logits, [f"logit_{name}" for name in CLASSES]))
    assert call(toy, "add", path, "--name", "a") == 3
    assert "say --logits" in capsys.readouterr().err
    assert call(toy, "add", path, "--name", "a", "--logits", "--probabilities") == 2
    assert call(toy, "add", path, "--name", "a", "--logits") == 0
    assert read_json(toy.paths.run_manifest("a"))["team"]["kind"] == "logits"


@pytest.mark.parametrize("words", [[], ["ad"], ["--config", "toy"]])
def test_an_unknown_action_lists_those_there_are(words, capsys):
    assert run(main, words) == 2
    assert "python -m pipeline.team {add,list,show,export,challenge}" in capsys.readouterr().err


def test_help_lists_the_actions(capsys):
    assert run(main, ["--help"]) == 0
    assert "team export minilm" in capsys.readouterr().out


def test_a_file_in_another_encoding_is_read_with_the_option_that_the_advice_names(toy, capsys):
    path = send(toy, edit=lambda lines: [*lines, ["남는 줄의 아이디", "0", "1.5"]])
    path.write_bytes(path.read_text(encoding="utf-8").encode("cp949"))
    assert call(toy, "add", str(path), "--name", "anna") == 3
    told = capsys.readouterr().err
    assert "it looks like CP949 (EUC-KR). Say so with --encoding cp949, or convert" in told
    assert "data.encoding" not in told
    assert call(toy, "add", str(path), "--name", "anna", "--encoding", "cp949") == 0
    assert "남는 줄의 아이디" in capsys.readouterr().out
