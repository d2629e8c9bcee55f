"""What a step's gradient is of: the recipe's loss, and what is added to it.

The loss of the targets, checked and fitted to a training part; auxiliary targets and contrasts on
further columns (`Side`); several outputs of a row (multi-sample dropout, R-Drop). A plain recipe
has none of these and takes the plain way.

Notation: B rows, k target columns, o outputs of the targets, s further columns, u inputs per row.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from pipeline.base import DataError, UsageError
from pipeline.base.config import TaskConfig
from pipeline.data import Table
from pipeline.metrics.families import is_family, record_of
from pipeline.metrics.registry import METRICS
from pipeline.models.transformer import losses as formulas
from pipeline.models.transformer.heads import Network
from pipeline.models.transformer.losses import HUBER_DELTA, Loss, TargetCodec, link_of, loss_named
from pipeline.models.transformer.memory_limits import Batch
from pipeline.models.transformer_settings import Contrast, TransformerRecipe

Weights = str | list[float] | None
"""Of classes: "balanced", one for each output, or none."""


def check_loss(
    task: TaskConfig,
    asked: str | Mapping[str, float],
    options: Mapping[str, float] | None = None,
    class_weights: Weights = None,
    outputs: int | None = None,
) -> str | Mapping[str, float]:
    """The loss for *asked* on this kind of problem, of so many *outputs*; UsageError where they,
    or what is set beside it, do not fit."""
    problem = task.problem_type
    found = problem.usual_loss if asked == "auto" else asked
    named = {found: 1.0} if isinstance(found, str) else dict(found)
    losses = {name: loss_named(name) for name in named}
    for name, loss in losses.items():
        if problem.target_kind not in loss.suits:
            raise UsageError(
                f"loss {name} does not fit a {task.problem} problem. Set loss: auto, which is "
                f"{problem.usual_loss} there."
            )
    link = link_of(list(losses.values()), problem.target_kind)
    name = " + ".join(losses)
    if problem.numeric and link == "sigmoid" and task.label_range is None:
        raise UsageError(
            f"loss {name} on numbers reads the label, scaled to its range, as a probability, but "
            "task.label_range is not set. Set it in the competition's config, or use loss: mse."
        )
    if all(loss.free for loss in losses.values()) and sees(task) == "level":
        firm = problem.usual_loss
        raise UsageError(
            f"loss {name} leaves height and scale of predictions open, and {task.metric} sees "
            f"them. Add one that does not, such as loss: {{{firm}: 0.5, {next(iter(named))}: 0.5}}."
        )
    problems = [
        *_option_problems(losses, options or {}, problem.numeric),
        *_weight_problems(losses, class_weights, problem.numeric, outputs),
    ]
    if problems:
        raise UsageError(f"{'; '.join(problems)}.")
    return found


def sees(task: TaskConfig) -> str:
    """`pipeline.metrics.record.Record.sees` of the task's metric; level for a user's function."""
    name = task.metric.strip()
    if name in METRICS:
        return METRICS[name].sees
    return record_of(name, task).sees if is_family(name) else "level"


def _option_problems(
    losses: Mapping[str, Loss], options: Mapping[str, float], numeric: bool
) -> Iterator[str]:
    known = {key for loss in losses.values() for key in loss.options}
    known -= {"smoothing"} if numeric else set()
    for key, value in options.items():
        if key not in known:
            there = ", ".join(sorted(known)) or "none"
            yield f"loss_options.{key} is no option of loss {' + '.join(losses)}; it has: {there}"
        elif not (0 <= value < (1 if key in ("smoothing", "clip") else math.inf)):
            most = ", below 1" if key in ("smoothing", "clip") else ""
            yield f"loss_options.{key} is {value}; it must be at least 0{most}"


def _weight_problems(
    losses: Mapping[str, Loss], weights: Weights, numeric: bool, outputs: int | None
) -> Iterator[str]:
    if weights is None:
        return
    deaf = [name for name, loss in losses.items() if not loss.weighs]
    if numeric or deaf:
        yield (
            f"class_weights are for classes and for losses that heed them, not for "
            f"{' + '.join(deaf) or 'numbers'}"
        )
    elif isinstance(weights, list) and outputs not in (None, len(weights)):
        yield f"class_weights are {len(weights)}, expected one for each of {outputs} outputs"


def fit_codec(
    task: TaskConfig,
    asked: str | Mapping[str, float],
    targets: np.ndarray,
    options: Mapping[str, float] | None = None,
    class_weights: Weights = None,
) -> TargetCodec:
    """The codec for a training part with these (n, k) targets.

    Numbers are scaled to [0, 1] by task.label_range, or without one to mean 0 and standard
    deviation 1 of *targets*, column by column. Balanced weights are of *targets* too.
    """
    loss = check_loss(task, asked, options, class_weights)
    codec = TargetCodec(problem=task.problem_type.name, loss=loss, options=dict(options or {}))
    if not task.problem_type.numeric:
        return replace(codec, class_weights=weights_of(task, targets, class_weights))
    k = targets.shape[1]
    if task.label_range is not None:
        low, high = task.label_range
        if codec.link == "sigmoid":
            _check_inside(targets, low, high, loss if isinstance(loss, str) else " + ".join(loss))
        shift, scale, delta = (low,) * k, (high - low,) * k, HUBER_DELTA
    else:
        deviation = targets.std(axis=0)
        shift = tuple(targets.mean(axis=0).tolist())
        scale = tuple(np.where(deviation > 0, deviation, 1.0).tolist())
        delta = 1.0
    return replace(codec, shift=shift, scale=scale, huber_delta=delta)


def weights_of(task: TaskConfig, targets: np.ndarray, asked: Weights) -> tuple[float, ...]:
    """What each class counts. Balanced: all classes alike together, rows on average 1; of flags, as
    much as there are zeros for each 1."""
    if asked is None:
        return ()
    if not isinstance(asked, str):
        return tuple(asked)
    k = len(task.classes)
    if blocks := task.problem_type.blocks(k):
        rows = task.problem_type.expand(targets, k).sum(axis=0)
        amounts = [rows[own] for own in blocks]
        each = [len(targets) / np.maximum(own, 1) / (own > 0).sum() for own in amounts]
        return tuple(np.concatenate(each).tolist())
    ones = targets.sum(axis=0)
    return tuple(((len(targets) - ones) / np.maximum(ones, 1)).tolist())


def _check_inside(targets: np.ndarray, low: float, high: float, loss: str) -> None:
    outside = targets[(targets < low) | (targets > high)]
    if len(outside):
        raise DataError(
            f"{len(outside)} labels lie outside task.label_range [{low:g}, {high:g}], the first is "
            f"{outside[0]:g}, and loss {loss} reads them as probabilities. Widen the range in the "
            "competition's config, or use loss: mse."
        )


# Further columns of the training rows: learned beside the target, never predicted, never scored.


MOST_CLASSES = 1000


Use = Literal["auxiliary", "contrast"]


@dataclass(frozen=True, kw_only=True)
class Side:
    """A further column of one fold's training part, and what is made of it."""

    column: str
    weight: float
    use: Use
    classes: tuple[str, ...] = ()
    """Its texts in order, where it holds classes; empty for numbers."""
    shift: float = 0.0
    scale: float = 1.0

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Side":
        """The side whose `asdict` went into a JSON file."""
        return cls(**{**values, "classes": tuple(values["classes"])})

    @property
    def outputs(self) -> int:
        """How many outputs the head has for it."""
        return 0 if self.use == "contrast" else max(1, len(self.classes))

    def encode(self, texts: np.ndarray) -> np.ndarray:
        """(n,) cells -> (n,) float64: scaled numbers, or class numbers; NaN for an empty cell."""
        if not self.classes:
            return (numbers_of(texts) - self.shift) / self.scale
        places = {name: place for place, name in enumerate(self.classes)}
        return np.array([places.get(text.strip(), math.nan) for text in texts.tolist()])

    def mean_loss(self, outputs: Tensor, encoded: Tensor) -> Tensor:
        """(B, outputs) and (B,) -> (): the sum over rows that have a value, divided by B, so that
        it is the same however a step is cut."""
        known = encoded.isfinite()
        kept, true = outputs[known].float(), encoded[known]
        if self.classes:
            losses = functional.cross_entropy(kept, true.long(), reduction="sum")
        else:
            losses = functional.mse_loss(kept[:, 0], true, reduction="sum")
        return losses / len(encoded)


def numbers_of(texts: np.ndarray) -> np.ndarray:
    """(n,) cells -> (n,) float64; NaN where a cell is empty or no finite number."""
    values = np.full(len(texts), math.nan)
    for row, text in enumerate(texts.tolist()):
        try:
            values[row] = float(text)
        except ValueError:
            continue
    return np.where(np.isfinite(values), values, math.nan)


def sides_of(recipe: TransformerRecipe, train: Table) -> tuple[Side, ...]:
    """The further columns that *recipe* asks for, fitted to *train*; DataError where one holds
    nothing to learn from.

    A column of numbers is standardised and learned by squared error, any other by cross-entropy
    over its texts; a contrast takes texts.
    """
    asked: list[tuple[str, float, Use]] = [
        (column, weight, "auxiliary") for column, weight in recipe.auxiliary.items()
    ]
    if recipe.contrast is not None:
        asked.append((recipe.contrast.column, recipe.contrast.weight, "contrast"))
    sides = tuple(
        _side(train.features[column], Side(column=column, weight=weight, use=use))
        for column, weight, use in asked
    )
    if recipe.contrast is not None and recipe.contrast.kind == "cosine":
        found = sides[-1].classes
        if len(found) != 2:
            raise DataError(
                f"column {sides[-1].column} holds {len(found)} different values; contrast cosine "
                "expects two, of which the second in order means alike"
            )
    return sides


def _side(texts: np.ndarray, side: Side) -> Side:
    stripped = [text.strip() for text in texts.tolist()]
    classes = tuple(sorted({text for text in stripped if text}))
    where = f"column {side.column}, which the recipe has as {side.use}"
    if len(classes) < 2:
        raise DataError(f"{where}, holds {len(classes)} different values; expected at least 2")
    values = numbers_of(texts)
    numeric = not np.isnan(values[[bool(text) for text in stripped]]).any()
    if numeric and side.use == "auxiliary":
        known = values[~np.isnan(values)]
        return replace(side, shift=float(known.mean()), scale=float(known.std()) or 1.0)
    if len(classes) > MOST_CLASSES:
        raise DataError(
            f"{where}, holds {len(classes):,} different values that are no numbers; expected at "
            f"most {MOST_CLASSES:,} classes"
        )
    return replace(side, classes=classes)


def with_sides(train: Table, sides: Sequence[Side]) -> Table:
    """*train* with the encoded sides, and last what each row counts if anything, beside its
    targets: (n, k + s)."""
    columns = [side.encode(train.features[side.column]) for side in sides]
    columns += [] if train.weights is None else [train.weights]
    assert train.targets is not None
    return replace(train, targets=np.column_stack([train.targets, *columns]))


class Objective:
    """The loss of a step's rows, from what the network makes of them."""

    def __init__(
        self,
        codec: TargetCodec,
        recipe: TransformerRecipe,
        sides: Sequence[Side] = (),
        outputs: int | None = None,
        weighted: bool = False,
    ) -> None:
        """The first *outputs* of the head are the targets', the others those of *sides*; what is
        encoded says last what each row counts where it is *weighted*."""
        self.codec, self.recipe, self.sides = codec, recipe, tuple(sides)
        self.outputs, self.weighted = outputs if sides else None, weighted
        self.contrast = recipe.contrast
        supervised = self.contrast is not None and self.contrast.kind == "supervised"
        self.batchwise = codec.batchwise or supervised
        """Whether rows are compared with each other: all of a step have to be given at once."""

    def encode(self, targets: np.ndarray) -> np.ndarray:
        """(n, k + s) targets and encoded sides -> as a batch holds them."""
        beside = len(self.sides) + self.weighted
        if not beside:
            return self.codec.encode(targets)
        own = self.codec.encode(targets[:, :-beside])
        return np.column_stack([own, targets[:, -beside:]]).astype(np.float32)

    def views(self, network: Network, batch: Batch) -> tuple[list[Tensor], list[Tensor]]:
        """What the loss is of: outputs (B, o + those of sides), several where the recipe asks for
        several, and the u vectors (B, W) where rows are contrasted.

        With R-Drop every row goes through the network twice, and dropout differs.
        """
        samples = getattr(network.head, "samples", None)
        if samples is None and not self.recipe.r_drop and self.contrast is None:
            return [network(batch["inputs"], batch["lengths"])], []
        outputs: list[Tensor] = []
        first: list[Tensor] = []
        for _ in range(2 if self.recipe.r_drop else 1):
            vectors = network.vectors(batch["inputs"], batch["lengths"])
            outputs += [network.head(vectors)] if samples is None else samples(vectors)
            first = first or vectors
        return outputs, first if self.contrast is not None else []

    def loss(self, outputs: list[Tensor], vectors: list[Tensor], encoded: Tensor) -> Tensor:
        """() for these views of B rows and their (B, k + s) targets: a mean over rows."""
        if self.weighted:
            counts, encoded = encoded[:, -1:], encoded[:, :-1]
            outputs, vectors = (
                [formulas.counted(each, counts) for each in views] for views in (outputs, vectors)
            )
            encoded = encoded if self.sides else self.codec.as_encoded(encoded)
        if not self.sides and len(outputs) == 1:
            return self.codec.mean_loss(outputs[0], encoded)
        total = torch.stack([self._of_one(each, encoded) for each in outputs]).mean()
        if self.recipe.r_drop:
            half = len(outputs) // 2
            apart = [
                formulas.divergence(one, other, self.codec.link, self.codec.blocks(one.shape[1]))
                for one, other in zip(
                    map(self.own, outputs[:half]), map(self.own, outputs[half:]), strict=True
                )
            ]
            total = total + self.recipe.r_drop * torch.stack(apart).mean()
        if self.contrast is not None:
            labels = encoded[:, -1]
            total = total + self.contrast.weight * contrasted(vectors, labels, self.contrast)
        return total

    def own(self, outputs: Tensor) -> Tensor:
        """Those of the targets."""
        return outputs if self.outputs is None else outputs[:, : self.outputs]

    def _of_one(self, outputs: Tensor, encoded: Tensor) -> Tensor:
        if not self.sides:
            return self.codec.mean_loss(outputs, encoded)
        own = self.codec.as_encoded(encoded[:, : -len(self.sides)])
        total = self.codec.mean_loss(self.own(outputs), own)
        start = self.outputs or 0
        for side, values in zip(self.sides, encoded[:, -len(self.sides) :].T, strict=True):
            if side.outputs:
                part = outputs[:, start : start + side.outputs]
                total = total + side.weight * side.mean_loss(part, values)
                start += side.outputs
        return total


def contrasted(vectors: Sequence[Tensor], labels: Tensor, contrast: Contrast) -> Tensor:
    """() the contrast of a step's rows by their *labels* (B,), class numbers, NaN for unknown.

    supervised: the mean over the rows with a partner of the same label of minus the mean log chance
    of the partners among all other rows, by cosine over temperature (Khosla et al., "Supervised
    Contrastive Learning", 2020). cosine: 1 minus the cosine of the two texts of a pair whose label
    is the last in order, what exceeds the margin for the others, a mean over rows (Hadsell et al.,
    "Dimensionality Reduction by Learning an Invariant Mapping", 2006, with the cosine in place of
    the distance, as torch's CosineEmbeddingLoss has it).
    """
    known = labels.isfinite()
    if contrast.kind == "cosine":
        u, v = (each.float()[known] for each in vectors)
        signs = 2 * (labels[known] > 0).float() - 1
        losses = functional.cosine_embedding_loss(
            u, v, signs, margin=contrast.margin, reduction="sum"
        )
        return losses / len(labels)
    rows = functional.normalize(vectors[0].float()[known], dim=1)
    itself = torch.eye(len(rows), dtype=torch.bool, device=rows.device)
    alike = (labels[known][:, None] == labels[known][None]) & ~itself
    scores = (rows @ rows.T / contrast.temperature).masked_fill(itself, -math.inf)
    chances = scores.log_softmax(dim=1).masked_fill(itself, 0.0)
    partners = alike.sum(dim=1)
    if not bool(partners.any()):
        return rows.sum() * 0.0
    each = (chances * alike).sum(dim=1)[partners > 0] / partners[partners > 0]
    return -each.mean()
