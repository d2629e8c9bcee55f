"""The same letters in other characters (NFC and NFD) are the same, and are written as given."""

from pathlib import Path
from unicodedata import normalize

import pandas as pd
import pytest

from pipeline import cv, init
from pipeline.base.command import run
from pipeline.ensemble import __main__ as ensemble
from tests.nightly import nightly
from tests.quick import quick

CLASSES = ["경제", "문화", "정치"]
WORDS = {"경제": "시장 가격", "문화": "노래 그림", "정치": "투표 국회"}


def nfd(text: str) -> str:
    return normalize("NFD", text)


def written(folder: Path, apart: str) -> Path:
    """A competition of three classes; *apart* is what stands in decomposed characters."""
    labels = [CLASSES[row % 3] for row in range(60)]
    texts = [f"{WORDS[label]} {row}" for row, label in enumerate(labels)]
    train = pd.DataFrame({"아이디": [f"글{row}" for row in range(60)], "제목": texts})
    train["분류"] = [
        nfd(label) if apart == "labels" and row % 2 else label for row, label in enumerate(labels)
    ]
    test = train.drop(columns="분류").tail(12).assign(아이디=[f"시험{row}" for row in range(12)])
    sample = pd.DataFrame({"아이디": test["아이디"], "분류": "정치"})
    if apart == "train header":
        train.columns = pd.Index(map(nfd, train.columns))
    if apart == "sample":
        sample = sample.map(nfd)
        sample.columns = pd.Index(map(nfd, sample.columns))
    for name, frame in (("train", train), ("test", test), ("sample_submission", sample)):
        frame.to_csv(folder / f"{name}.csv", index=False, encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    "apart",
    [
        "labels",
        nightly("train header"),
        nightly("nothing"),
        nightly("sample"),
    ],
)
def test_what_looks_the_same_is_the_same_and_is_written_as_the_sample_has_it(tmp_path, apart):
    (tmp_path / "data" / "주제").mkdir(parents=True)
    folder = written(tmp_path / "data" / "주제", apart)
    root = ["--root", str(tmp_path)]
    assert run(init.main, [str(folder), *root, "--name", "topics"]) == 0
    config = ["--config", str(tmp_path / "configs" / "topics.yaml")]
    quick(tmp_path)
    assert run(cv.main, [*root, *config, "--model", "linear"]) == 0
    assert run(ensemble.main, [*root, *config]) == 0
    (file,) = (tmp_path / "submissions").glob("*.csv")
    lines = file.read_text(encoding="utf-8").splitlines()
    sample = (folder / "sample_submission.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0] == sample[0]
    assert [line.split(",")[0] for line in lines] == [line.split(",")[0] for line in sample]
    answers = {line.split(",")[1] for line in lines[1:]}
    known = {nfd(name) if apart == "sample" and name == "정치" else name for name in CLASSES}
    assert answers == known
