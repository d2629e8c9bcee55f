"""The settings of one model: what a recipe holds.

Each field is a key of configs/models/NAME.yaml and can be changed on the command line
(`--set KEY=VALUE`). A recipe is frozen and checked whole when it is made. Those of a transformer
stand in `transformer_settings`.
"""

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import Field, dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, TypeAlias

from pipeline.base import UsageError, raise_if
from pipeline.models.registry import TEXT_TRANSFORMS
from pipeline.models.teaching.settings import Taught

PrecisionName = Literal["auto", "fp32", "bf16", "fp16"]

if TYPE_CHECKING:
    TextTransform: TypeAlias = str
else:  # the parser refuses a name that is in no registry
    TextTransform = Literal[*TEXT_TRANSFORMS]


RowStep: TypeAlias = str | dict[str, Any]
"""An entry of `rows`: a transform's name, or {name: {option: value}}."""


class Recipe(Protocol):
    """What every recipe holds; each kind of learner has a frozen dataclass of its own."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    @property
    def name(self) -> str:
        """Names the run."""

    @property
    def learner(self) -> str:
        """Which kind of learner reads it: a name of `pipeline.models.registry.LEARNERS`."""

    @property
    def clean(self) -> list[TextTransform]:
        """What is done to every text before the learner sees it, in this order."""

    @property
    def template(self) -> list[str]:
        """What the learner reads of a row; empty: what the competition's config says."""

    @property
    def source(self) -> str:
        """Where the settings come from."""

    def in_words(self, precision: str) -> str:
        """The learner and its batch, for people; *precision* is that of its arithmetic."""


@dataclass(frozen=True, kw_only=True)
class LinearRecipe(Taught):
    """Character and word n-grams with ridge (numbers) or logistic regression (classes)."""

    name: str = "linear"
    """The recipe's name; names the run."""
    learner: Literal["linear"] = "linear"
    """Which kind of learner reads this file."""
    char_ngrams: tuple[int, int] = (1, 4)
    """Shortest and longest character n-gram."""
    word_ngrams: tuple[int, int] = (1, 2)
    """Shortest and longest word n-gram."""
    within_words: bool = False
    """Whether character n-grams stay inside a word, its edges included (scikit-learn's char_wb):
    better for short texts that are cut into many words."""
    buckets: int = 2**18
    """Hash buckets per n-gram family."""
    strengths: list[float] | None = None
    """Regularisation strengths tried inside the training part; null for a standard grid."""
    class_fit: Literal["auto", "squares", "logistic", "naive-bayes"] = "auto"
    """How one of several classes is fitted: least squares or logistic regression of each class
    against the rest; auto takes the way under which held-out rows of the training part are
    likelier. With squares, yes or no has the strengths of the first release too. naive-bayes is
    complement naive Bayes, for yes or no as well: a member of another kind."""
    pair_order: Literal["auto", "symmetric", "ordered"] = "auto"
    """Whether (a, b) and (b, a) get the same answer: symmetric always; auto unless an ordered fit
    plainly predicts held-out rows of the training part better (a loss lower by a twentieth)."""
    clean: list[TextTransform] = field(default_factory=list)
    """What is done to every text first, in this order, such as [nfkc, lower];
    configs/models/README.md."""
    template: list[str] = field(default_factory=list)
    """What the learner reads of a row: "{title} [SEP] {text}"; two for pairs. Empty: what the
    competition's config says (columns.template)."""
    rows: list[RowStep] = field(default_factory=list)
    """What is made of the training rows inside a fold, in this order, such as [swap, {both-equal:
    {share: 0.1}}]; docs/craft.md."""
    tta: list[RowStep] = field(default_factory=list)
    """Other wordings of a row that are predicted too, such as [swap]: the mean is the answer."""
    source: str = ""
    """Where the settings come from."""

    def __post_init__(self) -> None:
        problems = [*_ngram_problems(self.char_ngrams, self.word_ngrams)]
        if self.buckets < 1:
            problems.append(f"buckets is {self.buckets}; it must be at least 1")
        problems += _strength_problems(self.strengths)
        problems += self.teaching_problems()
        problems += [*row_problems(self.rows), *row_problems(self.tta, "tta")]
        raise_if(problems, UsageError, f"the settings of {self.name!r} do not hold")

    def in_words(self, precision: str) -> str:
        """Its n-grams and precision."""
        (a, b), (c, d) = self.char_ngrams, self.word_ngrams
        way = "naive Bayes on " if self.class_fit == "naive-bayes" else ""
        return (
            f"{way}n-grams of {a} to {b} characters and {c} to {d} words, precision {precision}, "
            "all rows at once"
        )


@dataclass(frozen=True, kw_only=True)
class BoostingRecipe(Taught):
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
    """What is done to every text first, in this order, such as [nfkc, lower];
    configs/models/README.md."""
    template: list[str] = field(default_factory=list)
    """What the learner reads of a row: "{title} [SEP] {text}"; two for pairs. Empty: what the
    competition's config says (columns.template)."""
    rows: list[RowStep] = field(default_factory=list)
    """What is made of the training rows inside a fold, in this order, such as [swap, {both-equal:
    {share: 0.1}}]; docs/craft.md."""
    tta: list[RowStep] = field(default_factory=list)
    """Other wordings of a row that are predicted too, such as [swap]: the mean is the answer."""
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
        problems += _ngram_problems(self.char_ngrams, self.word_ngrams)
        problems += self.teaching_problems()
        problems += [*row_problems(self.rows), *row_problems(self.tta, "tta")]
        raise_if(problems, UsageError, f"the settings of {self.name!r} do not hold")

    def in_words(self, precision: str) -> str:
        """Its trees."""
        depths = ", ".join(map(str, sorted(set(self.depths))))
        return (
            f"boosted trees of depth {depths} (tried), at most {self.most_trees} per output, rate "
            f"{self.learning_rate:g}, all rows at once"
        )


@dataclass(frozen=True, kw_only=True)
class EmbeddingsRecipe(Taught):
    """A pretrained backbone that is not trained, and a small model on what it says of a text."""

    name: str
    """The recipe's name; names the run."""
    learner: Literal["embeddings"] = "embeddings"
    """Which kind of learner reads this file."""
    backbone: str
    """A Hugging Face id, a local folder, or package:NAME for weights in an installed package."""
    revision: str | None = None
    """Branch, tag or commit of a Hugging Face id."""
    sha256: str | None = None
    """Expected SHA-256 of model.safetensors; checked before loading where given."""
    pooling: Literal["mean", "cls", "last", "max", "last-4"] = "mean"
    """Token states to one vector; those that learn nothing."""
    max_length: int = 128
    """Tokens per text, special tokens included; longer ones are truncated and counted."""
    head: Literal["ridge", "svr", "knn"] = "ridge"
    """ridge: of numbers, logistic regression of yes or no and of classes. svr: support vector
    regression, of numbers only. knn: the mean of the nearest training rows by cosine."""
    strengths: list[float] | None = None
    """Tried inside the training part: penalties of ridge, C of svr, numbers of neighbours of knn;
    null for a standard grid."""
    precision: PrecisionName = "auto"
    """Arithmetic of the backbone; auto is bf16 where it is real, else fp16 on a GPU."""
    predict_batch_size: int = 64
    """Texts per forward pass."""
    clean: list[TextTransform] = field(default_factory=list)
    """What is done to every text first, in this order, such as [nfkc, lower];
    configs/models/README.md."""
    template: list[str] = field(default_factory=list)
    """What the learner reads of a row: "{title} [SEP] {text}"; two for pairs. Empty: what the
    competition's config says (columns.template)."""
    rows: list[RowStep] = field(default_factory=list)
    """What is made of the training rows inside a fold, in this order, such as [swap, {both-equal:
    {share: 0.1}}]; docs/craft.md."""
    tta: list[RowStep] = field(default_factory=list)
    """Other wordings of a row that are predicted too, such as [swap]: the mean is the answer."""
    source: str = ""
    """Where the settings come from."""

    def __post_init__(self) -> None:
        problems = [*backbone_problems(self.backbone), *digest_problems(self.sha256)]
        for name, least in (("max_length", 4), ("predict_batch_size", 1)):
            if (value := getattr(self, name)) < least:
                problems.append(f"{name} is {value}; it must be at least {least}")
        problems += _strength_problems(self.strengths)
        problems += self.teaching_problems()
        problems += [*row_problems(self.rows), *row_problems(self.tta, "tta")]
        raise_if(problems, UsageError, f"the settings of {self.name!r} do not hold")

    def in_words(self, precision: str) -> str:
        """Its backbone, precision and head."""
        return f"{self.backbone} (frozen), precision {precision}, {self.head} on its vectors"


# What is wrong with settings that several kinds of learners have.


def row_problems(rows: Sequence[RowStep], name: str = "rows") -> Iterator[str]:
    """What is wrong with the entries of the setting *name*."""
    if not rows:
        return
    from pipeline.models.row_transforms.transform import steps_of

    try:
        steps_of(rows)
    except UsageError as error:
        yield f"{name}: {error}"


def backbone_problems(backbone: str) -> Iterator[str]:
    """What is wrong with the name of a *backbone*."""
    if not backbone.strip():
        yield "backbone is empty; name a Hugging Face id, a folder or package:NAME"


def rule_problems(rules: Iterable[tuple[str, Any, bool, str]]) -> list[str]:
    """A sentence for each of the *rules* that does not hold: (setting, its value, whether it holds,
    what it must be)."""
    return [
        f"{name} is {value}; it must be {rule}" for name, value, holds, rule in rules if not holds
    ]


def digest_problems(sha256: str | None) -> Iterator[str]:
    """What is wrong with the expected *sha256* of weights."""
    if sha256 is not None and not re.fullmatch(r"[0-9a-f]{64}", sha256):
        yield f"sha256 is {sha256!r}; expected 64 hex digits, or null"


def _ngram_problems(char_ngrams: tuple[int, int], word_ngrams: tuple[int, int]) -> Iterator[str]:
    spans = {"char_ngrams": char_ngrams, "word_ngrams": word_ngrams}
    for name, (shortest, longest) in spans.items():
        if not 1 <= shortest <= longest:
            yield (
                f"{name} is [{shortest}, {longest}]; expected the shortest length (at "
                "least 1), then the longest"
            )


def _strength_problems(strengths: list[float] | None) -> Iterator[str]:
    if strengths is not None and not (
        strengths and all(0 < strength < math.inf for strength in strengths)
    ):
        yield f"strengths is {strengths}; expected numbers above 0, or null"
