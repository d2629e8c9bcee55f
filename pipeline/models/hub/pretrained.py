"""What transformers leaves to be minded when a pretrained backbone is loaded.

Its architecture's quirks (positions, poolers), its silence about weights that do not fit, and its
chatter. transformers is imported inside the functions only: it takes seconds.
"""

import contextlib
import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.base.errors import ArtifactError, UsageError

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
