"""The settings of gradient boosting."""

import math
from dataclasses import dataclass, field
from typing import Literal

from pipeline.base import UsageError, raise_if
from pipeline.models.settings import TextTransform


@dataclass(frozen=True, kw_only=True)
class BoostingRecipe:
    """Gradient-boosted trees on lengths, overlaps, edit distances, components, columns."""

    name: str = "boosting"
    """The recipe's name; names the run."""
    learner: Literal["boosting"] = "boosting"
    """Which kind of learner reads this file."""
    depths: list[int] = field(default_factory=lambda: [2, 3, 5])
    """Depths of a tree that are tried inside the training part, from flat to deep."""
    learning_rate: float = 0.08
    """Share of each tree that is added."""
    most_trees: int = 400
    """Trees per output at most; how many, held-out rows of the training part decide."""
    patience: int = 25
    """Trees without a lower loss on these rows before no more are grown."""
    least_rows: int = 20
    """Rows that a leaf holds at least; fewer where there are fewer than 400."""
    feature_share: float = 0.5
    """Share of the inputs, drawn anew for every split, that a split may look at."""
    penalty: float = 1.0
    """On the squared values of leaves."""
    components: int = 64
    """Of the singular value decomposition of the tf-idf; pairs are given its cosine."""
    char_ngrams: tuple[int, int] = (1, 4)
    """Shortest and longest character n-gram."""
    word_ngrams: tuple[int, int] = (1, 2)
    """Shortest and longest word n-gram."""
    buckets: int = 2**18
    """Hash buckets per n-gram family."""
    clean: list[TextTransform] = field(default_factory=list)
    """What is done to every text first, in this order: nfkc, collapse-spaces, lower."""
    template: list[str] = field(default_factory=list)
    """What the learner reads of a row: "{title} [SEP] {text}"; two for pairs. Empty: what the
    competition's config says (columns.template)."""
    source: str = ""
    """Where the settings come from."""

    def __post_init__(self) -> None:
        problems = []
        for name in ("most_trees", "patience", "least_rows", "components", "buckets"):
            if (value := getattr(self, name)) < 1:
                problems.append(f"{name} is {value}; it must be at least 1")
        for name in ("learning_rate", "feature_share"):
            if not 0 < (value := getattr(self, name)) <= 1:
                problems.append(f"{name} is {value}; it must be above 0, at most 1")
        if not 0 <= self.penalty < math.inf:
            problems.append(f"penalty is {self.penalty}; it must be 0 or above")
        if not self.depths or min(self.depths) < 1 or max(self.depths) > 12:
            problems.append(f"depths is {self.depths}; expected numbers from 1 to 12")
        for name in ("char_ngrams", "word_ngrams"):
            shortest, longest = getattr(self, name)
            if not 1 <= shortest <= longest:
                problems.append(
                    f"{name} is [{shortest}, {longest}]; expected the shortest length (at "
                    "least 1), then the longest"
                )
        raise_if(problems, UsageError, f"the settings of {self.name!r} do not hold")

    def in_words(self, precision: str) -> str:
        """Its trees."""
        depths = ", ".join(map(str, sorted(set(self.depths))))
        return (
            f"boosted trees of depth {depths} (tried), at most {self.most_trees} per output, rate "
            f"{self.learning_rate:g}, all rows at once"
        )
