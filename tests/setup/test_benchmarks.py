"""`init --benchmark NAME`: from official files, or what `datasets` saved, to official answers."""

import itertools
import json
import sys

import numpy as np
import pandas as pd
import pytest
import yaml

from pipeline import cv, init
from pipeline.base import Competition
from pipeline.base.command import run
from pipeline.base.parser import read_section
from pipeline.data import load
from pipeline.data.template import view_of
from pipeline.ensemble import __main__ as ensemble
from pipeline.setup.benchmark_files import official_files
from pipeline.setup.benchmarks import BENCHMARKS
from tests.nightly import every
from tests.setup.official import FILES, ROWS

METRICS = {
    "cola": "mcc",
    "sst2": "accuracy",
    "mrpc": "mean(accuracy, f1)",
    "stsb": "mean(pearson, spearman)",
    "qqp": "mean(accuracy, f1)",
    "mnli": "accuracy",
    "qnli": "accuracy",
    "rte": "accuracy",
    "wnli": "accuracy",
    "klue-ynat": "macro-f1",
    "klue-sts": "pearson",
    "klue-nli": "accuracy",
    "klue-re": "micro-f1(no_relation)",
    "klue-ner": "klue-entity-f1",
}
"""As the papers of GLUE and KLUE have it."""
NUMBERS, ENTAILED = {"0", "1"}, {"entailment", "not_entailment"}
ANSWERS = {
    "cola": ("CoLA.tsv", NUMBERS),
    "sst2": ("SST-2.tsv", NUMBERS),
    "mrpc": ("MRPC.tsv", NUMBERS),
    "stsb": ("STS-B.tsv", {"0.500", "4.750"}),
    "qqp": ("QQP.tsv", NUMBERS),
    "mnli": ("MNLI-m.tsv MNLI-mm.tsv", {"entailment", "neutral", "contradiction"}),
    "qnli": ("QNLI.tsv", ENTAILED),
    "rte": ("RTE.tsv", ENTAILED),
    "wnli": ("WNLI.tsv", NUMBERS),
}
"""The files that gluebenchmark.com takes, and what stands in them."""


def begun(root, name, *more):
    source = root / "official"
    source.mkdir()
    FILES[name](source)
    return run(init.main, ["--benchmark", name, str(source), "--root", str(root), *more])


@pytest.mark.parametrize("name", every(2, BENCHMARKS))
def test_every_benchmark_is_read_with_its_metric_and_classes(tmp_path, name):
    assert set(METRICS) == set(BENCHMARKS) == set(FILES)
    assert begun(tmp_path, name) == 0
    config = yaml.safe_load((tmp_path / "configs" / f"{name}.yaml").read_text(encoding="utf-8"))
    assert config["task"]["metric"] == METRICS[name]
    assert config["task"]["classes"] == list(BENCHMARKS[name].classes)
    assert config["submissions"] == {"benchmark": name}
    folder = tmp_path / "data" / name
    rows = {file.stem: pd.read_csv(file, dtype=str) for file in folder.glob("*.csv")}
    assert set(rows) == {"train", "dev", "test", "sample_submission"}
    assert "label" not in rows["test"].columns
    assert rows["train"]["label"].notna().all()
    assert len(rows["train"]) == ROWS * (5 if name.startswith("klue") else 1)
    assert list(rows["test"]["id"]) == list(rows["sample_submission"]["id"])
    names, words = ANSWERS.get(name, ("", set()))
    assert words <= {*BENCHMARKS[name].classes, "0.500", "4.750"}
    sample, given = rows["sample_submission"], itertools.cycle(sorted(words) or [""])
    sample[sample.columns[1]] = [next(given) for _ in range(len(sample))]
    sample.to_csv(tmp_path / "sent.csv", index=False)
    competition = read_section(Competition, tmp_path / "configs" / f"{name}.yaml")
    files = official_files(tmp_path / "sent.csv", competition)
    assert " ".join(file.name for file in files) == names
    told = []
    for file in files:
        lines = [line.split("\t") for line in file.read_text(encoding="utf-8").splitlines()]
        assert lines[0] == ["index", "prediction"]
        assert [line[0] for line in lines[1:]] == [str(row) for row in range(len(lines) - 1)]
        told += [line[1] for line in lines[1:]]
    assert not files or told == list(sample["label"])


def answers(root, name):
    where = ["--root", str(root), "--config", name, "--folds.count", "2"]
    assert run(cv.main, [*where, "--model", "linear"]) == 0
    assert run(ensemble.main, where) == 0
    return sorted((root / "submissions").glob("*/*.tsv"))


def test_glue_gets_a_file_for_each_test_file(tmp_path, capsys):
    assert begun(tmp_path, "mnli") == 0
    files = answers(tmp_path, "mnli")
    assert [file.name for file in files] == ["MNLI-m.tsv", "MNLI-mm.tsv"]
    for place, file in enumerate(files, start=3):
        lines = [line.split("\t") for line in file.read_text().splitlines()]
        assert lines[0] == ["index", "prediction"]
        assert [line[0] for line in lines[1:]] == [str(row) for row in range(ROWS - place)]
        labels = ["entailment", "neutral", "contradiction"]
        right = [labels[(row + 100 * place) % 3] for row in range(ROWS - place)]
        assert np.mean([line[1] == each for line, each in zip(lines[1:], right, strict=True)]) > 0.9
    said = capsys.readouterr().out
    assert said.count("for the benchmark's own evaluation") == 2
    assert "submit it" not in said


def test_similarities_are_written_within_the_scale(tmp_path):
    assert begun(tmp_path, "stsb") == 0
    (file,) = answers(tmp_path, "stsb")
    assert file.name == "STS-B.tsv"
    found = pd.read_csv(file, sep="\t")["prediction"]
    assert found.between(0, 5).all()


def test_the_sample_of_klue_re_takes_the_class_and_all_probabilities(tmp_path):
    assert begun(tmp_path, "klue-re") == 0
    found = pd.read_csv(tmp_path / "data" / "klue-re" / "sample_submission.csv")
    assert list(found.columns) == ["id", "pred_label", "probs"]
    assert {len(json.loads(each)) for each in found["probs"]} == {30}
    config = yaml.safe_load((tmp_path / "configs" / "klue-re.yaml").read_text(encoding="utf-8"))
    assert config["columns"]["template"] == ["{sentence!marked}"]
    competition = read_section(Competition, tmp_path / "configs" / "klue-re.yaml")
    view = view_of(competition.columns)
    assert view is not None
    assert view(load(competition, tmp_path).train, "[SEP]").texts[0, 0] == (
        "〈@ * ORG * 연필 @〉 no_relation 0 # ^ PER ^ 초원 #"
    )


def test_klue_ner_goes_the_whole_way(tmp_path):
    assert begun(tmp_path, "klue-ner") == 0
    where = ["--root", str(tmp_path), "--config", "klue-ner", "--folds.count", "2"]
    assert run(cv.main, [*where, "--model", "crf"]) == 0
    assert run(ensemble.main, where) == 0
    (file,) = (tmp_path / "submissions").glob("*.csv")
    found = pd.read_csv(file, dtype=str)
    dev = pd.read_csv(tmp_path / "data" / "klue-ner" / "dev.csv", dtype=str)
    assert list(found["id"]) == list(dev["id"])
    assert found["id"][0] == "klue-ner-v1_dev_00200-nsmc"
    assert list(found["label"].str.split()) == list(dev["label"].map(json.loads))


def test_broken_lines_are_left_out_in_training_and_refused_in_test(tmp_path, capsys):
    assert begun(tmp_path, "qqp") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "train.tsv: 1 lines without 6 fields are left out (7)" in said
    test = tmp_path / "official" / "test.tsv"
    test.write_text(test.read_text() + "12\tbroken off\n")
    again = ["--benchmark", "qqp", str(tmp_path / "official"), "--root", str(tmp_path), "--force"]
    assert run(init.main, again) == 3
    assert "test.tsv has 1 lines without 3 fields (lines 14)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--benchmark", "klue-dp", "."], 2, "klue-dp asks for a tree"),
        (["--benchmark", "squad", "."], 2, "there is no benchmark 'squad'. There are: cola,"),
        (["--benchmark", "cola"], 2, "a DIR is missing"),
        (["--from-hub"], 2, "--from-hub loads a benchmark"),
        (["--benchmark", "cola", "."], 3, "has no train.tsv, the training rows of GLUE CoLA"),
        (["--benchmark", "cola", "nowhere"], 2, "there is no folder nowhere"),
    ],
)
def test_what_cannot_be_read_is_said_in_a_sentence(
    tmp_path, monkeypatch, capsys, arguments, code, said
):
    monkeypatch.chdir(tmp_path)
    assert run(init.main, arguments) == code
    assert said in capsys.readouterr().err
    assert not (tmp_path / "configs").exists()


@pytest.mark.parametrize(
    ("name", "spoil", "said"),
    [
        (
            "cola",
            lambda folder: (folder / "train.tsv").unlink(),
            "Give the folder with the official",
        ),
        (
            "cola",
            lambda folder: [(folder / f"{split}.tsv").unlink() for split in ("dev", "test")],
            "expected a test or a dev file beside it",
        ),
        (
            "qqp",
            lambda folder: (folder / "test.tsv").write_text("id\tquestion1\n12\ta\n"),
            "take the official file of this benchmark",
        ),
        (
            "qqp",
            lambda folder: (folder / "test.tsv").write_text("id\tquestion1\tquestion2\n1\ta\n"),
            "download the file again",
        ),
        (
            "klue-sts",
            lambda folder: next(folder.glob("*train*")).write_text("{}"),
            "expected the official file of the split: download it again",
        ),
    ],
)
def test_what_is_said_of_official_files_helps(tmp_path, capsys, name, spoil, said):
    source = tmp_path / "official"
    source.mkdir()
    FILES[name](source)
    spoil(source)
    arguments = ["--benchmark", name, str(source), "--root", str(tmp_path)]
    assert run(init.main, arguments) == 3
    assert said in " ".join(capsys.readouterr().err.split())
    FILES[name](source)
    assert run(init.main, arguments) == 0


def test_a_data_set_of_the_hub_is_the_same_as_its_files(tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    monkeypatch.chdir(tmp_path)
    assert begun(tmp_path, "mnli") == 0
    by_file = pd.read_csv(tmp_path / "data" / "mnli" / "train.csv", dtype=str)
    names = BENCHMARKS["mnli"].classes
    kind = datasets.ClassLabel(names=list(names))
    splits = {}
    for split in ("train", "validation_matched", "test_matched", "test_mismatched"):
        rows = by_file.assign(
            premise=by_file["sentence1"], hypothesis=by_file["sentence2"], idx=range(len(by_file))
        )
        rows["label"] = -1 if "test" in split else rows["label"].map(names.index)
        found = datasets.Dataset.from_pandas(
            rows[["premise", "hypothesis", "label", "idx"]], preserve_index=False
        )
        splits[split] = found if "test" in split else found.cast_column("label", kind)
    saved = tmp_path / "saved"
    datasets.DatasetDict(splits).save_to_disk(str(saved))
    arguments = ["--benchmark", "mnli", str(saved), "--from-hub", "--name", "by-hub"]
    assert run(init.main, arguments) == 0
    by_hub = pd.read_csv(tmp_path / "data" / "mnli" / "train.csv", dtype=str)
    pd.testing.assert_frame_equal(by_hub, by_file[by_hub.columns])
    dev = pd.read_csv(tmp_path / "data" / "mnli" / "dev.csv", dtype=str)
    assert list(dev["id"][:2]) == ["dev_matched-0", "dev_matched-1"]


def test_tags_of_the_hub_are_the_same_as_those_of_the_files(tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    monkeypatch.chdir(tmp_path)
    assert begun(tmp_path, "klue-ner") == 0
    names = list(BENCHMARKS["klue-ner"].classes)
    kind = datasets.Sequence(datasets.ClassLabel(names=names))
    splits, files = {}, {"train": "train", "dev": "validation"}
    for file, split in files.items():
        rows = pd.read_csv(tmp_path / "data" / "klue-ner" / f"{file}.csv", dtype=str)
        tags = [[names.index(tag) for tag in json.loads(cell)] for cell in rows["label"]]
        table = {"tokens": rows["tokens"].map(json.loads), "ner_tags": tags}
        splits[split] = datasets.Dataset.from_dict(table).cast_column("ner_tags", kind)
    datasets.DatasetDict(splits).save_to_disk(str(tmp_path / "saved"))
    arguments = ["--benchmark", "klue-ner", str(tmp_path / "saved"), "--from-hub"]
    before = pd.read_csv(tmp_path / "data" / "klue-ner" / "train.csv", dtype=str)
    assert run(init.main, [*arguments, "--name", "by-hub", "--force"]) == 0
    by_hub = pd.read_csv(tmp_path / "data" / "klue-ner" / "train.csv", dtype=str)
    assert list(by_hub["label"]) == list(before["label"])
    assert list(by_hub["tokens"]) == list(before["tokens"])
    assert set(by_hub["id"]).isdisjoint(before["id"]), "it was written anew"


def test_without_datasets_the_message_names_what_to_install(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "datasets", None)
    arguments = ["--benchmark", "cola", "--from-hub", "--root", str(tmp_path)]
    assert run(init.main, arguments) == 2
    assert 'pip install "foldstack[benchmarks]"' in capsys.readouterr().err


def test_a_hub_that_cannot_be_reached_is_said(tmp_path, monkeypatch, capsys):
    datasets = pytest.importorskip("datasets")

    def unreachable(*arguments):
        raise ConnectionError("no route to the hub")

    monkeypatch.setattr(datasets, "load_dataset", unreachable)
    assert run(init.main, ["--benchmark", "cola", "--from-hub", "--root", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert "nyu-mll/glue/cola cannot be loaded (ConnectionError: no route to the hub)" in said
