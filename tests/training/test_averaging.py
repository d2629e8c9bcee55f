"""`--model averaged`: the learners of finished runs as one, by their weights or their logits."""

import copy
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from pipeline import bundle, cv, init, predict
from pipeline.api import called
from pipeline.base import Competition, Paths, read_json
from pipeline.base.command import run
from pipeline.base.files import commit, commit_json
from pipeline.base.parser import read_section
from pipeline.base.paths import Part
from pipeline.data import load
from pipeline.distil import __main__ as distil
from pipeline.doctor import __main__ as doctor
from pipeline.ensemble import __main__ as ensemble
from pipeline.ensemble.forecast.given import of_same_learners
from pipeline.ensemble.forecast.leaderboard import Leaderboard
from pipeline.ensemble.forecast.ranges import Range
from pipeline.models.transformer.averaged import join
from pipeline.models.transformer.fine_tuning import SETTINGS, WEIGHTS
from pipeline.models.transformer.tensor_file import read_checked, write
from pipeline.oof.predictions import read_fold
from pipeline.race import __main__ as race
from pipeline.serve.predicting import predict_file
from pipeline.training.new_rows import saved_again
from tests.models.generation.test_whole_way import TINY
from tests.models.generation.writers import saved
from tests.test_texts import asking, competition
from tests.trained import trained

__all__ = ["trained"]

LEARNS = (
    "learner: generator\nbackbone: {}\nepochs: 12\nmax_source: 32\nmax_answer: 12\nbatch_size: 8\n"
)
WRITES = "predict_batch_size: 8\nbeams: 2\ncandidates: 2\nlearning_rate: 1.0e-2\n"


WITHHELD = "withheld: test rows of {} are answered by the mean over all folds"


def tiny(**changes):
    """A network from nothing."""
    settings = (
        TINY
        | {"predict_batch_size": 8, "epochs": 12, "learning_rate": 1e-2, "max_answer": 16}
        | changes
    )
    return ["tiny-seq2seq", *(f"--set={key}={each}" for key, each in settings.items())]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Two folds of a network from nothing by two seeds, of one with another vocabulary, and of a
    pretrained one by two seeds."""
    root = tmp_path_factory.mktemp("averaging")
    competition(root)
    asked = ["--root", str(root), "--name", "facts", "--metric", "chrf", "--folds", "2"]
    assert run(init.main, [*asked, str(root)]) == 0
    recipe = LEARNS.format(saved(root, "bart")) + WRITES
    (root / "configs/models").mkdir()
    (root / "configs/models/pretrained.yaml").write_text(recipe, encoding="utf-8")
    two, one = ["42", "43"], ["42"]
    alone = LEARNS.format(saved(root, "gpt2")) + WRITES
    (root / "configs/models/decoder.yaml").write_text(alone, encoding="utf-8")
    pretrained = [(["pretrained"], two), (["decoder"], two)]
    runs = [(tiny(), two), (tiny(vocabulary=320), one), *pretrained, (["nearest"], one)]
    for model, seeds in runs:
        assert run(cv.main, [*asking(root), "--model", *model, "--seed", *seeds]) == 0
    return root


@pytest.fixture
def root(made, tmp_path):
    """A copy of its own."""
    there = tmp_path / "facts"
    shutil.copytree(made, there)
    return there


def averaged(root, *settings):
    """The exit code of an averaged run."""
    asked = [f"--set={each}" for each in settings]
    return run(cv.main, [*asking(root), "--model", "averaged", *asked])


def networks(root):
    """Names of the runs from nothing, that with the larger vocabulary last."""
    names = [path.parent.name for path in root.glob("oof/facts/tiny-seq2seq-*/run.json")]
    return sorted(names, key=lambda name: vocabulary(root, name))


def vocabulary(root, name):
    content = json.loads((root / f"oof/facts/{name}/run.json").read_text(encoding="utf-8"))
    return content["recipe"]["vocabulary"]


def only(root):
    """The name of the averaged run."""
    (folder,) = root.glob("oof/facts/averaged-*/")
    return folder.name


def weights(root, name, seed, fold):
    """The arrays of a saved learner."""
    folder = root / "runs/facts" / name / f"seed-{seed}/fold-{fold}/weights"
    return load_file(next(folder.rglob("weights.safetensors")))


def said(root, name, fold, rows="valid", seed=42):
    """Texts of a fold."""
    path = root / "oof/facts" / name / f"seed-{seed}/fold-{fold}.npz"
    return read_fold(path)[0].texts[rows]


@pytest.mark.parametrize("which", ["from nothing", "pretrained", "decoder"])
def test_networks_of_one_tokenizer_write_by_the_mean_of_their_logs(root, which):
    """Greedily, token by token, against the two networks asked by hand."""
    name = networks(root)[0] if which == "from nothing" else which
    assert averaged(root, f"runs=[{name}]", "what=logits", 'decoding={"decode": "greedy"}') == 0
    found = said(root, only(root), 0)
    text, logs = by_hand(root, name, 0)
    assert found.texts[0] == [text]
    assert found.log_probabilities[0] == [pytest.approx(logs, abs=1e-3)]


def by_hand(root, name, fold):
    """What both networks write of the first row that the fold holds out, and how likely it is."""
    manifest = json.loads((root / f"oof/facts/{name}/run.json").read_text(encoding="utf-8"))
    facts = read_section(Competition, root / "configs/facts.yaml")
    saved_run = next(saved_again(root, facts, [manifest]))
    first = read_fold(Paths(root, "facts").fold_predictions(name, 42, 0, fold))[0].valid_ids[0]
    table = load(facts, root).train
    networks_ = []
    for seed in (42, 43):
        learner = saved_run.factory.load(saved_run.weights(Part(seed, 0, fold)))
        networks_.append(copy.deepcopy(learner.module.network.backbone).eval())
    tokenizer, store = learner.shared.tokenizer, learner.shared.store
    read = store.gather(store.rows(table.texts[table.ids == first])[:, 0])[0].tolist()
    written, logs = [], 0.0
    longest = manifest["recipe"]["max_answer"]
    while len(written) < longest and tokenizer.eos_token_id not in written:
        both = torch.stack([next_token(each, read, written) for each in networks_])
        both = both.log_softmax(dim=-1).mean(dim=0).log_softmax(dim=-1)
        written.append(int(both.argmax()))
        logs += float(both.max())
    return tokenizer.decode(written, skip_special_tokens=True).strip(), logs


@torch.no_grad()
def next_token(model, read, written):
    """What *model* says comes next."""
    if not model.config.is_encoder_decoder:
        return model(input_ids=torch.tensor([[*read, *written]])).logits[0, -1]
    said_ = [model.generation_config.decoder_start_token_id, *written]
    found = model(input_ids=torch.tensor([read]), decoder_input_ids=torch.tensor([said_]))
    return found.logits[0, -1]


def test_weights_of_a_folds_learners_are_their_mean(root):
    assert averaged(root, "runs=[pretrained]") == 0
    mean = only(root)
    for fold in (0, 1):
        one, two = (weights(root, "pretrained", seed, fold) for seed in (42, 43))
        found = weights(root, mean, 42, fold)
        assert found.keys() == one.keys()
        for key, values in found.items():
            np.testing.assert_allclose(values, (one[key] + two[key]) / 2, rtol=1e-6, atol=1e-9)
    assert any(not np.array_equal(one[key], two[key]) for key in one)
    assert said(root, mean, 0).texts != said(root, "pretrained", 0).texts


def test_across_folds_held_out_rows_are_answered_by_their_own_fold_alone(root, capsys):
    shutil.rmtree(root / "oof/facts/pretrained/seed-43")
    assert run(cv.main, [*asking(root), "--model", "pretrained"]) == 0
    assert averaged(root, "runs=[pretrained]", "across_folds=true") == 0
    mean = only(root)
    for fold in (0, 1):
        own = said(root, "pretrained", fold)
        assert said(root, mean, fold).texts == own.texts, "one learner alone did not see them"
        one, two = (weights(root, "pretrained", 42, each) for each in (0, 1))
        found = weights(root, mean, 42, fold)
        for key, values in found.items():
            np.testing.assert_allclose(values, (one[key] + two[key]) / 2, rtol=1e-6, atol=1e-9)
    assert said(root, mean, 0, "test").texts == said(root, mean, 1, "test").texts
    assert run(ensemble.main, [*asking(root), "--runs", mean]) == 0
    assert WITHHELD.format(mean) in " ".join(capsys.readouterr().out.split())
    (file,) = (root / "submissions").glob("facts-001-*.csv")
    out = root / "again.csv"
    asked = ["--root", str(root), str(root / "test.csv"), "--with", file.name, "-o", str(out)]
    assert run(predict.main, asked) == 0
    assert out.read_bytes() == file.read_bytes()


def test_transformers_of_all_folds_become_one(trained, tmp_path, capsys):
    """Of numbers: held-out rows as the run has them, test rows and new ones by the mean."""
    root = tmp_path / "toy"
    shutil.copytree(trained, root)
    asked = ["--root", str(root), "--model", "averaged", "--set=runs=[tiny]"]
    assert run(cv.main, [*asked, "--set=what=logits"]) == 2
    assert run(cv.main, [*asked, "--set=across_folds=true"]) == 0
    (mean,) = root.glob("oof/toy/averaged-*/")
    for fold in range(3):
        own, found = (
            read_fold(root / "oof/toy" / name / f"seed-42/fold-{fold}.npz")[0]
            for name in ("tiny", mean.name)
        )
        np.testing.assert_array_equal(found.valid, own.valid)
        assert not np.array_equal(found.test, own.test)
        saved_ = root / "runs/toy" / mean.name / f"seed-42/fold-{fold}/weights/0"
        each = [
            load_file(root / f"runs/toy/tiny/seed-42/fold-{other}/weights/weights.safetensors")
            for other in range(3)
        ]
        for key, values in load_file(saved_ / "weights.safetensors").items():
            by_hand_ = np.mean([weights_[key] for weights_ in each], axis=0)
            np.testing.assert_allclose(values, by_hand_, rtol=1e-5, atol=1e-8)
    assert run(ensemble.main, ["--root", str(root), "--runs", mean.name, "--method", "best"]) == 0
    assert WITHHELD.format(mean.name) in " ".join(capsys.readouterr().out.split())
    (file,) = (root / "submissions").glob("toy-00*-best.csv")
    out = tmp_path / "bundle"
    assert run(bundle.main, ["--root", str(root), file.name, "-o", str(out)]) == 0
    assert len(list((out / "members").rglob("averaged.json"))) == 1, "all folds have the same"
    asked = ["--root", str(root), file.name, "-o", str(tmp_path / "half"), "--half", "--json"]
    effect = called(bundle.main, asked)["float16"]
    assert effect["honest"] == effect["halved"], "its learners saw what the folds hold out"
    assert effect["as_they_were"] == [mean.name]
    assert effect["changed"] > 0
    assert run(distil.main, ["--root", str(root), "--student", "linear", "--runs", mean.name]) == 2
    assert "made of other runs' learners" in " ".join(capsys.readouterr().err.split())
    shutil.rmtree(root / "runs")
    answered = tmp_path / "answers.csv"
    predict_file(out, str(root / "test.csv"), str(answered), str(root / "sample.csv"))
    assert answered.read_bytes() == file.read_bytes()


def test_it_takes_part_in_a_race(trained, tmp_path):
    """Its finished folds have the settings that it is asked for with, runs and all."""
    root = tmp_path / "toy"
    shutil.copytree(trained, root)
    asked = ["--model", "averaged", "--set=runs=[tiny]", "--set=across_folds=true", "--hours", "1"]
    answer = called(race.main, ["--root", str(root), *asked])
    assert [each["stands"] for each in answer["runs"]] == ["complete"]


def test_it_is_no_student_and_no_teacher(trained, tmp_path, capsys):
    root = tmp_path / "toy"
    shutil.copytree(trained, root)
    assert run(distil.main, ["--root", str(root), "--student", "averaged"]) == 2
    asked = ["--root", str(root), "--model", "linear", "--set=distil={teacher: {model: averaged}}"]
    assert run(cv.main, asked) == 2
    said_ = " ".join(capsys.readouterr().err.split())
    assert "--student averaged: it is made of the learners of finished runs" in said_
    assert "averaged is made of the learners of finished runs by pipeline.cv" in said_


def test_a_killed_averaged_run_goes_on_with_the_learner_that_it_had_made(root):
    assert averaged(root, "runs=[pretrained]", "across_folds=true") == 0
    mean = only(root)
    before = {path: path.read_bytes() for path in root.glob(f"oof/facts/{mean}/seed-42/*.jsonl")}
    assert len(before) == 4
    for path in root.glob(f"oof/facts/{mean}/seed-42/fold-1*"):
        path.unlink()
    (root / f"oof/facts/{mean}/run.json").unlink()
    assert averaged(root, "runs=[pretrained]", "across_folds=true") == 0
    assert {path: path.read_bytes() for path in before} == before


def test_what_cannot_be_averaged_is_refused_before_anything_is_made(root, capsys):
    one, other = networks(root)
    cases = {
        (): "runs is empty. Name finished runs",
        ("runs=[nobody]",): "there is no finished run nobody; finished: ",
        ("runs=[nearest]",): "nearest is of learner nearest; averaged are those of",
        (f"runs=[{one},{other}]", "what=logits"): "have tokenizers of their own in fold 0",
        (f"runs=[{one},pretrained]",): "what is averaged must read rows alike",
        (f"runs=[{other}]",): "has one learner of",
        (f"runs=[{other}]", "across_folds=true"): "learns a tokenizer from the training part",
        (f"runs=[{one}]", "across_folds=true", "what=logits"): "across_folds is of weights",
        ("runs=[pretrained]", 'decoding={"epochs": 3}'): "decoding has epochs; it can set",
        ("runs=[pretrained]", 'decoding={"beams": 1}'): "candidates is 2 and beams 1",
        ("runs=[pretrained,pretrained]",): "runs names pretrained twice",
    }
    for settings, sentence in cases.items():
        assert averaged(root, *settings) in (2, 3, 4), settings
        assert sentence in " ".join(capsys.readouterr().err.split()), settings
    assert not list(root.glob("oof/facts/averaged-*"))


def test_weights_that_did_not_make_the_runs_predictions_are_refused(root, capsys):
    """Such as those of a training on earlier folds, which may have seen what is held out now."""
    trained = root / "runs/facts/pretrained/seed-43/fold-1/trained.json"
    commit_json(trained, {"settings": "0" * 64})
    assert averaged(root, "runs=[pretrained]") != 0
    assert "are not those that made the run's predictions" in " ".join(
        capsys.readouterr().err.split()
    )
    trained.unlink()
    assert averaged(root, "runs=[pretrained]") != 0
    said_ = " ".join(capsys.readouterr().err.split())
    assert "seed-43/fold-1 of pretrained are not there" in said_
    assert "bring that folder here from where the run was trained" in said_
    manifest = root / "oof/facts/pretrained/run.json"
    commit_json(manifest, read_json(manifest) | {"selection": "best-on-valid"})
    assert averaged(root, "runs=[pretrained]") != 0
    chosen = "pretrained: its checkpoints were chosen on the held-out rows"
    assert chosen in " ".join(capsys.readouterr().err.split())
    commit_json(manifest, read_json(manifest) | {"passport": "0" * 64})
    assert averaged(root, "runs=[pretrained]") != 0
    said_ = " ".join(capsys.readouterr().err.split())
    assert "pretrained was trained on other folds; train it anew (--fresh)" in said_


def test_the_doctor_looks_at_each_of_the_learners(root, capsys):
    assert averaged(root, f"runs=[{networks(root)[0]}]", "what=logits", "decoding={beams: 2}") == 0
    assert run(doctor.main, asking(root)) == 0
    second = root / "runs/facts" / only(root) / "seed-42/fold-0/weights/1/weights.safetensors"
    second.write_bytes(second.read_bytes()[:-4] + b"spot")
    capsys.readouterr()
    run(doctor.main, asking(root))
    assert "weights/1/weights.safetensors has changed since" in " ".join(
        capsys.readouterr().out.split()
    )


def test_a_mean_of_span_learners_knows_no_answer_where_one_of_them_learned_it(tmp_path):
    for name, without in (("one", 0), ("two", 3)):
        weight = {"a": torch.full((2,), float(without))}
        digest = commit(tmp_path / name / WEIGHTS, lambda stream, w=weight: write(stream, w))
        facts = {"rate_scale": 1.0, "learnt": {}, "without": without, "seconds": 9.0}
        settings = {"seed": 7, "weights_sha256": digest, "facts": facts}
        commit_json(tmp_path / name / SETTINGS, settings)
    join("weights", [(0, tmp_path / "one"), (1, tmp_path / "two")], 5, tmp_path / "mean")
    told = read_json(tmp_path / "mean/0" / SETTINGS)
    assert told["facts"] == {"rate_scale": 1.0, "learnt": {}, "without": 3, "averaged": 2}
    assert told["seed"] == 5
    mean = read_checked(tmp_path / "mean/0" / WEIGHTS, told["weights_sha256"])
    assert mean["a"].tolist() == [1.5, 1.5]


def test_a_dev_file_tells_what_the_mean_over_folds_scores():
    """The range is withheld where it follows from the folds, for runs that have weight."""
    manifests = [{"name": "mean", "recipe": {"across_folds": True}}, {"name": "b", "recipe": {}}]
    of_folds = Leaderboard(parts={"whole": Range(score=0.8, low=0.7, high=0.9, rows=100)})
    of_dev = replace(of_folds, basis="holdout")
    both, none = np.array([0.5, 0.5]), np.array([0.0, 1.0])
    withheld = of_same_learners(of_folds, manifests, both)
    assert not withheld.parts
    assert "folds do not say what the file scores; a dev file (data.holdout) does" in str(withheld)
    assert of_same_learners(of_dev, manifests, both) is of_dev
    assert of_same_learners(of_folds, manifests, none) is of_folds
