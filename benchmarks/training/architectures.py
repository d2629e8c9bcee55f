"""Which architectures of transformers are trained right, and what is said about the others.

    python -m benchmarks.training.architectures --minutes 30 --write
    python -m benchmarks.training.architectures --kinds bert,xlnet

Every architecture that transformers lists for masked or causal language models is built with two
small layers and random weights, and trained here as any backbone is: with five kinds of tokenizer
file, on pairs and on single texts, packed where that can be and padded, with and without gradient
checkpointing. A text longer than the model's longest input is among the rows.

One case per architecture is trained until its loss has to have fallen: the squared error of its
training rows must be below LEARNT of their variance. The other cases take two steps. In each the
predictions must be finite, not all alike, and those of packed texts must be those of padded ones.
Where padding is read as text ("by length"), a row must be predicted by itself as among others.
What is refused must be refused by a sentence (a UsageError or ArtifactError) before the first step;
anything else is a failure, and stands in the table as one.
"""

import argparse
import contextlib
import io
import itertools
import logging
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoConfig, AutoModel
from transformers.models.auto import modeling_auto

from benchmarks.shared.machine import keep, machine_line
from pipeline.base.errors import PipelineError
from pipeline.base.paths import Workspace
from pipeline.data.table import Table
from pipeline.models.transformer.factory import TransformerFactory
from tests.architectures import TOKENIZERS, architecture, settings_of
from tests.models.transformer.learners import WATCH, WORDS, factory_for, pairs

RIGHT = ("packed", "padded", "by length")
LEARNT = 0.7
CLOSE = 1e-3
"""Most difference between predictions of packed and of padded texts, labels being 0 to 5."""
MOST_PARAMETERS = 3_000_000
"""Where settings of a test do not make an architecture small, it is not tried."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One way to train an architecture."""

    kind: str
    tokenizer: Any
    texts: str
    packing: bool
    checkpointing: bool
    whole: bool = False
    """Whether it is trained until its loss has to have fallen."""


def main() -> int:
    """Try what is asked for, print the table; 1 where something failed."""
    args = options().parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    kinds = args.kinds.split(",") if args.kinds else listed()
    end, found, skipped = time.monotonic() + 60 * args.minutes, {}, {}
    for kind in kinds:
        if time.monotonic() > end:
            skipped[kind] = "no time left"
            continue
        if why := not_small(kind):
            skipped[kind] = why
            continue
        found[kind] = {case: tried(case) for case in cases_of(kind)}
        print(line_of(kind, found[kind]), file=sys.stderr, flush=True)
    page = page_of(found, skipped)
    print(page)
    if args.write:
        keep("architectures", page)
    return int(any(is_failure(said) for cases in found.values() for said in cases.values()))


def options() -> argparse.ArgumentParser:
    """What the command takes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kinds", help="architectures, with commas between; all by default")
    parser.add_argument("--minutes", type=float, default=60, help="none is begun after that")
    parser.add_argument("--write", action="store_true", help="keep the page in benchmarks/results")
    return parser


def listed() -> list[str]:
    """The architectures of masked and causal language models, those of encoders first."""
    masked = list(modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES)
    causal = list(modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)
    return list(
        dict.fromkeys([*masked, *modeling_auto.MODEL_FOR_TEXT_ENCODING_MAPPING_NAMES, *causal])
    )


def not_small(kind: str) -> str:
    """Why *kind* is not tried; empty where it is."""
    try:
        config = AutoConfig.for_model(kind, vocab_size=20, **settings_of(kind))
        if config.get_text_config() is not config:
            return "a model of several parts"
        with torch.device("meta"):
            model = AutoModel.from_config(config)
    except Exception as error:  # its config has rules of its own
        return f"the settings of a test do not fit it ({first_line(error)})"
    size = sum(weight.numel() for weight in model.parameters())
    return f"{size:,} parameters with the settings of a test" if size > MOST_PARAMETERS else ""


def cases_of(kind: str) -> Iterator[Case]:
    """The whole training first; then each kind of tokenizer file, and each way with one of them."""

    def case(tokenizer: str, texts: str, *ways: bool, whole: bool = False) -> Case:
        packing, checkpointing = ways
        return Case(
            kind=kind,
            tokenizer=tokenizer,
            texts=texts,
            packing=packing,
            checkpointing=checkpointing,
            whole=whole,
        )

    yield case("types", "pairs", True, False, whole=True)
    for tokenizer, texts in itertools.product(TOKENIZERS, ("pairs", "singles")):
        yield case(tokenizer, texts, True, False)
    for texts in ("pairs", "singles"):
        yield case("types", texts, False, False)
    for packing in (True, False):
        yield case("types", "pairs", packing, True)


def tried(case: Case) -> str:
    """What came of it: one of RIGHT where it is trained right; else what was said."""
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.redirect_stderr(io.StringIO()),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        try:
            return trained(case, Path(folder))
        except PipelineError as refused:
            return f"refused: {refused}"
        except Exception as error:  # what this is about: nothing else may come out
            return f"FAILED: {type(error).__name__}: {first_line(error)}"


def trained(case: Case, folder: Path) -> str:
    """Train *case* and look at what it predicts."""
    backbone = architecture(folder / "model", case.kind, case.tokenizer, [*WORDS, "the"])
    factory = factory_for(
        backbone,
        epochs=12 if case.whole else 1,
        max_length=24,
        packing=case.packing,
        gradient_checkpointing=case.checkpointing,
    )
    table = rows_of(case)
    factory.prepare([table], WATCH)
    learner = factory.make(1)
    learner.fit(table, Workspace(folder / "fold"), WATCH)
    found = learner.predict(table, WATCH)[:, 0]
    if not np.isfinite(found).all():
        return "FAILED: predictions are not finite"
    if np.ptp(found) <= 1e-6 * np.abs(found).max():
        return "FAILED: every row is predicted alike"
    if case.whole:
        assert table.targets is not None
        targets = table.targets[:, 0]
        share = float(np.mean((found - targets) ** 2) / np.var(targets))
        if share > LEARNT:
            return f"FAILED: the loss does not fall (error {share:.2f} of the variance)"
    assert learner.module is not None
    packing = learner.module.network.packing
    if packing is None:
        return "padded"
    if not packing.as_one_row:
        rows = [table.rows(np.array([row])) for row in range(len(table))]
        alone = [learner.predict(row, WATCH)[0, 0] for row in rows]
        apart = float(np.abs(found - alone).max())
        return "by length" if apart < CLOSE else f"FAILED: alone a row differs by {apart:.4f}"
    apart = float(np.abs(found - padded(factory, learner, table)).max())
    return "packed" if apart < CLOSE else f"FAILED: packed and padded differ by {apart:.4f}"


def rows_of(case: Case) -> Table:
    """Texts and labels that a model this small can learn; one text is longer than it takes."""
    table = pairs(64 if case.whole else 16, alike=False)
    texts = table.texts.copy()
    texts[0, 0] = " ".join(["the"] * 100)
    if case.texts == "singles":
        texts = texts[:, 1:]
        texts[0, 0] += " the" * 100
    return Table(ids=table.ids, texts=texts, targets=table.targets)


def padded(factory: TransformerFactory, learner: Any, table: Table) -> np.ndarray:
    """What the *learner* that packs predicts when it does not."""
    network = learner.module.network
    packing, network.packing = network.packing, None
    network.backbone.set_attn_implementation(factory.attention)
    found: np.ndarray = learner.predict(table, WATCH)[:, 0]
    network.packing = packing
    return found


def first_line(error: BaseException) -> str:
    """The first line of what *error* says, not too long."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:120]


def is_failure(said: str) -> bool:
    """Whether that is neither a training nor a refusal."""
    return said.startswith("FAILED")


def line_of(kind: str, cases: dict[Case, str]) -> str:
    """A row of the table."""
    whole = next(said for case, said in cases.items() if case.whole)
    others = {case: said for case, said in cases.items() if not case.whole}
    right = [said for said in others.values() if said in RIGHT]
    refused = sorted({reason(said) for said in cases.values() if said.startswith("refused")})
    failed = sorted({said for said in cases.values() if is_failure(said)})
    checkpointing = (
        "yes"
        if any(case.checkpointing and said in RIGHT for case, said in others.items())
        else "refused"
    )
    learns = "yes" if whole in RIGHT else whole.partition(":")[0]
    ways = next((way for way in RIGHT if way in (*right, whole)), "–")
    said, count = "; ".join([*failed, *refused]), f"{len(right)} of {len(others)}"
    return f"| {kind} | {learns} | {ways} | {checkpointing} | {count} | {said} |"


def reason(said: str) -> str:
    """A refusal without the folder that it names, at most a sentence."""
    words = [word for word in said.removeprefix("refused: ").split() if "/tmp" not in word]
    text = " ".join(words).removeprefix("the folder ").removeprefix(": ")
    return text.partition(". ")[0].partition("; choose")[0].replace("|", "/")[:140]


def page_of(found: dict[str, dict[Case, str]], skipped: dict[str, str]) -> str:
    """The page: figures, the table, and what was not tried."""
    said = [each for cases in found.values() for each in cases.values()]
    right = sum(each in RIGHT for each in said)
    failures = sum(map(is_failure, said))
    lines = [
        "# Architectures",
        "",
        f"{len(found)} architectures, {len(said)} trainings: {right} right, "
        f"{len(said) - right - failures} refused in a sentence, {failures} failed. "
        f"Measured by `python -m benchmarks.training.architectures`.",
        "",
        "| architecture | learns | run | checkpointing | cases right | said of the others |",
        "| --- | --- | --- | --- | --- | --- |",
        *(line_of(kind, cases) for kind, cases in found.items()),
        "",
        machine_line("torch", "transformers", "tokenizers"),
    ]
    if skipped:
        lines += ["", f"Not tried ({len(skipped)}): " + ", ".join(skipped) + "."]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
