"""Answer rows with the student in this folder; numpy, onnxruntime and tokenizers are all it needs.

    python predict.py rows.csv -o predictions.csv
    python predict.py rows.csv -o predictions.csv --int8

The rows have the id and text columns of the competition's test file, in a csv of UTF-8. The answers
are the model's numbers: a value, or a probability for each column.
"""

import argparse
import csv
import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
BATCH = 64
SURROGATE = re.compile("[\ud800-\udfff]")
CONTROL = {
    code: " " if chr(code).isspace() else None
    for code in (*range(0x20), *range(0x7F, 0xA0))
    if chr(code) not in "\t\n\r"
}


class Student:
    """The model, its tokenizer, and how it reads a row."""

    def __init__(self, folder: Path, int8: bool = False, threads: int = 0) -> None:
        """Open what `pipeline.distil --export onnx` wrote into *folder*; *threads* 0: all cores.

        Raises ValueError where the model is not the one that was exported.
        """
        import onnxruntime
        from tokenizers import Tokenizer

        self.about: dict[str, Any] = json.loads((folder / "student.json").read_text("utf-8"))
        name = "model-int8.onnx" if int8 else "model.onnx"
        content = (folder / name).read_bytes()
        if hashlib.sha256(content).hexdigest() != self.about["sha256"].get(name):
            raise ValueError(f"{folder / name} is not the file that was exported")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(
            content, options, providers=["CPUExecutionProvider"]
        )
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.enable_truncation(
            self.about["max_length"],
            strategy="longest_first",
            direction=self.about["truncation_side"],
        )
        self.tokenizer.no_padding()

    def answer(self, rows: Sequence[Sequence[str]]) -> np.ndarray:
        """(n, k) float32 for n rows of texts; rows of like length are answered together."""
        inputs = [self._tokens([row[place] for row in rows]) for place in self._sides()]
        lengths = [max(len(side[row].ids) for side in inputs) for row in range(len(rows))]
        order = np.argsort(lengths, kind="stable")
        found = np.empty((len(rows), len(self.about["outputs"])), dtype=np.float32)
        for start in range(0, len(rows), BATCH):
            places = order[start : start + BATCH]
            feed: dict[str, np.ndarray] = {}
            for number, side in enumerate(inputs):
                feed |= self._batch([side[place] for place in places], number)
            found[places] = self.session.run(None, feed)[0]
        return found

    def _sides(self) -> list[slice]:
        """Which texts of a row make each input: all together, or each by itself."""
        texts = len(self.about["fronts"])
        if self.about["pairing"] == "cross":
            return [slice(0, texts)]
        return [slice(place, place + 1) for place in range(texts)]

    def _tokens(self, texts: Sequence[Sequence[str]]) -> list[Any]:
        """The tokens of one input of every row."""
        rows = [tuple(map(clean, row)) for row in texts]
        return list(self.tokenizer.encode_batch([r if len(r) > 1 else r[0] for r in rows]))

    def _batch(self, encoded: Sequence[Any], number: int) -> dict[str, np.ndarray]:
        """What the model is given for one input of some rows."""
        ids = [each.ids or [self.about["stand_in"]] for each in encoded]
        shape = (len(ids), max(map(len, ids)))
        arrays = {
            "input_ids": np.full(shape, self.about["pad_id"], dtype=np.int64),
            "attention_mask": np.zeros(shape, dtype=np.int64),
            "token_type_ids": np.zeros(shape, dtype=np.int64),
        }
        for row, (tokens, each) in enumerate(zip(ids, encoded, strict=True)):
            arrays["input_ids"][row, : len(tokens)] = tokens
            arrays["attention_mask"][row, : len(tokens)] = 1
            arrays["token_type_ids"][row, : len(tokens)] = each.type_ids or [0]
        end = f"_{number + 1}" if number else ""
        return {f"{name}{end}": arrays[name] for name in self.about["reads"]}

    def read(self, rows: Sequence[Sequence[str]]) -> list[list[str]]:
        """*rows* of texts as the model reads them, what stands in front of each text put there."""
        fronts = self.about["fronts"]
        return [[front + text for front, text in zip(fronts, row, strict=True)] for row in rows]


def clean(text: str) -> str:
    """*text* without control characters and lone surrogates, as when it was trained."""
    return text if text.isprintable() else SURROGATE.sub("\ufffd", text.translate(CONTROL))


def main() -> int:
    """Run the command; return its exit code."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("file", help="the rows, a csv")
    options.add_argument("-o", "--out", required=True, help="the answers, a csv")
    options.add_argument("--int8", action="store_true", help="by the model in whole numbers")
    args = options.parse_args()
    student = Student(HERE, args.int8)
    about = student.about
    with Path(args.file).open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    wanted = [about["id"], *about["texts"]]
    if missing := [name for name in wanted if rows and name not in rows[0]]:
        options.exit(2, f"error: {args.file} has no column {', '.join(missing)}\n")
    texts = student.read([[row[name] for name in about["texts"]] for row in rows])
    answers = student.answer(texts).tolist()
    with Path(args.out).open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow([about["id"], *about["outputs"]])
        writer.writerows([row[about["id"]], *each] for row, each in zip(rows, answers, strict=True))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
