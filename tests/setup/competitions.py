"""Little competitions of many kinds, written to a folder as an organiser would hand them out."""

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.base.seeding import generator

WORDS = ["river", "stone", "quiet", "engine", "paper", "window", "garden", "market", "signal"]
WORDS += ["winter", "bridge", "yellow", "kitchen", "doctor", "music", "simple", "travel", "letter"]
N, M = 120, 40
Rows = Mapping[str, Sequence[Any]]


class Maker:
    """Draws sentences and labels; the same for the same name."""

    def __init__(self, name: str) -> None:
        self.rng: np.random.Generator = generator(0, name)

    def sentences(self, count: int, words: int = 9) -> list[str]:
        return [" ".join(self.rng.choice(WORDS, size=words)).capitalize() for _ in range(count)]

    def of(self, values: Sequence[Any], count: int) -> list[Any]:
        """Each value about equally often, all of them at least once."""
        drawn = [values[place % len(values)] for place in range(count)]
        return [drawn[place] for place in self.rng.permutation(count)]


def write(path: Path, rows: Rows) -> None:
    frame = pd.DataFrame({name: list(values) for name, values in rows.items()}, dtype=object)
    path.parent.mkdir(parents=True, exist_ok=True)
    match path.suffix:
        case ".parquet":
            frame.infer_objects().to_parquet(path)
        case ".jsonl":
            lines = [json.dumps(row, ensure_ascii=False) for row in frame.to_dict("records")]
            path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        case _:
            with path.open("w", encoding="utf-8", newline="") as stream:
                writer = csv.writer(stream, delimiter="\t" if path.suffix == ".tsv" else ",")
                writer.writerow(rows)
                writer.writerows(zip(*rows.values(), strict=True))


def handed_out(
    folder: Path, train: Rows, test: Rows, sample: Rows | None, suffix: str = ".csv"
) -> Path:
    write(folder / f"train{suffix}", train)
    write(folder / f"test{suffix}", test)
    if sample is not None:
        write(folder / "sample_submission.csv", sample)
    return folder


def disaster(folder: Path) -> Path:
    make = Maker("disaster")
    ids, test_ids = range(N), range(N, N + M)

    def columns(count: int) -> dict[str, list[Any]]:
        return {
            "keyword": make.of(["", "fire", "body%20bags", "flood"], count),
            "location": make.sentences(count, 3),
            "text": make.sentences(count),
        }

    train = {"id": ids, **columns(N), "target": make.of([0, 1], N)}
    return handed_out(
        folder, train, {"id": test_ids, **columns(M)}, {"id": test_ids, "target": [0] * M}
    )


TOXIC = ["toxic", "severe_toxic", "obscene", "threat", "insult", "identity_hate"]


def toxic(folder: Path) -> Path:
    make = Maker("toxic")
    labels = {name: make.of([0, 0, 1], N) for name in TOXIC}
    ids, test_ids = [f"{n:016x}" for n in range(N)], [f"{n:016x}" for n in range(N, N + M)]
    return handed_out(
        folder,
        {"id": ids, "comment_text": make.sentences(N, 20), **labels},
        {"id": test_ids, "comment_text": make.sentences(M, 20)},
        {"id": test_ids, **{name: [0.5] * M for name in TOXIC}},
    )


def essay_grades(folder: Path) -> Path:
    make = Maker("essay")
    test_ids = [f"e{n:05}" for n in range(M)]
    return handed_out(
        folder,
        {
            "essay_id": [f"a{n:05}" for n in range(N)],
            "full_text": make.sentences(N, 80),
            "score": make.of([1, 2, 3, 4, 5, 6], N),
        },
        {"essay_id": test_ids, "full_text": make.sentences(M, 80)},
        {"essay_id": test_ids, "score": make.of([3, 2, 4], M)},
    )


ASPECTS = ["cohesion", "syntax", "vocabulary", "phraseology", "grammar", "conventions"]


def several_numbers(folder: Path) -> Path:
    make = Maker("several")
    grades = np.arange(1, 5.5, 0.5)
    test_ids = [f"T{n}" for n in range(M)]
    return handed_out(
        folder,
        {
            "text_id": [f"E{n}" for n in range(N)],
            "full_text": make.sentences(N, 60),
            **{name: make.of(list(grades), N) for name in ASPECTS},
        },
        {"text_id": test_ids, "full_text": make.sentences(M, 60)},
        {"text_id": test_ids, **{name: [3.0] * M for name in ASPECTS}},
    )


def entailment_words(folder: Path) -> Path:
    make = Maker("words")

    def columns(count: int) -> dict[str, list[Any]]:
        return {
            "genre": make.of(["fiction", "telephone", "travel"], count),
            "premise": make.sentences(count),
            "hypothesis": make.sentences(count, 6),
        }

    ids, test_ids = range(N), range(M)
    label = make.of(["entailment", "neutral", "contradiction"], N)
    return handed_out(
        folder,
        {"index": ids, **columns(N), "label": label},
        {"index": test_ids, **columns(M)},
        {"index": test_ids, "label": ["answer"] * M},
    )


def nli_numbers(folder: Path) -> Path:
    make = Maker("nli")

    def columns(ids: Sequence[str]) -> dict[str, Sequence[Any]]:
        return {
            "id": ids,
            "premise": make.sentences(len(ids)),
            "hypothesis": make.sentences(len(ids), 6),
            "lang_abv": make.of(["en", "ko", "de"], len(ids)),
            "language": make.of(["English", "Korean", "German"], len(ids)),
        }

    train_ids, test_ids = [f"{n:010x}" for n in range(N)], [f"{n:010x}" for n in range(N, N + M)]
    return handed_out(
        folder,
        {**columns(train_ids), "label": make.of([0, 1, 2], N)},
        columns(test_ids),
        {"id": test_ids, "prediction": [1] * M},
    )


def question_pairs(folder: Path) -> Path:
    make = Maker("questions")
    pool = make.sentences(80)
    ones, others = make.rng.integers(0, 80, N), make.rng.integers(0, 80, N)
    return handed_out(
        folder,
        {
            "id": range(N),
            "qid1": ones,
            "qid2": others,
            "question1": [pool[n] for n in ones],
            "question2": [pool[n] for n in others],
            "is_duplicate": make.of([0, 1], N),
        },
        {"test_id": range(M), "question1": make.sentences(M), "question2": make.sentences(M)},
        {"test_id": range(M), "is_duplicate": [0.37] * M},
    )


def code_similarity(folder: Path) -> Path:
    make = Maker("code")

    def paths(count: int, part: str) -> list[str]:
        return [f"./{part}/problem{n % 7:03}/{n:04}.cpp" for n in range(count)]

    return handed_out(
        folder,
        {
            "pair_id": [f"TRAIN_{n:04}" for n in range(N)],
            "code1_path": paths(N, "train"),
            "code2_path": paths(N, "other"),
            "similar": make.of([0, 1], N),
        },
        {
            "pair_id": [f"TEST_{n:04}" for n in range(M)],
            "code1_path": paths(M, "test"),
            "code2_path": paths(M, "test"),
        },
        {"pair_id": [f"TEST_{n:04}" for n in range(M)], "similar": [0] * M},
    )


def topic_words(folder: Path) -> Path:
    make = Maker("topics")
    topics = ["정치", "경제", "사회", "스포츠"]
    test_ids = [f"test-{n}" for n in range(M)]
    headlines = ["서울 지하철 파업 이틀째…출근길 혼잡", "금리 동결에 환율 소폭 하락 마감"]
    return handed_out(
        folder,
        {
            "guid": [f"train-{n}" for n in range(N)],
            "title": [f"{headlines[n % 2]} {n}" for n in range(N)],
            "topic": make.of(topics, N),
            "topic_idx": [0] * N,
        }
        | {"date": [f"2016.06.{n % 28 + 1:02} 오전 9:{n % 60:02}" for n in range(N)]},
        {
            "guid": test_ids,
            "title": [f"{headlines[n % 2]} {n}" for n in range(M)],
        },
        {"guid": test_ids, "topic": ["정치"] * M},
    )


def sentiment_tsv(folder: Path) -> Path:
    """No quoting, no sample submission, ids in test only."""
    make = Maker("tsv")
    quoted = [f'"{text}" he said' for text in make.sentences(N)]
    return handed_out(
        folder,
        {"sentence": quoted, "label": make.of([0, 1], N)},
        {"index": range(M), "sentence": make.sentences(M)},
        None,
        ".tsv",
    )


def reviews_jsonl(folder: Path) -> Path:
    make = Maker("jsonl")
    test_ids = [f"r{n}" for n in range(N, N + M)]
    return handed_out(
        folder,
        {
            "review_id": [f"r{n}" for n in range(N)],
            "title": make.sentences(N, 4),
            "body": make.sentences(N, 30),
            "stars": make.of([1, 2, 3, 4, 5], N),
        },
        {"review_id": test_ids, "title": make.sentences(M, 4), "body": make.sentences(M, 30)},
        {"review_id": test_ids, "stars": [3.5] * M},
        ".jsonl",
    )


def spam_parquet(folder: Path) -> Path:
    make = Maker("parquet")
    test_ids = list(range(1000, 1000 + M))
    return handed_out(
        folder,
        {"id": list(range(N)), "sms": make.sentences(N), "spam": make.of([True, False], N)},
        {"id": test_ids, "sms": make.sentences(M)},
        {"id": test_ids, "spam": [0.5] * M},
        ".parquet",
    )


def column_per_class(folder: Path) -> Path:
    make = Maker("authors")
    test_ids = [f"id{n:05}" for n in range(N, N + M)]
    chances = {name: [0.33] * M for name in ("EAP", "HPL", "MWS")}
    return handed_out(
        folder,
        {
            "id": [f"id{n:05}" for n in range(N)],
            "text": make.sentences(N),
            "author": make.of(["MWS", "HPL", "EAP"], N),
            "target": make.of([0, 1], N),
        },
        {"id": test_ids, "text": make.sentences(M)},
        {"id": test_ids, **chances},
    )


def similarity(folder: Path) -> Path:
    """Two sentences, a bounded score, its binarised copy, a source and a dev file."""
    make = Maker("similarity")

    def columns(part: str, count: int) -> dict[str, Sequence[Any]]:
        return {
            "id": [f"{part}-{n:03}" for n in range(count)],
            "source": make.of(["news", "reviews"], count),
            "sentence_1": make.sentences(count),
            "sentence_2": make.sentences(count),
        }

    def labels(count: int) -> dict[str, Sequence[Any]]:
        scores = make.of([n / 10 for n in range(51)], count)
        return {"label": scores, "binary-label": [float(score >= 3) for score in scores]}

    write(folder / "dev.csv", {**columns("dev", M), **labels(M)})
    test = columns("test", M)
    sample = {"id": test["id"], "target": [0.0] * M}
    return handed_out(folder, {**columns("train", 4 * N), **labels(4 * N)}, test, sample)


ALL: list[Callable[[Path], Path]] = [
    disaster,
    toxic,
    essay_grades,
    several_numbers,
    entailment_words,
    nli_numbers,
    question_pairs,
    code_similarity,
    topic_words,
    sentiment_tsv,
    reviews_jsonl,
    spam_parquet,
    column_per_class,
    similarity,
]
