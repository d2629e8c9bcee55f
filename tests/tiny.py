"""A backbone small enough for a test: random weights, a tokenizer that knows the test's words.

    backbone = tiny_backbone(tmp_path / "tiny", ["a cat sleeps", "a dog barks"])

Built in code, so no network and no file in the project; saved as a folder the way
`save_pretrained` does, so it is loaded exactly as a real one.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import TemplateProcessing
from transformers import (
    AutoConfig,
    AutoModel,
    PretrainedConfig,
    PreTrainedTokenizerFast,
)

Kind = Literal["bert", "roberta", "electra", "deberta-v2"]
LONGEST = 128
"""Tokens that the tiny backbones take."""
BERT_SPECIALS = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}
ROBERTA_SPECIALS = {
    "cls_token": "<s>",
    "pad_token": "<pad>",
    "sep_token": "</s>",
    "unk_token": "<unk>",
    "mask_token": "<mask>",
}


def tiny_backbone(
    folder: Path,
    texts: Sequence[str],
    hidden: int = 16,
    layers: int = 2,
    seed: int = 0,
    kind: Kind = "bert",
    dropout: float = 0.1,
) -> Path:
    """Save a random backbone of *kind* whose tokenizer knows the words of *texts*; its folder.

    The global random state is left as it was found.
    """
    tokenizer = tiny_tokenizer(texts, kind)
    tokenizer.save_pretrained(folder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModel.from_config(_config(kind, tokenizer, hidden, layers, dropout))
    model.save_pretrained(folder)
    return folder


def tiny_tokenizer(texts: Sequence[str], kind: Kind = "bert") -> PreTrainedTokenizerFast:
    """A lower-casing word-level tokenizer, with the special tokens and template of *kind*."""
    specials = ROBERTA_SPECIALS if kind == "roberta" else BERT_SPECIALS
    pieces = Tokenizer(WordLevel({}, unk_token=specials["unk_token"]))
    pieces.normalizer = BertNormalizer(lowercase=True)
    pieces.pre_tokenizer = BertPreTokenizer()
    words = sorted(
        {
            word
            for text in texts
            for word, _ in BertPreTokenizer().pre_tokenize_str(
                pieces.normalizer.normalize_str(text)
            )
        }
    )
    vocabulary = {word: place for place, word in enumerate([*specials.values(), *words])}
    pieces.model = WordLevel(vocabulary, unk_token=specials["unk_token"])
    first, last = specials["cls_token"], specials["sep_token"]
    between, second = (f"{last} {last}", 0) if kind == "roberta" else (last, 1)
    pieces.post_processor = TemplateProcessing(
        single=f"{first} $A {last}",
        pair=f"{first} $A {between} $B:{second} {last}:{second}",
        special_tokens=[(first, vocabulary[first]), (last, vocabulary[last])],
    )
    names = ["input_ids", "token_type_ids", "attention_mask"]
    if kind == "roberta":
        names.remove("token_type_ids")
    return PreTrainedTokenizerFast(
        tokenizer_object=pieces, model_max_length=LONGEST, model_input_names=names, **specials
    )


def _config(
    kind: Kind, tokenizer: PreTrainedTokenizerFast, hidden: int, layers: int, dropout: float
) -> PretrainedConfig:
    more: dict[str, Any] = {
        "bert": {},
        "electra": {"embedding_size": hidden},
        "roberta": {
            "type_vocab_size": 1,
            "bos_token_id": tokenizer.cls_token_id,
            "eos_token_id": tokenizer.sep_token_id,
        },
        "deberta-v2": {
            "type_vocab_size": 0,
            "relative_attention": True,
            "position_buckets": 8,
            "pos_att_type": ["p2c", "c2p"],
            "position_biased_input": False,
            "share_att_key": True,
            "norm_rel_ebd": "layer_norm",
        },
    }[kind]
    return AutoConfig.for_model(
        kind,
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=2,
        intermediate_size=2 * hidden,
        # roberta counts positions from pad_token_id + 1 on
        max_position_embeddings=LONGEST + 2,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
        pad_token_id=tokenizer.pad_token_id,
        **{"type_vocab_size": 2, **more},
    )
