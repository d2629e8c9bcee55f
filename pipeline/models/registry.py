"""What a recipe can name: learners, losses, poolings, heads, schedules, transforms of
texts and rows.

An entry says where the thing stands, as "module:object" (`pipeline.base.doors`), and is imported
when a training uses it, so the names are known without loading torch. `docs/extending.md` shows how
to add one.
"""

from dataclasses import dataclass
from typing import NamedTuple

from pipeline.problems.problem import Problem


class SavedFiles(NamedTuple):
    """What `doctor` finds of a saved learner."""

    weights: str
    settings: str
    """The json that vouches for the weights and is written after them."""
    digest: str
    """Its field with their SHA-256."""


@dataclass(frozen=True, kw_only=True)
class LearnerKind:
    """One kind of learner: what `learner:` in a recipe names."""

    recipe: str
    """The frozen dataclass of its settings, a `pipeline.models.settings.Recipe`; its module is
    imported to read a recipe, so it must not load torch."""
    factory: str
    """(recipe, competition, `pipeline.models.learner.Engine`) -> its `LearnerFactory`."""
    weights: str = ""
    """(recipe) -> anything: raises, before anything is trained, where the weights that a training
    starts from cannot be had; empty where it starts from none."""
    torch: bool = False
    """Whether it computes with torch, on a GPU where there is one."""
    saved: SavedFiles | None = None
    """None where there are no such two files."""
    starts: bool = False
    """Whether a learner can start from another's weights: its factory has `changed`, it itself
    `start_from`."""
    weighs: bool = False
    """Whether it heeds `Table.weights`."""
    soft: bool = False
    """Whether it learns soft labels: a probability in place of yes or no, or for each class."""
    rows: bool = True
    """Whether it learns what a row is labelled on its own."""
    units: str = ""
    """The same as `factory` for the tags of the units of whole documents; empty where it learns
    none."""
    spans: str = ""
    """The same for answers that stand in a text; empty where it learns none."""
    remembers: str = "nothing but weights"
    """What of the training rows its saved files hold, for whoever hands them on."""
    texts: str = ""
    """The same for answers that are texts; empty where it writes none."""
    fitted: bool = True
    """Whether it is fitted on rows; what is not is made of the learners of finished runs."""

    def factory_for(self, problem: Problem) -> str:
        """What makes its factory for a *problem*; empty where it cannot learn that."""
        alone = self.factory if self.rows else ""
        every = {"rows": alone, "units": self.units, "spans": self.spans, "texts": self.texts}
        return every[problem.learnt_as]


TORCH_SAVED = SavedFiles("weights.safetensors", "learner.json", "weights_sha256")
"""Of a transformer, and of a network that writes."""
LEARNERS = {
    "linear": LearnerKind(
        recipe="pipeline.models.settings:LinearRecipe",
        factory="pipeline.models.linear.learner:make_factory",
        saved=SavedFiles("linear.npz", "linear.json", "sha256"),
        remembers="values of feature columns that several rows share; n-grams as hash numbers only",
        weighs=True,
        soft=True,
    ),
    "crf": LearnerKind(
        recipe="pipeline.models.crf:CrfRecipe",
        factory="pipeline.models.crf:make_factory",
        saved=SavedFiles("crf.model", "crf.json", "sha256"),
        rows=False,
        units="pipeline.models.crf:make_factory",
        spans="pipeline.models.crf_spans:make_factory",
        remembers="words and n-grams of the training texts, readable",
    ),
    "boosting": LearnerKind(
        recipe="pipeline.models.settings:BoostingRecipe",
        factory="pipeline.models.boosting.learner:make_factory",
        saved=SavedFiles("boosting.npz", "boosting.json", "sha256"),
        remembers="values of feature columns that several rows share; n-grams as hash numbers only",
        weighs=True,
    ),
    "embeddings": LearnerKind(
        recipe="pipeline.models.settings:EmbeddingsRecipe",
        factory="pipeline.models.embeddings.learner:make_factory",
        saved=SavedFiles("embeddings.npz", "embeddings.json", "sha256"),
        remembers="with head knn or svr the vectors and targets of training rows; no texts",
        soft=True,
        weights="pipeline.models.hub.weights:locate",
        torch=True,
    ),
    "transformer": LearnerKind(
        recipe="pipeline.models.transformer_settings:TransformerRecipe",
        factory="pipeline.models.transformer.factory:make_factory",
        saved=TORCH_SAVED,
        starts=True,
        weighs=True,
        soft=True,
        weights="pipeline.models.hub.weights:locate",
        torch=True,
        units="pipeline.models.transformer.tags.learner:make_factory",
        spans="pipeline.models.transformer.spans.learner:make_factory",
    ),
    "nearest": LearnerKind(
        recipe="pipeline.models.nearest:NearestRecipe",
        factory="pipeline.models.nearest:make_factory",
        saved=SavedFiles("nearest.jsonl", "nearest.json", "sha256"),
        rows=False,
        texts="pipeline.models.nearest:make_factory",
        remembers="every training input and its answers, word for word",
    ),
    "generator": LearnerKind(
        recipe="pipeline.models.generator_settings:GeneratorRecipe",
        factory="pipeline.models.generation.factory:make_factory",
        saved=TORCH_SAVED,
        weights="pipeline.models.generator_settings:check_weights",
        torch=True,
        rows=False,
        texts="pipeline.models.generation.factory:make_factory",
    ),
    "averaged": LearnerKind(
        recipe="pipeline.models.averaged_settings:AveragedRecipe",
        factory="pipeline.models.transformer.averaged:make_factory",
        weights="pipeline.models.averaged_settings:check_weights",
        torch=True,
        units="pipeline.models.transformer.averaged:make_factory",
        spans="pipeline.models.transformer.averaged:make_factory",
        texts="pipeline.models.transformer.averaged:make_factory",
        fitted=False,
    ),
}
"""`learner:` in a recipe."""

LOSSES = {
    "mse": "pipeline.models.transformer.losses:MSE",
    "bce": "pipeline.models.transformer.losses:BCE",
    "huber": "pipeline.models.transformer.losses:HUBER",
    "cross-entropy": "pipeline.models.transformer.losses:CROSS_ENTROPY",
    "soft-cross-entropy": "pipeline.models.transformer.losses:SOFT_CROSS_ENTROPY",
    "focal": "pipeline.models.transformer.losses:FOCAL",
    "asymmetric": "pipeline.models.transformer.losses:ASYMMETRIC",
    "pearson": "pipeline.models.transformer.losses:PEARSON",
    "concordance": "pipeline.models.transformer.losses:CONCORDANCE",
    "ranking": "pipeline.models.transformer.losses:RANKING",
}
"""`loss:` of a transformer, beside "auto", or several with weights: each a
`pipeline.models.transformer.losses.Loss`."""

POOLINGS = {
    "mean": "pipeline.models.transformer.heads:MeanOfTokens",
    "cls": "pipeline.models.transformer.heads:FirstToken",
    "last": "pipeline.models.transformer.heads:LastToken",
    "max": "pipeline.models.transformer.heads:MaxOfTokens",
    "gem": "pipeline.models.transformer.heads:GeneralisedMean",
    "attention": "pipeline.models.transformer.heads:AttentionOfTokens",
    "layer-mix": "pipeline.models.transformer.heads:LayerMix",
    "last-4": "pipeline.models.transformer.heads:LastFour",
    "lstm": "pipeline.models.transformer.heads:Lstm",
}
"""`pooling:` of a transformer: a `pipeline.models.transformer.heads.Pooling`."""

HEADS = {
    "linear": "pipeline.models.transformer.heads:Head",
    "multi-sample": "pipeline.models.transformer.heads:MultiSampleHead",
    "layers": "pipeline.models.transformer.heads:LayeredHead",
    "crf": "pipeline.models.transformer.heads:Head",
}
"""`head:` of a transformer: a torch module made from (hidden, inputs, outputs, dropout, seed) as
`pipeline.models.transformer.heads.Head` is; the vectors of a row's inputs -> its outputs. Where it
has a method `samples`, a step learns from the mean loss of all that this gives. `crf` is a plain
head whose outputs are learned as paths of tags (`pipeline.models.transformer.tags`)."""

SCHEDULES = {
    "linear": "pipeline.models.transformer.optimiser:linear",
    "cosine": "pipeline.models.transformer.optimiser:cosine",
    "constant": "pipeline.models.transformer.optimiser:constant",
}
"""`schedule:` of a transformer: the share of the steps after the warm-up that is left, from 1 down
to 0 -> the share of the peak rate."""

TEXT_TRANSFORMS = {
    "nfkc": "pipeline.models.clean:nfkc",
    "collapse-spaces": "pipeline.models.clean:collapse_spaces",
    "lower": "pipeline.models.clean:lower",
    "shorten-repeats": "pipeline.models.clean:shorten_repeats",
    "english-stop-words": "pipeline.models.clean:without_stop_words",
    "kiwi-spacing": "pipeline.models.korean:space",
    "kiwi-normalise": "pipeline.models.korean:normalise",
    "kiwi-morphemes": "pipeline.models.korean:morphemes",
    "kiwi-content": "pipeline.models.korean:content_words",
}
"""`clean:` of any recipe: a text -> the text that the learner sees. Nothing is fitted."""

ROW_TRANSFORMS = {
    "swap": "pipeline.models.row_transforms.pairs:Swap",
    "both-equal": "pipeline.models.row_transforms.pairs:BothEqual",
    "delete-words": "pipeline.models.row_transforms.words:RandomDeletion",
    "aeda": "pipeline.models.row_transforms.words:Aeda",
    "mask": "pipeline.models.row_transforms.words:Mask",
    "synonyms": "pipeline.models.row_transforms.words:Synonyms",
    "variants": "pipeline.models.row_transforms.words:Variants",
    "entity-swap": "pipeline.models.row_transforms.entities:EntitySwap",
    "under-sample": "pipeline.models.row_transforms.sampling:UnderSample",
    "weight": "pipeline.models.row_transforms.sampling:Weight",
}
"""`rows:` of any recipe of rows: what is made of a fold's training rows, each a
`pipeline.models.row_transforms.transform.RowTransform`."""
