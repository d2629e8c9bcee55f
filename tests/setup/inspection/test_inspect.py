import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.base.config import ColumnsConfig, Competition, DataConfig, FoldsConfig, TaskConfig
from pipeline.data.tables import load
from pipeline.setup.inspection import duplicates as codes_room
from pipeline.setup.inspection.duplicates import code, copies, group_facts, overlap
from pipeline.setup.inspection.inspect import look
from tests.setup.inspection.toys import competition, sentences

PRACTICE = Path(__file__).resolve().parents[3].parent / "shared" / "data"


def write_toy(root):
    rng = np.random.default_rng(0)
    train = pd.DataFrame({"id": range(80), "text": sentences(rng, 80), "kind": ["a", "b"] * 40})
    train["extra"] = "x"
    train["label"] = rng.random(80).round(2)
    train.to_csv(root / "train.csv", index=False)
    test = train.head(60).assign(id=range(100, 160), text=sentences(rng, 60))
    test[["id", "text", "kind"]].to_csv(root / "test.csv", index=False)
    test[["id", "label"]].to_csv(root / "sample.csv", index=False)
    toy = competition()
    return replace(toy, columns=replace(toy.columns, features=["kind"]))


def test_a_whole_look_is_the_same_every_time_and_fits_into_json(tmp_path):
    toy = write_toy(tmp_path)
    tables = load(toy, tmp_path)
    seen = look(toy, tables, tmp_path)
    assert seen.rows == {"train": 80, "test": 60}
    assert seen.columns.only_train == ["extra"]
    assert seen.alike is not None
    first, second = (
        json.dumps(replace(one, machine=seen.machine).as_dict(), allow_nan=False)
        for one in (seen, look(toy, tables, tmp_path, {"train": ["extra"], "test": []}))
    )
    assert first == second
    assert json.loads(first)["spread"]["totals"] == {"train": 80}


def practice(name, texts, target, problem, classes=()):
    folder = PRACTICE / name
    if not folder.is_dir():
        pytest.skip(f"the practice competition {name} does not lie beside the checkout")
    return load(
        Competition(
            name=name,
            data=DataConfig(
                train="train.csv", test="test.csv", sample_submission="sample_submission.csv"
            ),
            columns=ColumnsConfig(id="id", texts=texts, targets=[target]),
            task=TaskConfig(problem=problem, metric="pearson", classes=list(classes)),
        ),
        folder,
    )


def as_published(texts):
    """Stands for normalise_all where texts count as equal only when they are."""
    number, distinct = pd.factorize(texts.ravel())
    return np.array(distinct, dtype=object), number.reshape(texts.shape)


@pytest.mark.parametrize(
    ("arguments", "counts", "groups", "in_train"),
    [
        (("stsb-en", ["sentence1", "sentence2"], "score", "regression"),
         {"swapped": 14, "sentences": 10_536, "shared": 675, "shared_rows": 1_282},
         (4_863, 223), {"same": 12, "swapped": 5, "sharing": 249}),
        (("klue-sts", ["sentence_1", "sentence_2"], "label", "regression"),
         {"repeated": 3, "repeated_rows": 10, "conflicting": 2, "same_sides": 15,
          "sentences": 21_029, "shared": 19, "shared_rows": 39},
         (10_514, 6), {"same": 0, "sharing": 2}),
        (("nsmc", ["document"], "label", "binary", ["0", "1"]),
         {"repeated": 58, "repeated_rows": 160, "conflicting": 8},
         (9_898, 11), {"same": 33}),
    ],
)  # fmt: skip
def test_without_normalising_the_figures_are_those_the_publisher_of_the_data_counted(
    arguments, counts, groups, in_train, monkeypatch
):
    tables = practice(*arguments)
    monkeypatch.setattr(codes_room, "normalise_all", as_published)
    train, test = code([tables.train.texts, tables.test.texts])
    found = copies(tables.train, train)
    assert {name: getattr(found, name) for name in counts} == counts
    exact = group_facts(tables.train, train, FoldsConfig(groups="exact"))[0]
    assert (exact.count, exact.largest) == groups
    shared = overlap(tables.train, train, tables.test, test)
    assert {name: getattr(shared, name) for name in in_train} == in_train
