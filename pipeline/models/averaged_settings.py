"""The settings of a learner that is made of finished ones: the mean of their weights, or of what
they say at each token."""

import json
from dataclasses import dataclass, field
from typing import Any, Literal

from pipeline.base import UsageError, raise_if
from pipeline.base.parser import from_dict
from pipeline.models.generator_settings import GeneratorRecipe
from pipeline.models.hub.weights import locate
from pipeline.models.settings import TextTransform, digest_problems
from pipeline.models.transformer_settings import TransformerRecipe

DECODING = (
    "decode",
    "candidates",
    "samples",
    "beams",
    "length_penalty",
    "temperature",
    "top_p",
    "no_repeat",
    "predict_batch_size",
)
"""What `decoding` may change: how texts are written, not what was learnt."""
BACKBONE = ("backbone", "revision", "sha256")
AVERAGED: dict[str, type[Any]] = {"generator": GeneratorRecipe, "transformer": TransformerRecipe}
"""Learners that can be averaged -> their recipes."""


@dataclass(frozen=True, kw_only=True)
class AveragedRecipe:
    """The learners of finished runs as one; nothing is trained."""

    name: str = "averaged"
    """The recipe's name; names the run."""
    learner: Literal["averaged"] = "averaged"
    """Which kind of learner reads this file."""
    runs: list[str] = field(default_factory=list)
    """Finished runs on the same folds. A fold's learners of all of them, and of all their seeds,
    become one: none of them saw what the fold holds out."""
    what: Literal["weights", "logits"] = "weights"
    """weights: one network, whose weights are the mean of theirs (a model soup: Wortsman et al.,
    ICML 2022); for networks that were trained from the same backbone. logits: all of them write
    together, at each token by the mean of their log-probabilities (Sutskever, Vinyals & Le, NeurIPS
    2014); for texts, and networks that have the same tokenizer."""
    across_folds: bool = False
    """Of weights: test and new rows are answered by the mean over the learners of all folds. A
    held-out row is still answered by those of its own fold alone, as the others saw it: the score
    out of fold is that of one fold's."""
    decoding: dict[str, Any] = field(default_factory=dict)
    """Of texts: how they are written, where not as the first run says, such as {samples: 12}."""
    recipes: list[str] = field(default_factory=list)
    """Of the runs, as JSON; filled in by the command."""
    backbone: str | None = None
    """That of the runs; filled in."""
    revision: str | None = None
    """Of the backbone; filled in."""
    sha256: str | None = None
    """Of the backbone; filled in."""
    clean: list[TextTransform] = field(default_factory=list)
    """That of the runs; filled in."""
    template: list[str] = field(default_factory=list)
    """That of the runs; filled in."""
    source: str = ""
    """Where the settings come from."""

    def __post_init__(self) -> None:
        problems = [*digest_problems(self.sha256)]
        if self.across_folds and self.what != "weights":
            problems.append(
                "across_folds is of weights: networks that write together take as much longer as "
                "there are folds. Set what=weights, or leave across_folds out: the ensemble blends "
                "what the folds' learners write"
            )
        if unknown := sorted(self.decoding.keys() - set(DECODING)):
            problems.append(
                f"decoding has {', '.join(unknown)}; it can set {', '.join(DECODING)}, and nothing "
                "of what was learnt"
            )
        twice = {run for run in self.runs if self.runs.count(run) > 1}
        if twice:
            problems.append(f"runs names {', '.join(sorted(twice))} twice")
        raise_if(problems, UsageError, f"the settings of {self.name!r} do not hold")

    def of_runs(self) -> list[Any]:
        """The recipes of the runs, with their backbone, and with `decoding`.

        Raises UsageError where a way of decoding does not hold.
        """
        shared = {key: getattr(self, key) for key in BACKBONE} | self.decoding
        return [
            from_dict(AVERAGED[each["learner"]], each | shared)
            for each in map(json.loads, self.recipes)
        ]

    @property
    def draws(self) -> bool:
        """Whether answers are drawn, so that they depend on a seed."""
        return any(
            getattr(each, "decode", "") == "sample" or getattr(each, "samples", 0) > 0
            for each in self.of_runs()[:1]
        )

    def in_words(self, precision: str) -> str:
        """What is averaged, of which runs."""
        folds = ", test rows across folds" if self.across_folds else ""
        return f"the mean of the {self.what} of {', '.join(self.runs) or 'no run'}{folds}"


def check_weights(recipe: AveragedRecipe) -> None:
    """Raise, before anything is made, where the backbone of the runs cannot be had."""
    for each in recipe.of_runs()[:1]:
        if each.backbone is not None:
            writes = isinstance(each, GeneratorRecipe)
            locate(each.training() if writes else each, writes)
