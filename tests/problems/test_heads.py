"""Several targets of classes: a block of probabilities each, one answer for all or one for each."""

import csv
import json

import numpy as np
import pandas as pd
import pytest
import torch

from pipeline import cv, init, predict, rebuild
from pipeline.base import DataError, UsageError
from pipeline.base.command import run
from pipeline.base.config import ColumnsConfig, Competition, DataConfig, TaskConfig
from pipeline.data.labels import LEFT_OUT, encode, single_rows
from pipeline.data.table import MENDED, Table
from pipeline.doctor import __main__ as doctor
from pipeline.ensemble import __main__ as ensemble
from pipeline.ensemble.evidence import Evidence
from pipeline.ensemble.methods.logistic import Task, logistic
from pipeline.ensemble.methods.weights import greedy, mean, simplex
from pipeline.folds import __main__ as fold_command
from pipeline.metrics import get_metric
from pipeline.models.boosting.learner import BoostingFactory, _questions
from pipeline.models.linear.class_fits import learn_answers, restored
from pipeline.models.settings import BoostingRecipe
from pipeline.models.transformer.losses import divergence
from pipeline.models.transformer.objective import fit_codec
from pipeline.problems.registry import problem_of
from pipeline.report import __main__ as report
from pipeline.team import __main__ as team
from tests.problems.heads import CLASSES, FLAT, SIZES, flags, kind, rows, task
from tests.tiny import tiny_backbone


def test_the_type_is_found_again_by_the_name_that_has_its_sizes():
    assert kind().name == "heads(2+3+2)"
    assert problem_of(kind().name).blocks(7) == kind().blocks(7)
    found = kind().within_range(np.random.default_rng(0).random((5, 7)), 1e-6)
    sums = [found[:, own].sum(axis=1) for own in kind().blocks(7)]
    assert np.allclose(sums, 1)
    assert np.allclose(kind().from_scores(kind().to_scores(found, 1e-9)), found)
    assert (kind().as_labels(found, (0, 1)).sum(axis=1) == 3).all()


@pytest.mark.parametrize(
    ("classes", "said"),
    [
        (["past", "now"], "has 'past'; for heads, name the classes head by head"),
        ([], "task.classes is empty"),
        (["a=x", "b=y", "a=z", "b=w"], "has the classes of 'a' in several places"),
        (["a=x", "a=y", "b=z"], "names one class of 'b'"),
        (["a=x", "a=y"], "one head is a multiclass problem"),
    ],
)
def test_classes_that_are_no_heads_are_refused_with_the_way(classes, said):
    with pytest.raises(UsageError, match=said):
        TaskConfig(problem="heads", metric="accuracy", classes=classes)


@pytest.mark.parametrize(
    ("targets", "separator", "said"),
    [
        (["all"], None, "set task.separator to what parts their classes"),
        (["tense", "kind", "sure"], None, r"a column per head .*: \['kind', 'tense', 'sure'\]"),
    ],
)
def test_columns_that_are_not_the_heads_are_refused_with_the_way(targets, separator, said):
    with pytest.raises(UsageError, match=said):
        Competition(
            name="x",
            data=DataConfig(train="a", test="b", sample_submission="c"),
            columns=ColumnsConfig(id="id", texts=["text"], targets=targets),
            task=task(separator=separator),
        )


# Labels, folds.


def test_labels_are_read_from_a_column_each_and_from_one_for_all():
    each = pd.DataFrame(
        {"kind": ["fact", "guess"], "tense": ["now", "past"], "sure": ["no", "yes"]}
    )
    ids = np.array(["a", "b"], dtype=object)
    whole = pd.DataFrame({"all": ["fact-now-no", " guess - past-yes"]})
    expected = flags(np.array([[0, 1, 1], [1, 0, 0]]))
    assert (encode(each, list(each), ids, task())[0] == expected).all()
    targets, problems, _ = encode(whole, ["all"], ids, task(separator="-"))
    assert (targets == expected).all()
    assert not problems
    assert kind().label_text(targets[0], FLAT) == "kind=fact, tense=now, sure=no"


def test_labels_that_are_not_one_of_each_are_told_with_their_ids():
    whole = pd.DataFrame({"all": ["fact-now-no", "fact-now", "", "fact-soon-no"]})
    ids = np.array(list("abcd"), dtype=object)
    targets, problems, _ = encode(whole, ["all"], ids, task(separator="-"))
    assert np.isfinite(targets[0]).all()
    assert np.isnan(targets[1:]).any(axis=1).all()
    assert problems == [
        f"column 'all': a label that is not 3 parts joined by '-': id b ('fact-now'). {MENDED}",
        f"column 'all': no label: id c. {LEFT_OUT.format('')}",
        "column 'tense': a class that is not in task.classes: id d ('soon'). Mend them; or, where "
        "they are right, name all classes (init: --classes)",
    ]


def test_strata_are_joined_classes_and_rare_ones_do_not_stop_anything():
    numbers = np.array([[0, 0, 0]] * 6 + [[1, 0, 0]] * 5 + [[1, 1, 1]])
    found = kind().strata(flags(numbers), 5, least=3)
    assert len(set(found[:6])) == len(set(found[6:11])) == 1
    assert found[0] != found[6]
    parts = kind().divisions(flags(numbers), ["all"], FLAT)
    assert [each.names[0] for each in parts] == ["class 'kind=fact'", "class 'tense=past'",
                                                 "class 'sure=yes'"]  # fmt: skip
    assert (np.stack([each.class_of_row for each in parts], axis=1) == numbers).all()


def test_the_only_row_of_a_class_of_one_head_can_be_left_to_training():
    numbers = np.array([[0, 0, 0], [1, 1, 1], [0, 0, 1], [1, 1, 0], [0, 2, 0]])
    table = Table(
        ids=np.array(list("abcde"), dtype=object),
        texts=np.array([["x"]] * 5, dtype=object),
        targets=flags(numbers),
    )
    competition = Competition(
        name="x",
        data=DataConfig(train="a", test="b", sample_submission="c"),
        columns=ColumnsConfig(id="id", texts=["text"], targets=["all"]),
        task=task(separator="-"),
    )
    assert single_rows(table, competition).tolist() == [False] * 4 + [True]


# Learners.


def test_the_loss_of_a_network_is_the_sum_of_the_heads_cross_entropies():
    numbers, guess = rows(0)
    codec = fit_codec(task(), "auto", flags(numbers))
    encoded, logits = torch.tensor(codec.encode(flags(numbers))), torch.randn(len(guess), 7)
    blocks = kind().blocks(7)

    def summed(loss):
        pairs = zip(blocks, torch.tensor(numbers).T, strict=True)
        return sum(loss(logits[:, own], target, own) for own, target in pairs)

    entropy = torch.nn.functional.cross_entropy
    expected = summed(lambda own, target, _: entropy(own, target))
    assert float(codec.mean_loss(logits, encoded)) == pytest.approx(float(expected), rel=1e-5)
    smooth = fit_codec(task(), "auto", flags(numbers), {"smoothing": 0.1})
    expected = summed(lambda own, target, _: entropy(own, target, label_smoothing=0.1))
    assert float(smooth.mean_loss(logits, encoded)) == pytest.approx(float(expected), rel=1e-5)
    even = fit_codec(task(), "auto", flags(numbers), class_weights="balanced")
    weights = torch.tensor(even.class_weights)
    for own, column in zip(blocks, numbers.T, strict=True):
        each = weights[own].numpy() * np.bincount(column)
        assert each == pytest.approx(np.full(len(each), len(numbers) / len(each)))
    expected = summed(
        lambda own, target, at: (
            entropy(own, target, reduction="none") * weights[at][target]
        ).mean()
    )
    assert float(even.mean_loss(logits, encoded)) == pytest.approx(float(expected), rel=1e-5)
    focal = fit_codec(task(), "focal", flags(numbers), {"gamma": 0.0})
    expected = summed(lambda own, target, _: entropy(own, target))
    assert float(focal.mean_loss(logits, encoded)) == pytest.approx(float(expected), rel=1e-5)
    chances = codec.decode(logits)
    for own in blocks:
        assert torch.allclose(chances[:, own], logits[:, own].softmax(dim=1))


def test_r_drop_compares_the_heads_distributions_one_by_one():
    one, other = torch.randn(6, 7), torch.randn(6, 7)
    blocks = kind().blocks(7)
    expected = sum(divergence(one[:, own], other[:, own], "softmax") for own in blocks)
    assert float(divergence(one, other, "softmax", blocks)) == pytest.approx(float(expected))


@pytest.mark.parametrize("way", ["squares", "logistic"])
def test_the_linear_learner_fits_each_head_as_it_fits_one_of_several_classes(way):
    numbers, _ = rows(1)
    scores = np.random.default_rng(1).normal(size=(len(numbers), 7)) + 0.5 * flags(numbers)

    def fitted(targets, settings, scores, k):
        table = Table(ids=np.arange(len(targets)), texts=np.zeros((len(targets), 1)),
                      targets=targets)  # fmt: skip
        (answers,) = learn_answers(table, settings, k, way)
        encoded = answers.encode(targets)
        sharp = answers.sharpened(scores, encoded)
        return encoded, sharp, answers.surprise(scores, encoded)

    encoded, sharp, surprise = fitted(flags(numbers), task(), scores, 7)
    total = 0.0
    for own, column in zip(kind().blocks(7), numbers.T, strict=True):
        k = own.stop - own.start
        settings = TaskConfig(problem="multiclass", metric="accuracy", classes=list("abc"))
        each = fitted(column[:, None].astype(float), settings, scores[:, own], k)
        assert np.array_equal(encoded[:, own], each[0])
        assert sharp.decode(scores)[:, own] == pytest.approx(each[1].decode(scores[:, own]))
        total += each[2]
    assert surprise == pytest.approx(total)
    kept = restored(task(), way, {"center": sharp.center, "scale": sharp.scale})
    assert np.array_equal(kept.decode(scores), sharp.decode(scores))


def test_boosting_asks_for_the_class_of_each_head():
    numbers, _ = rows(2)
    factory = BoostingFactory(BoostingRecipe(name="b"), task(), 7)
    asked = _questions(flags(numbers), factory)
    assert [classes for _, classes in asked] == SIZES
    assert (np.stack([column for column, _ in asked], axis=1) == numbers).all()


# Blends.


def evidence(metric="log-loss", n=300):
    numbers, good = rows(3, n)
    bad = rows(4, n)[1]
    folds = np.arange(n) % 4
    return Evidence.gather(
        ["good", "bad"], [good, bad], flags(numbers), folds, np.arange(n),
        get_metric(metric, task(metric)), kind().name,
    )  # fmt: skip


def test_the_simplex_finds_the_likeliest_weights_over_blocks():
    found = evidence()
    weights = simplex(found, found.folds).weights
    truth = found.truth == 1

    def loss(share):
        return -np.log(share * found.oof[0][truth] + (1 - share) * found.oof[1][truth]).mean()

    shares = np.linspace(0, 1, 1001)
    assert weights[0] == pytest.approx(shares[np.argmin([loss(s) for s in shares])], abs=0.002)


@pytest.mark.parametrize("method", [mean, greedy, simplex, logistic])
def test_every_blend_gives_a_distribution_for_each_head(method):
    found = evidence("joint-weighted-f1")
    blended = method(found, found.folds).predict(found.given, found.problem)
    for own in kind().blocks(7):
        assert blended[:, own].sum(axis=1) == pytest.approx(np.ones(len(blended)), abs=1e-5)


def test_slopes_of_the_stacker_are_those_of_its_loss():
    random = np.random.default_rng(0)
    numbers, _ = rows(0, 30)
    toy = Task(random.normal(size=(30, 7)), random.normal(size=(30, 7, 3)), flags(numbers),
               kind().blocks(7))  # fmt: skip
    at, step = random.normal(size=3), 1e-5

    def loss(at):
        return toy.explain(at)[0]

    def slopes(at):
        return toy.slopes(toy.explain(at)[1])

    gradient, curved = slopes(at)
    for place, ahead in enumerate(np.eye(3) * step):
        slope = (loss(at + ahead) - loss(at - ahead)) / (2 * step)
        assert gradient[place] == pytest.approx(slope, abs=1e-6)
        bend = (slopes(at + ahead)[0] - slopes(at - ahead)[0]) / (2 * step)
        assert curved[place] == pytest.approx(bend, abs=1e-5)


# The form of a file.


class Sample:
    made_up = False

    def __init__(self, columns):
        self.columns = list(columns)
        self.values = np.array(list(zip(*columns.values(), strict=True)), dtype=object)


GUESS = np.array([[0.9, 0.1, 0.2, 0.3, 0.5, 0.4, 0.6]])


def written(sample, **more):
    settings = task(**more)
    form = kind().form(settings, ["all"], "label", Sample(sample))
    return kind().texts(form, settings, GUESS, (0.0, 1.0))


def test_the_answer_is_joined_or_a_column_each_as_the_sample_shows():
    assert written({"label": ["fact-now-yes"]}, separator="-") == {"label": ["fact-later-no"]}
    columns = {"sure": ["yes"], "kind": ["fact"], "tense": ["now"]}
    answers = {"sure": ["no"], "kind": ["fact"], "tense": ["later"]}
    assert written(columns) == answers
    chances = {name.replace("=", "_"): ["0.5"] for name in FLAT}
    assert written(chances)["tense_later"] == ["0.5"]
    codes = ["F", "G", "0", "1", "2", "y", "n"]
    assert written({"label": ["F|1|y"]}, separator="|", class_codes=codes) == {"label": ["F|2|n"]}


@pytest.mark.parametrize(
    ("sample", "separator", "said"),
    [
        ({"label": ["fact-now-yes"]}, None, "set task.separator to what parts their classes"),
        ({"label": ["fact/now/yes"]}, "-", "expected a class of each of the 3 targets, parted"),
        ({"label": ["F-N-Y"]}, "-", "which class is written how"),
        ({"tense": ["now"], "kind": ["fact"]}, None, "expected a column per target"),
    ],
)
def test_a_sample_that_does_not_fit_is_refused_with_the_way(sample, separator, said):
    with pytest.raises(DataError, match=said):
        written(sample, separator=separator)


# The whole way.

WORDS = {"fact": "iron", "guess": "cloud", "past": "autumn", "now": "noon", "later": "dawn",
         "yes": "rock", "no": "mist"}  # fmt: skip


def sentences(n, seed, name):
    random = np.random.default_rng(seed)
    for number in range(n):
        labels = [own[min(random.integers(4), len(own) - 1)] for own in CLASSES.values()]
        told = [WORDS[each] if random.random() < 0.9 else "grass" for each in labels]
        yield f"{name}{number}", f"{' '.join(told)} {random.integers(10**6)}", labels


def competition(root, joined):
    """200 rows; the combination guess-later-no does not occur in train."""
    data = root / "data" / "toy"
    data.mkdir(parents=True)
    train = [r for r in sentences(220, 0, "r") if r[2] != ["guess", "later", "no"]][:200]
    test = list(sentences(30, 1, "t"))
    header = ["label"] if joined else list(CLASSES)

    def cells(labels):
        return ["-".join(labels)] if joined else labels

    files = {
        "train": (["id", "text", *header], [[i, t, *cells(own)] for i, t, own in train]),
        "test": (["id", "text"], [[i, t] for i, t, _ in test]),
        "sample_submission": (["id", *header], [[i, *cells(train[0][2])] for i, _, _ in test]),
    }
    for name, (top, body) in files.items():
        with (data / f"{name}.csv").open("w", newline="") as stream:
            csv.writer(stream).writerows([top, *body])
    return data, {i: cells(own) for i, _, own in test}


def table(path):
    return csv.DictReader(path.read_text().splitlines())


def mates_file(root, data):
    """A mate's probabilities under the classes' own names, on our folds."""
    folds = {r["id"]: r["fold"] for r in table(root / "folds/toy.csv")}
    random = np.random.default_rng(5)
    lines = [["id", "part", "fold", *(name for own in CLASSES.values() for name in own)]]
    for part in ("train", "test"):
        for row in table(data / f"{part}.csv"):
            values = []
            for own in CLASSES.values():
                told = np.array([WORDS[name] in row["text"] for name in own], dtype=float)
                share = 0.2 + 0.5 * told + 0.2 * random.random(len(own))
                values += (share / share.sum()).tolist()
            lines.append([row["id"], part, folds.get(row["id"], ""), *values])
    path = root / "mate.csv"
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows(lines)
    return str(path)


def columns_of_classes(root, data, names, labels=False):
    """A mate's classes in a column per target, called by *names*; *labels* may stand beside."""
    folds = {r["id"]: r["fold"] for r in table(root / "folds/toy.csv")}
    lines = [["id", "part", "fold", *names, *(CLASSES if labels else [])]]
    for part in ("train", "test"):
        for place, row in enumerate(table(data / f"{part}.csv")):
            told = [
                max(own, key=lambda name: (WORDS[name] in row["text"], (place + len(name)) % 3))
                for own in CLASSES.values()
            ]
            right = [row.get(head, "") for head in CLASSES] if labels else []
            lines.append([row["id"], part, folds.get(row["id"], ""), *told, *right])
    path = root / "classes.csv"
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows(lines)
    return str(path)


@pytest.mark.parametrize(
    ("names", "labels"),
    [(list(CLASSES), False), ([f"pred_{head}" for head in CLASSES], True)],
    ids=["called like the targets", "beside the labels"],
)
def test_a_mates_file_may_have_a_column_of_classes_per_target(
    tmp_path, monkeypatch, capsys, names, labels
):
    monkeypatch.chdir(tmp_path)
    data, _ = competition(tmp_path, joined=False)
    assert run(init.main, [str(data), "--folds", "3"]) == 0
    assert run(fold_command.main, ["--config", "toy"]) == 0
    path = columns_of_classes(tmp_path, data, names, labels)
    run(team.main, ["add", path, "--name", "mate", "--config", "toy", "--force", "--why"])
    told = " ".join(capsys.readouterr().out.split())
    assert f"{', '.join(names)} hold names of classes, read as 0 and 1" in told
    assert ("taken as the labels" in told) == labels
    (stored,) = (tmp_path / "oof/toy/mate").rglob("fold-0.npz")
    part = np.load(stored, allow_pickle=False)
    values = dict(zip(part["test_ids"].tolist(), part["test"].tolist(), strict=True))
    classes = [name for own in CLASSES.values() for name in sorted(own)]
    for row in table(tmp_path / "classes.csv"):
        if row["part"] == "test":
            given = {row[name] for name in names}
            assert values[row["id"]] == [float(name in given) for name in classes]


@pytest.mark.nightly
@pytest.mark.parametrize(
    "joined",
    [
        pytest.param(True, id="joined"),
        pytest.param(False, id="a column each"),
    ],
)
def test_several_targets_go_the_whole_way(tmp_path, monkeypatch, capsys, joined):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)
    data, truth = competition(tmp_path, joined)

    def done(command, *argv):
        code = run(lambda given: command.main(given), list(argv))
        told = capsys.readouterr()
        assert code == 0, told.err
        return told.out

    told = " ".join(done(init, str(data), "--folds", "3").split())
    assert "As one class of 11 instead: --problem multiclass" in told or not joined
    assert "3 targets of 7 classes, 11 of their combinations occur" in told
    config = ["--config", "toy"]
    done(cv, *config, "--model", "linear")
    outputs = json.loads((tmp_path / "oof/toy/linear/run.json").read_text())["outputs"]
    heads = ["label_1", "label_2", "label_3"] if joined else list(CLASSES)
    assert outputs == [
        f"{head}={name}"
        for head, own in zip(heads, CLASSES.values(), strict=True)
        for name in sorted(own)
    ]
    assert "the class of each target" in done(ensemble, *config)
    (file,) = (tmp_path / "submissions").glob("toy-001-best.csv")
    lines = [line.split(",") for line in file.read_text().splitlines()]
    assert lines[0] == (["id", "label"] if joined else ["id", *CLASSES])
    answers = {row_id: own for row_id, *own in lines[1:]}
    right = {row_id for row_id, own in answers.items() if own == truth[row_id]}
    assert len(right) > 0.5 * len(truth)
    unseen = {i for i, own in truth.items() if "-".join(own) == "guess-later-no"}
    assert right & unseen
    if not joined:
        return
    (tmp_path / "configs" / "models").mkdir()
    backbone = tiny_backbone(tmp_path / "backbone", [" ".join([*WORDS.values(), "grass"])])
    recipe = f"learner: transformer\nbackbone: {backbone}\nepochs: 1\nmax_length: 16\n"
    (tmp_path / "configs" / "models" / "tiny.yaml").write_text(recipe)
    done(cv, *config, "--model", "tiny")
    assert "the same bytes" in done(rebuild, str(file))
    out = tmp_path / "again.csv"
    done(predict, str(data / "test.csv"), "--with", file.name, "-o", str(out))
    assert out.read_bytes() == file.read_bytes()
    told = done(team, "add", mates_file(tmp_path, data), "--name", "mate", "--by", "Anna", *config)
    assert "verdict  in" in told
    assert "mate" in done(ensemble, *config, "--method", "simplex")
    assert "consistent" in done(doctor, *config)
    assert "wrote" in done(report, *config)
