"""What gpu.py trains: models of klue's sizes with random weights, and klue-sts's texts as tokens.

klue's own weights and vocabulary are at the hub only. Speed depends on the sizes of a model, not on
what it has learnt. The vocabulary is trained on the very texts that are then tokenised, so it
splits less than klue's, and texts are somewhat shorter.
"""

import csv
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoModel, PreTrainedTokenizerFast, RobertaConfig

from pipeline.data.table import Table

SIZES = {"klue/roberta-large": (1024, 24, 16), "klue/roberta-base": (768, 12, 12)}
"""Hidden size, layers, heads; the inner size is four times the hidden one."""
TINY = (64, 2, 2)
VOCABULARY, MOST_TOKENS = 32_000, 512
SPECIALS = ["[CLS]", "[PAD]", "[SEP]", "[UNK]", "[MASK]"]
"""In klue's order: padding has the number 1, as RoBERTa's positions expect."""


def read(folder: Path, rows: int) -> Table:
    """The first *rows* pairs of train.csv, dev.csv and test.csv together, with random labels."""
    texts: list[list[str]] = []
    for name in ("train", "dev", "test"):
        with (folder / f"{name}.csv").open(encoding="utf-8", newline="") as lines:
            texts += [[row["sentence_1"], row["sentence_2"]] for row in csv.DictReader(lines)]
    if len(texts) < rows:
        raise SystemExit(f"{folder} has {len(texts)} pairs, {rows} are asked for")
    ids = np.array([f"r{row}" for row in range(rows)], dtype=object)
    labels = np.random.default_rng(0).uniform(0, 5, (rows, 1))
    return Table(ids=ids, texts=np.array(texts[:rows], dtype=object), targets=labels)


def make(folder: Path, sizes: tuple[int, int, int], table: Table) -> None:
    """Save a model of *sizes* and its tokenizer as `save_pretrained` does."""
    tokenizer = wordpieces(table)
    tokenizer.save_pretrained(folder)
    AutoModel.from_config(config(sizes), add_pooling_layer=False).save_pretrained(folder)


def config(sizes: tuple[int, int, int]) -> RobertaConfig:
    """klue's, but for the sizes."""
    hidden, layers, heads = sizes
    return RobertaConfig(
        vocab_size=VOCABULARY,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=4 * hidden,
        max_position_embeddings=MOST_TOKENS + 2,
        type_vocab_size=1,
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
    )


def wordpieces(table: Table) -> PreTrainedTokenizerFast:
    """WordPieces of at most `VOCABULARY` pieces, trained on all texts of *table*."""
    pieces = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    pieces.normalizer = normalizers.BertNormalizer(lowercase=False)
    pieces.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=VOCABULARY, special_tokens=SPECIALS, show_progress=False
    )
    pieces.train_from_iterator(table.texts.reshape(-1).tolist(), trainer)
    pieces.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B [SEP]",
        special_tokens=[("[CLS]", 0), ("[SEP]", 2)],
    )
    names = dict(zip(("cls", "pad", "sep", "unk", "mask"), SPECIALS, strict=True))
    return PreTrainedTokenizerFast(
        tokenizer_object=pieces,
        model_max_length=MOST_TOKENS,
        model_input_names=["input_ids", "attention_mask"],
        **{f"{name}_token": piece for name, piece in names.items()},
    )


def step_flops(lengths: np.ndarray, model: Any) -> float:
    """Floating-point operations of training once on texts of so many real tokens.

    Matrix products only: the layers' weights, and attention's two products; a backward pass takes
    two of what a forward pass takes.
    """
    hidden, layers = model.hidden_size, model.num_hidden_layers
    weights = layers * (4 * hidden**2 + 2 * hidden * model.intermediate_size)
    attention = 4.0 * layers * hidden * float((lengths.astype(np.float64) ** 2).sum())
    return 3 * (2.0 * weights * float(lengths.sum()) + attention)
