"""Answers written batch by batch, and kept as they come: a killed prediction goes on.

Rows are answered in batches of like length, always the same ones for the same rows, and what is
drawn in a batch depends on the seed and on the batch's number. So each batch is written to a file
of its own when it is done, and a prediction that starts again takes up those that are there: the
answers are the same to the last digit, however often it was killed.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pipeline.base import ArtifactError, read_json
from pipeline.base.errors import DivergedError
from pipeline.base.files import commit_json
from pipeline.base.seeding import derive_seed
from pipeline.data import Table
from pipeline.models.generation.network import Writer
from pipeline.models.generator_settings import GeneratorRecipe
from pipeline.models.transformer.memory_limits import Batch
from pipeline.models.transformer.module import TextModule

Answers = tuple[list[str], list[float]]
"""Of one row: candidates, the best first, and their log-probabilities."""


class WritingModule(TextModule):
    """A network that writes, and how it is trained and asked."""

    way: GeneratorRecipe
    tokenizer: Any
    kept: "KeptAnswers"
    first: int = 0
    """Batches that were answered before."""

    def ask(
        self, way: GeneratorRecipe, tokenizer: Any, kept: "KeptAnswers", first: int
    ) -> "WritingModule":
        """Answer as *way* says from batch number *first* on, and keep each batch."""
        self.way, self.tokenizer, self.kept, self.first = way, tokenizer, kept, first
        return self

    def predict_step(self, batch: Batch, batch_idx: int) -> tuple[Tensor, list[Answers]]:
        """Row positions (B,) and their answers."""
        number = self.first + batch_idx
        rows = batch["rows"].cpu()
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(derive_seed(self.stepper.gradient.seed, "write", number))
            found = [each for part in self.in_parts(batch, self._answered) for each in part]
        self.kept.add(number, rows.tolist(), found)
        return rows, found

    def _answered(self, part: Batch) -> list[Answers]:
        """The candidates of each row of *part*, unlike texts only, in the order of the decoder; of
        a sample, the likeliest first, behind the others where it is taken beside them."""
        ways, found = [self.way], list[list[Answers]]()
        if self.way.samples:
            ways.append(replace(self.way, decode="sample", candidates=self.way.samples, samples=0))
        for way in ways:
            found.append(self._written(part, way))
        return [
            distinct(
                [text for texts, _ in row for text in texts],
                [log for _, logs in row for log in logs],
            )
            for row in zip(*found, strict=True)
        ]

    def _written(self, part: Batch, way: GeneratorRecipe) -> list[Answers]:
        """As *way* says."""
        network: Any = self.network
        assert isinstance(network, Writer)
        (text,) = part["inputs"]
        with self.stepper.arithmetic.context():
            ids, real = network.write(text, way)
            logs = torch.stack(
                [
                    -network([text, {"input_ids": one, "attention_mask": mask}])[:, 0].float()
                    for one, mask in zip(ids.unbind(1), real.unbind(1), strict=True)
                ],
                dim=1,
            )
        if not bool(logs.isfinite().all()):
            raise DivergedError(
                "the log-probability of an answer is NaN or infinite. Try a lower learning_rate, "
                "or precision fp32."
            )
        texts = self.tokenizer.batch_decode(
            ids.flatten(0, 1).tolist(), skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        each = zip(*[iter(text.strip() for text in texts)] * way.kept, strict=True)
        order = way.decode == "sample"
        return [distinct(row, log, order) for row, log in zip(each, logs.tolist(), strict=True)]


def distinct(texts: Sequence[str], logs: Sequence[float], by_likelihood: bool = False) -> Answers:
    """Candidates without those that say the same, or nothing where another says something.

    >>> distinct(["a", "", "b", "a"], [-2.0, -1.0, -0.5, -3.0], by_likelihood=True)
    (['b', 'a'], [-0.5, -2.0])
    """
    pairs = list(zip(texts, logs, strict=True))
    if by_likelihood:
        pairs.sort(key=lambda pair: -pair[1])
    found: dict[str, float] = {}
    for text, log in pairs:
        found.setdefault(text, log)
    if len(found) > 1:
        found.pop("", None)
    return list(found), list(found.values())


@dataclass
class KeptAnswers:
    """The batches of one table that were answered, a file each; nothing on no disk."""

    folder: Path | None
    about: str
    """What the answers depend on: rows, weights, way of decoding."""

    @classmethod
    def of(cls, below: Path | None, table: Table, made_from: dict[str, Any]) -> "KeptAnswers":
        """Those of *table*, by a model that was *made_from* that."""
        content = [made_from, table.ids.tolist(), table.texts.tolist()]
        about = hashlib.sha256(json.dumps(content).encode()).hexdigest()
        return cls(None if below is None else below / about[:16], about)

    def batches(self) -> list[tuple[list[int], list[Answers]]]:
        """What was kept, from the first batch on, without a gap."""
        found: list[tuple[list[int], list[Answers]]] = []
        while self.folder is not None and (path := self._path(len(found))).exists():
            try:
                content = read_json(path)
            except ArtifactError:
                break
            if content.get("about") != self.about:
                break
            answers = zip(content["texts"], content["log_probabilities"], strict=True)
            found.append((content["rows"], list(answers)))
        return found

    def add(self, number: int, rows: list[int], answers: Sequence[Answers]) -> None:
        """Keep batch *number*."""
        if self.folder is not None:
            texts, logs = [each for each, _ in answers], [each for _, each in answers]
            content = {"about": self.about, "rows": rows, "texts": texts, "log_probabilities": logs}
            commit_json(self._path(number), content)

    def _path(self, number: int) -> Path:
        assert self.folder is not None
        return self.folder / f"batch-{number:06}.json"
