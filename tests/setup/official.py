"""Tiny copies of benchmarks in the form of their official files, quirks included."""

import json
from collections.abc import Sequence
from pathlib import Path

ROWS = 36
WORDS = ["market price", "song picture", "vote parliament"]


def _text(row: int, side: str = "") -> str:
    return f'{WORDS[row % 3]} "{row * 7919 % 1000}{side}'  # a quote that is never closed


def _lines(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    lines = ["\t".join(row) for row in ([header] if header else []) + list(rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def cola(folder: Path) -> None:
    for split, start in (("train", 0), ("dev", 100)):
        rows = [
            ["gj04", str(n % 3 % 2), "*"[: n % 3 % 2], _text(n)] for n in range(start, start + ROWS)
        ]
        _lines(folder / f"{split}.tsv", [], rows)
    test = [[str(n), _text(200 + n)] for n in range(12)]
    _lines(folder / "test.tsv", ["index", "sentence"], test)


def mrpc(folder: Path) -> None:
    header = ["Quality", "#1 ID", "#2 ID", "#1 String", "#2 String"]
    for split, start in (("train", 0), ("dev", 100)):
        rows = [
            [str(n % 3 % 2), f"{n}", f"{n + 1}", _text(n), _text(n, "b")]
            for n in range(start, start + ROWS)
        ]
        _lines(folder / f"{split}.tsv", header, rows)
    test = [[str(n), "1", "2", _text(200 + n), _text(200 + n, "b")] for n in range(12)]
    _lines(folder / "test.tsv", ["index", *header[1:]], test)


def qqp(folder: Path) -> None:
    header = ["id", "qid1", "qid2", "question1", "question2", "is_duplicate"]
    for split, start in (("train", 0), ("dev", 100)):
        rows = [
            [f"{n}", "1", "2", _text(n), _text(n, "b"), str(n % 3 % 2)]
            for n in range(start, start + ROWS)
        ]
        rows.insert(5, ["a question that", "breaks off"])
        _lines(folder / f"{split}.tsv", header, rows)
    test = [[str(n), _text(200 + n), _text(200 + n, "b")] for n in range(12)]
    _lines(folder / "test.tsv", ["id", "question1", "question2"], test)


def stsb(folder: Path) -> None:
    header = ["index", "genre", "filename", "year", "old_index", "source1", "source2"]
    header += ["sentence1", "sentence2"]
    for split, start in (("train", 0), ("dev", 100), ("test", 200)):
        rows = [
            [str(n - start), "news", "f", "2012", "1", "s", "s", _text(n), _text(n, "b")]
            for n in range(start, start + ROWS)
        ]
        if split != "test":
            rows = [
                [*row, f"{n % 3 * 2.4 + 0.05 * (n % 2):.3f}"] for n, row in enumerate(rows, start)
            ]
        _lines(folder / f"{split}.tsv", header + ["score"][: split != "test"], rows)


def mnli(folder: Path) -> None:
    parses = [f"sentence{side}_{kind}" for kind in ("binary_parse", "parse") for side in "12"]
    header = ["index", "promptID", "pairID", "genre", *parses, "sentence1", "sentence2"]
    labels = ["entailment", "neutral", "contradiction"]
    splits = ["train", "dev_matched", "dev_mismatched", "test_matched", "test_mismatched"]
    for place, split in enumerate(splits):
        start = 100 * place
        rows = [
            [str(n - start), "1", "1e", "fiction", *"pqrs", _text(n), _text(n, "b")]
            for n in range(start, start + ROWS - place)
        ]
        more = ["label1", "gold_label"] if split == "train" else [f"label{n}" for n in range(1, 6)]
        more = [] if split.startswith("test") else [*more, "gold_label"] if "dev" in split else more
        rows = [[*row, *[labels[(n + start) % 3]] * len(more)] for n, row in enumerate(rows)]
        _lines(folder / f"{split}.tsv", header + more, rows)


def entailed(folder: Path, texts: Sequence[str], labels: Sequence[str]) -> None:
    """QNLI, RTE or WNLI."""
    for split, start in (("train", 0), ("dev", 100), ("test", 200)):
        rows = [[str(n), _text(n), _text(n, "b")] for n in range(start, start + ROWS)]
        if split != "test":
            rows = [[*row, labels[int(row[0]) % 3 % 2]] for row in rows]
        _lines(folder / f"{split}.tsv", ["index", *texts, *["label"][: split != "test"]], rows)


def sst2(folder: Path) -> None:
    for split, start in (("train", 0), ("dev", 100)):
        rows = [[_text(n), str(n % 3 % 2)] for n in range(start, start + ROWS)]
        _lines(folder / f"{split}.tsv", ["sentence", "label"], rows)
    _lines(folder / "test.tsv", ["index", "sentence"], [[str(n), _text(n)] for n in range(12)])


def _arrays(folder: Path, stem: str, make) -> None:
    for split, start in (("train", 0), ("dev", 500)):
        rows = [
            {"guid": f"{stem}-v1_{split}_{n:05}", "source": "wikipedia", **make(n)}
            for n in range(start, start + ROWS * 5)
        ]
        text = json.dumps(rows, ensure_ascii=False, indent=2)
        (folder / f"{stem}-v1.1_{split}.json").write_text(text, encoding="utf-8")


def klue_sts(folder: Path) -> None:
    _arrays(
        folder,
        "klue-sts",
        lambda n: {
            "sentence1": _text(n),
            "sentence2": _text(n, "b"),
            "labels": {
                "label": n % 3 * 2.3,
                "real-label": n % 3 * 2.31,
                "binary-label": n % 3 // 2,
            },
            "annotators": {"agreement": "0:0:0:2:3:0"},
        },
    )


def klue_ynat(folder: Path) -> None:
    topics = ["IT과학", "경제", "사회", "생활문화", "세계", "스포츠", "정치"]
    _arrays(
        folder,
        "ynat",
        lambda n: {
            "title": f"{topics[n % 7]} 소식 {n * 7919 % 1000}",
            "predefined_news_category": topics[n % 7],
            "label": topics[n % 7],
            "annotations": {"annotators": ["18"], "annotations": {"first": [topics[n % 7]]}},
        },
    )


def klue_nli(folder: Path) -> None:
    labels = ["entailment", "neutral", "contradiction"]
    _arrays(
        folder,
        "klue-nli",
        lambda n: {
            "premise": _text(n),
            "hypothesis": _text(n, "b"),
            "gold_label": labels[n % 3],
            "author": labels[n % 3],
            "label2": labels[0],
        },
    )


def klue_re(folder: Path) -> None:
    from pipeline.setup.benchmarks import RELATIONS

    def row(n: int) -> dict[str, object]:
        sentence = f"〈연필〉 {RELATIONS[n % 30]} {n * 7919 % 1000} 초원"
        end = len(sentence) - 1
        subject = {"word": "연필", "start_idx": 1, "end_idx": 2, "type": "ORG"}
        other = {"word": "초원", "start_idx": end - 1, "end_idx": end, "type": "PER"}
        return {
            "sentence": sentence,
            "subject_entity": subject,
            "object_entity": other,
            "label": RELATIONS[n % 30],
        }

    _arrays(folder, "klue-re", row)


def klue_ner(folder: Path) -> None:
    kinds = ["PS", "LC", "OG", "DT", "QT", "TI"]
    for split, start, count in (("train", 0, ROWS * 5), ("dev", 200, ROWS)):
        blocks = []
        for n in range(start, start + count):
            kind = kinds[n % 6]
            units = [*f"{kind}{n % 7}", " ", "간", "다"]
            tags = [f"B-{kind}", f"I-{kind}", f"I-{kind}", "O", "O", "O"]
            lines = [f"{unit}\t{tag}" for unit, tag in zip(units, tags, strict=True)]
            blocks.append("\n".join([f"## klue-ner-v1_{split}_{n:05}-nsmc\t<{kind}> 간다", *lines]))
        path = folder / f"klue-ner-v1.1_{split}.tsv"
        path.write_text("\n\n".join(blocks) + "\n\n", encoding="utf-8")


FILES = {
    "klue-ner": klue_ner,
    "cola": cola,
    "sst2": sst2,
    "mrpc": mrpc,
    "stsb": stsb,
    "qqp": qqp,
    "mnli": mnli,
    "qnli": lambda folder: entailed(
        folder, ["question", "sentence"], ["entailment", "not_entailment"]
    ),
    "rte": lambda folder: entailed(
        folder, ["sentence1", "sentence2"], ["entailment", "not_entailment"]
    ),
    "wnli": lambda folder: entailed(folder, ["sentence1", "sentence2"], ["0", "1"]),
    "klue-sts": klue_sts,
    "klue-ynat": klue_ynat,
    "klue-nli": klue_nli,
    "klue-re": klue_re,
}
"""Benchmark -> writes its files into a folder."""
