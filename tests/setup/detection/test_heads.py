"""When several targets are seen in columns or in joined cells, and when classes only look so."""

import csv
import itertools

import pytest

from pipeline.base import UsageError
from pipeline.setup.detection.detect import Overrides, detect
from pipeline.setup.detection.heads import is_product

TENSES, KINDS = ["past", "now", "later"], ["fact", "guess"]
PRODUCT = [f"{kind}-{tense}" for kind in KINDS for tense in TENSES]


@pytest.mark.parametrize(
    ("cells", "seen"),
    [
        (PRODUCT, True),
        (PRODUCT[:-1], False),  # no more cells than parts
        (["sci-fi", "non-fiction", "hip-hop", "rom-com"], False),
        (["B-PER", "I-PER", "B-LOC", "I-LOC", "B-ORG", "I-ORG"], False),
        (["en-US", "en-GB", "fr-FR", "fr-CA", "de-DE", "de-AT", "pt-BR"], False),
        ([f"20{y}-{m}" for y in (20, 21, 22) for m in ("01", "02", "03")], False),
        ([f"{a}-{b}" for a, b in itertools.product(["low", "mid", "high"], repeat=2)], False),
    ],
)
def test_only_parts_that_combine_freely_are_several_targets(cells, seen):
    assert is_product(cells, "-") is seen


def folder(tmp_path, header, labels, answers=None, shown=None):
    """A competition of 120 rows whose labels repeat; the sample shows the first answer."""
    texts = [f"the {word} text says a thing number {n} of many" for n in range(120)
             for word in ["plain"]]  # fmt: skip
    rows = [[f"r{n}", text, *labels[n % len(labels)]] for n, text in enumerate(texts)]
    answers = answers or header
    shown = shown or labels[0]
    files = {
        "train": (["id", "text", *header], rows),
        "test": (["id", "text"], [[f"t{n}", text] for n, text in enumerate(texts[:20])]),
        "sample_submission": (["id", *answers], [[f"t{n}", *shown] for n in range(20)]),
    }
    for name, (top, body) in files.items():
        with (tmp_path / f"{name}.csv").open("w", newline="", encoding="utf-8") as stream:
            csv.writer(stream).writerows([top, *body])
    return tmp_path


def task(path, **more):
    return detect(path, Overrides(**more), str).competition


def test_joined_cells_are_parted_and_the_way_back_is_said(tmp_path):
    path = folder(tmp_path, ["label"], [[each] for each in PRODUCT])
    found = detect(path, Overrides(), str)
    settings = found.competition.task
    assert (settings.problem, settings.metric) == ("heads", "joint-weighted-f1")
    assert settings.classes == [
        "label_1=fact", "label_1=guess", "label_2=later", "label_2=now", "label_2=past",
    ]  # fmt: skip
    assert settings.separator == "-"
    reason = found.reasons["task.problem"]
    assert "As one class of 6 instead: --problem multiclass" in reason
    assert task(path, problem="multiclass").task.classes == sorted(PRODUCT)


def test_columns_that_a_joined_cell_repeats_prove_it_and_name_the_heads(tmp_path):
    few = [["fact", "past"], ["guess", "now"], ["fact", "now"]]
    path = folder(tmp_path, ["kind", "tense", "label"], [[*own, "-".join(own)] for own in few],
                  ["label"], ["fact-past"])  # fmt: skip
    found = task(path)
    assert found.columns.targets == ["label"]
    assert found.task.classes == ["kind=fact", "kind=guess", "tense=now", "tense=past"]


def test_hyphened_classes_stay_one_class_unless_it_is_said(tmp_path):
    path = folder(tmp_path, ["genre"], [["sci-fi"], ["non-fiction"], ["hip-hop"]])
    assert task(path).task.problem == "multiclass"
    asked = task(path, problem="heads").task
    assert asked.classes[:2] == ["genre_1=hip", "genre_1=non"]


def test_columns_of_classes_are_heads_and_the_sample_may_join_them(tmp_path):
    rows = [[kind, tense] for kind in KINDS for tense in TENSES]
    for name in ("each", "one"):
        (tmp_path / name).mkdir()
    path = folder(tmp_path / "each", ["kind", "tense"], rows)
    found = task(path)
    assert (found.task.problem, found.task.metric) == ("heads", "macro-f1")
    assert found.task.separator is None
    path = folder(tmp_path / "one", ["kind", "tense"], rows, ["answer"], ["fact/now"])
    found = task(path)
    assert found.columns.targets == ["kind", "tense"]
    assert (found.task.problem, found.task.separator) == ("heads", "/")
    assert found.task.metric == "joint-weighted-f1"


def test_cells_that_nothing_parts_alike_are_asked_for(tmp_path):
    path = folder(tmp_path, ["genre"], [["sci-fi"], ["drama"], ["hip-hop"]])
    with pytest.raises(UsageError, match=r"hold a class of each target, all joined in the same"):
        task(path, problem="heads")
