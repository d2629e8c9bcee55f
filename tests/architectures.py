"""Backbones of many architectures, with random weights, and each kind of tokenizer file.

    folder = architecture(tmp_path, "albert", tokenizer="sentencepiece", words=["cat", "dog"])

Sizes are those of a test; what an architecture does with positions, types and masks is its own.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from transformers import (
    AutoConfig,
    AutoModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
    Qwen2Tokenizer,
)

TokenizerKind = Literal["types", "no-types", "two-separators", "at-the-end", "bare"]
HIDDEN = 32
TOKENIZERS: dict[TokenizerKind, dict[str, Any]] = {
    # [CLS] A [SEP] B [SEP], types 0 and 1, and listed: BERT, ELECTRA
    "types": {"pair": "[CLS] $A [SEP] $B:1 [SEP]:1", "single": "[CLS] $A [SEP]", "listed": True},
    # the same types, but not listed: ALBERT, RemBERT, RoFormer … as transformers 5 saves them
    "no-types": {"pair": "[CLS] $A [SEP] $B:1 [SEP]:1", "single": "[CLS] $A [SEP]"},
    # RoBERTa, MPNet, ModernBERT
    "two-separators": {"pair": "[CLS] $A [SEP] [SEP] $B [SEP]", "single": "[CLS] $A [SEP]"},
    # XLNet, Funnel: a type of its own for [CLS]
    "at-the-end": {
        "pair": "$A [SEP] $B:1 [SEP]:1 [CLS]:2",
        "single": "$A [SEP] [CLS]:2",
    },
    # GPT-2, Llama: no token of its own around a text, none for padding
    "bare": {},
}
SMALL = {
    "hidden_size": HIDDEN,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 66,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "cls_token_id": 1,
    "sep_token_id": 2,
}
OWN: dict[str, dict[str, Any]] = {
    "albert": {"embedding_size": 16},
    "convbert": {"embedding_size": HIDDEN},
    "funnel": {
        "num_hidden_layers": None,
        "d_model": HIDDEN,
        "n_head": 2,
        "d_head": 16,
        "d_inner": 64,
        "block_sizes": [1, 1, 1],
        "architectures": ["FunnelModel"],
    },
    "codegen": {"num_attention_heads": None, "n_head": 4, "n_layer": 2, "rotary_dim": 4},
    "gemma3_text": {"head_dim": 16},
    "gpt_neo": {
        "num_hidden_layers": None,
        "num_attention_heads": None,
        "num_layers": 2,
        "num_heads": 2,
        "attention_types": [[["global", "local"], 1]],
        "window_size": 8,
    },
    "gptj": {"n_embd": HIDDEN, "n_head": 2, "n_layer": 2, "n_positions": 66, "rotary_dim": 8},
    "helium": {"head_dim": 16},
    "longformer": {"attention_window": 8},
    "luke": {"entity_vocab_size": 10, "entity_emb_size": 16},
    "mobilebert": {
        "embedding_size": 16,
        "true_hidden_size": 16,
        "intra_bottleneck_size": 16,
        "num_feedforward_networks": 1,
    },
    "qwen3": {"head_dim": 16},
    "reformer": {
        "intermediate_size": None,
        "num_key_value_heads": None,
        "max_position_embeddings": 128,
        "attention_head_size": 16,
        "axial_pos_shape": [8, 16],
        "axial_pos_embds_dim": [16, 16],
        "feed_forward_size": 64,
        "attn_layers": ["local", "lsh"],
        "local_attn_chunk_length": 8,
        "lsh_attn_chunk_length": 8,
        "num_buckets": 2,
    },
    "roc_bert": {
        "shape_vocab_size": 30,
        "shape_embed_dim": 16,
        "pronunciation_vocab_size": 30,
        "pronunciation_embed_dim": 16,
    },
    "squeezebert": {
        "embedding_size": HIDDEN,
        **{
            f"{name}_groups": 1
            for name in ("q", "k", "v", "post_attention", "intermediate", "output")
        },
    },
    "xlnet": {"max_position_embeddings": None, "d_inner": 64, "d_head": 16},
    "xmod": {"default_language": "en_XX"},
}
"""Settings that an architecture names differently, needs besides, or (None) does not take."""
LETTERS: dict[str, type[PreTrainedTokenizerBase]] = {"qwen2": Qwen2Tokenizer}
"""Architectures whose tokenizer files are read by a class of their own, and that class; it knows
letters here, whichever kind of file is asked for."""


def settings_of(kind: str) -> dict[str, Any]:
    """The settings of a small config of *kind*."""
    both = SMALL | OWN.get(kind, {})
    return {name: value for name, value in both.items() if value is not None}


def architecture(
    folder: Path, kind: str, tokenizer: TokenizerKind, words: Sequence[str], **settings: Any
) -> Path:
    """Save a random backbone of *kind* whose tokenizer knows *words*; its folder."""
    own = LETTERS.get(kind)
    pieces = tokenizer_of(tokenizer, words) if own is None else letters_of(own, words)
    config = AutoConfig.for_model(
        kind, **{"vocab_size": len(pieces), **settings_of(kind), **settings}
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        AutoModel.from_config(config).save_pretrained(folder)
    pieces.save_pretrained(folder)
    return folder


def letters_of(kind: Any, words: Sequence[str]) -> PreTrainedTokenizerBase:
    """A tokenizer of byte pairs that knows the letters of *words* and no pair."""
    letters = sorted({*"".join(words), "Ġ"})
    known = {letter: place for place, letter in enumerate([*letters, "<|endoftext|>"])}
    tokenizer: PreTrainedTokenizerBase = kind(vocab=known, merges=[])
    return tokenizer


def tokenizer_of(kind: TokenizerKind, words: Sequence[str]) -> PreTrainedTokenizerFast:
    """A word-level tokenizer with the template and the settings of *kind*."""
    facts = TOKENIZERS[kind]
    names = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"]
    known = {word: place for place, word in enumerate([*names, *sorted(set(words))])}
    pieces = Tokenizer(WordLevel(known, unk_token="[UNK]"))
    pieces.pre_tokenizer = Whitespace()
    specials = {"unk_token": "[UNK]"}
    if facts:
        pieces.post_processor = TemplateProcessing(
            single=facts["single"],
            pair=facts["pair"],
            special_tokens=[("[CLS]", known["[CLS]"]), ("[SEP]", known["[SEP]"])],
        )
        specials |= {
            "pad_token": "[PAD]",
            "cls_token": "[CLS]",
            "sep_token": "[SEP]",
            "mask_token": "[MASK]",
        }
    listed = ["input_ids", "attention_mask"] + ["token_type_ids"] * facts.get("listed", False)
    return PreTrainedTokenizerFast(tokenizer_object=pieces, model_input_names=listed, **specials)
