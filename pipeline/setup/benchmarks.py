"""The benchmarks by name: one record for each, of its official files, metric and answers.

GLUE: Wang et al., "GLUE: A multi-task benchmark and analysis platform for natural language
understanding", 2019. KLUE: Park et al., "KLUE: Korean language understanding evaluation", 2021.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.base import UsageError
from pipeline.base.inputs import EntityConfig


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """One task of a benchmark."""

    title: str
    texts: Mapping[str, str]
    """Our column -> the official one, with a point for a field in it."""
    target: str
    """The official column of the label."""
    problem: str
    metric: str
    scored: str
    """What the benchmark scores it by."""
    hub: tuple[str, str]
    """Its data set on the hub, and the configuration."""
    file: str = "{split}.tsv"
    """The name of a split's file; * stands for a version."""
    header: tuple[str, ...] = ()
    """Of labelled files that have none."""
    id: str = ""
    """The official column that names a row; empty: rows are numbered."""
    kept: tuple[str, ...] = ()
    """Further columns that folds or the template can use."""
    template: tuple[str, ...] = ()
    """What a model reads of a row, where that is not the texts."""
    entities: tuple[EntityConfig, ...] = ()
    """As columns.entities."""
    classes: tuple[str, ...] = ()
    """In the order of the hub's numbers."""
    dev: tuple[str, ...] = ("dev",)
    test: tuple[str, ...] = ("test",)
    """Splits to predict. Where there is no file for one, the dev rows are predicted."""
    official: Mapping[str, str] = field(default_factory=dict)
    """Split to predict -> the file of index and prediction that its own evaluation takes."""
    hub_texts: Mapping[str, str] = field(default_factory=dict)
    """As texts, where the hub calls columns otherwise."""
    hub_target: str = "label"
    answer: str = "label"
    """Header of the answers in our sample submission, after the id."""


BOTH = {"sentence1": "sentence1", "sentence2": "sentence2"}
FLAGS = ("0", "1")
ENTAILED = ("entailment", "not_entailment")
RELATIONS = (
    "no_relation",
    "org:dissolved",
    "org:founded",
    "org:place_of_headquarters",
    "org:alternate_names",
    "org:member_of",
    "org:members",
    "org:political/religious_affiliation",
    "org:product",
    "org:founded_by",
    "org:top_members/employees",
    "org:number_of_employees/members",
    "per:date_of_birth",
    "per:date_of_death",
    "per:place_of_birth",
    "per:place_of_death",
    "per:place_of_residence",
    "per:origin",
    "per:employee_of",
    "per:schools_attended",
    "per:alternate_names",
    "per:parents",
    "per:children",
    "per:siblings",
    "per:spouse",
    "per:other_family",
    "per:colleagues",
    "per:product",
    "per:religion",
    "per:title",
)
ENTITIES = tuple(f"{part}-{kind}" for kind in ("DT", "LC", "OG", "PS", "QT", "TI") for part in "BI")
TOPICS = ("IT과학", "경제", "사회", "생활문화", "세계", "스포츠", "정치")


def _entity(side: str, mark: str) -> EntityConfig:
    """One entity of a relation: KLUE counts both ends."""
    at = f"{side}_entity"
    return EntityConfig(text="sentence", start=f"{at}.start_idx", end=f"{at}.end_idx",
                        end_is="last", type=f"{at}.type", mark=mark)  # fmt: skip


SUBJECT = _entity("subject", "@ * {type} * {text} @")
OBJECT = _entity("object", "# ^ {type} ^ {text} #")
PLACES = (*SUBJECT.columns, *OBJECT.columns)


def _glue(name: str, file: str, **facts: Any) -> Benchmark:
    usual = {"title": f"GLUE {file}", "problem": "binary", "classes": FLAGS, "target": "label",
             "hub": ("nyu-mll/glue", name), "official": {"test": f"{file}.tsv"},
             "metric": "accuracy", "scored": "accuracy"}  # fmt: skip
    return Benchmark(**{**usual, **facts})


def _klue(name: str, stem: str, **facts: Any) -> Benchmark:
    usual = {"title": f"KLUE {name}", "id": "guid", "file": stem + "-v*_{split}.json",
             "hub": ("klue/klue", name), "target": "label"}  # fmt: skip
    return Benchmark(**{**usual, **facts})


BENCHMARKS: dict[str, Benchmark] = {
    "cola": _glue(
        "cola", "CoLA", texts={"sentence": "sentence"}, metric="mcc", scored="Matthews correlation",
        header=("source", "label", "author's mark", "sentence"),
    ),
    "sst2": _glue("sst2", "SST-2", texts={"sentence": "sentence"}),
    "mrpc": _glue(
        "mrpc", "MRPC", texts={"sentence1": "#1 String", "sentence2": "#2 String"},
        target="Quality", metric="mean(accuracy, f1)", scored="the mean of accuracy and F1",
        hub_texts=BOTH,
    ),
    "stsb": _glue(
        "stsb", "STS-B", texts=BOTH, target="score", problem="regression", classes=(),
        kept=("genre",), metric="mean(pearson, spearman)",
        scored="the mean of Pearson and Spearman",
    ),
    "qqp": _glue(
        "qqp", "QQP", texts={"question1": "question1", "question2": "question2"},
        target="is_duplicate", metric="mean(accuracy, f1)", scored="the mean of accuracy and F1",
    ),
    "mnli": _glue(
        "mnli", "MNLI", texts=BOTH, target="gold_label", problem="multiclass", kept=("genre",),
        classes=("entailment", "neutral", "contradiction"),
        dev=("dev_matched", "dev_mismatched"), test=("test_matched", "test_mismatched"),
        official={"test_matched": "MNLI-m.tsv", "test_mismatched": "MNLI-mm.tsv"},
        hub_texts={"sentence1": "premise", "sentence2": "hypothesis"},
    ),
    "qnli": _glue(
        "qnli", "QNLI", texts={"question": "question", "sentence": "sentence"}, classes=ENTAILED
    ),
    "rte": _glue("rte", "RTE", texts=BOTH, classes=ENTAILED),
    "wnli": _glue("wnli", "WNLI", texts=BOTH),
    "klue-ynat": _klue(
        "ynat", "ynat", texts={"title": "title"}, problem="multiclass", classes=TOPICS,
        metric="macro-f1", scored="macro F1",
    ),
    "klue-sts": _klue(
        "sts", "klue-sts", texts=BOTH, target="labels.label", problem="regression",
        metric="pearson", scored="Pearson correlation (and, from 3 on, F1)", kept=("source",),
        hub_target="labels.label",
    ),
    "klue-nli": _klue(
        "nli", "klue-nli", texts={"premise": "premise", "hypothesis": "hypothesis"},
        target="gold_label", problem="multiclass", metric="accuracy", scored="accuracy",
        classes=("entailment", "neutral", "contradiction"), kept=("source",),
    ),
    "klue-re": _klue(
        "re", "klue-re", texts={"sentence": "sentence"},
        template=("{sentence!marked}",), entities=(SUBJECT, OBJECT),
        problem="multiclass", classes=RELATIONS, metric="micro-f1(no_relation)",
        scored="micro F1 without no_relation (and pr-auc over the 30 classes)",
        answer="pred_label,probs", kept=("source", *PLACES),
    ),
    "klue-ner": _klue(
        "ner", "klue-ner", texts={"tokens": "tokens"}, id="id", file="klue-ner-v*_{split}.tsv",
        target="tags", hub_target="ner_tags", problem="tags", classes=(*ENTITIES, "O"),
        metric="klue-entity-f1", scored="macro F1 of entities (and klue-char-f1 of characters)",
    ),
}  # fmt: skip
"""By the name that `init --benchmark` takes."""
OTHER_NAMES = {"ynat": "klue-ynat", **{f"glue-{name}": name for name in BENCHMARKS}}
NOT_YET = {
    "klue-mrc": "klue-mrc asks for a span of a text and has no record here yet: its JSON is read "
    "without --benchmark (docs/how-to-spans.md)",
    "klue-dp": "klue-dp asks for a tree, and Foldstack predicts one answer per row",
    "klue-dst": "klue-dst asks for the state of a dialogue, and Foldstack predicts one answer per "
    "row",
}


def benchmark_of(name: str) -> tuple[str, Benchmark]:
    """The full name and the record of the benchmark called *name*; UsageError for none.

    >>> benchmark_of("ynat")[0], benchmark_of("glue-cola")[1].metric
    ('klue-ynat', 'mcc')
    """
    full = OTHER_NAMES.get(name.lower(), name.lower())
    known = f"There are: {', '.join(BENCHMARKS)}."
    if full in NOT_YET:
        raise UsageError(f"{NOT_YET[full]}. {known}")
    if full not in BENCHMARKS:
        raise UsageError(f"there is no benchmark {name!r}. {known}")
    return full, BENCHMARKS[full]
