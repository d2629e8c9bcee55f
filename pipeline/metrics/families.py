"""Metrics with something in parentheses: f-beta(0.5), map(3), micro-f1(no_relation), mean(a, b).

mean(pearson, spearman)      the mean of several metrics of one direction
mean(0.7 auc, 0.3 pr-auc)    a weighted one: the numbers are shares of their sum
column-mean(auc, 2 toxic, 1 threat)    one metric of each column alone, weighted; without names the
                             weights stand in the order of the columns
f-beta(2)                    recall counts twice as much as precision; of tags: units that are not O
entity-f-beta(5)             the same of whole entities
entity-f1(PS, LC)            F1 of entities of these types alone
micro-f1(no_relation)        F1 of all rows together, these classes left out; macro-f1, weighted-f1
top-accuracy(3), map(3)      is the class among the three likeliest; one over its place there
rouge-l(mean, morphemes)     of texts: the mean over references in place of the best; texts cut into
                             words (English), stems, spaces, characters or morphemes (Korean)
bleu(zh)                     of texts: another tokenizer of sacrebleu, or one of those ways
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from pipeline.base import UsageError
from pipeline.base.config import TaskConfig
from pipeline.metrics import formulas, structured
from pipeline.metrics import linearised_metrics as linear
from pipeline.metrics.record import Formula, Record
from pipeline.metrics.registry import METRICS, UP_TO_ONE, record_of_texts
from pipeline.metrics.texts import scores as texts
from pipeline.problems.entities import inventory_of

CALL = re.compile(r"([a-z0-9-]+)\((.*)\)")
PARTS = re.compile(r"(?:[^,(]|\([^)]*\))+")
"""What commas part, but those within further parentheses."""
WEIGHTED = re.compile(r"(?:([0-9]+(?:\.[0-9]+)?)\s+)?(.*)")
"""One of several metrics, behind its weight where it has one."""
Family = Callable[[Sequence[str], TaskConfig], Record]
"""(what stands in the parentheses, the task) -> the record; UsageError where that makes none."""


def is_family(name: str) -> bool:
    """Whether *name* is one of these, right or wrong."""
    found = CALL.fullmatch(name.strip())
    return found is not None and found[1] in FAMILIES


def record_of(name: str, task: TaskConfig) -> Record:
    """The record of the metric *name*; UsageError where what stands in its parentheses is wrong."""
    found = CALL.fullmatch(name.strip())
    assert found is not None, "is_family"
    asked = [each.strip() for each in PARTS.findall(found[2]) if each.strip()]
    return FAMILIES[found[1]](asked, task)


def _number(asked: Sequence[str], kind: type[int] | type[float], example: str) -> float:
    try:
        (value,) = map(kind, asked)
    except ValueError:
        value = kind(0)
    if not 0 < value < 1000:
        raise UsageError(f"expected one number above 0 in the parentheses, such as {example}")
    return value


def _f_beta(asked: Sequence[str], task: TaskConfig) -> Record:
    beta = _number(asked, float, "f-beta(0.5)")
    formula = Formula(
        score=formulas.f_beta(beta), columns="mean", label_sums=linear.f_beta_sums(beta)
    )
    made = dict.fromkeys(("binary", "multilabel"), formula) | {"tags": structured.unit_f(beta)}
    return Record(formulas=made, greater_is_better=True, needs="label", bounds=UP_TO_ONE)


def _entity_f_beta(asked: Sequence[str], task: TaskConfig) -> Record:
    return structured.record_of(structured.entity_f(_number(asked, float, "entity-f-beta(5)")))


def _entity_f1(asked: Sequence[str], task: TaskConfig) -> Record:
    known = inventory_of(tuple(task.classes)).types
    if task.problem_type.units and (not asked or set(asked) - set(known)):
        raise UsageError(
            f"entity-f1({', '.join(asked)}): expected types that count, of {', '.join(known)}"
        )
    return structured.record_of(structured.entity_f(types=asked))


def _f1_without(average: formulas.Average) -> Family:
    def family(asked: Sequence[str], task: TaskConfig) -> Record:
        strange = [name for name in asked if name not in task.classes]
        left_out = frozenset(task.classes.index(name) for name in asked if name in task.classes)
        if strange or not asked or len(left_out) == len(task.classes):
            shown = ", ".join(task.classes[:10])
            raise UsageError(
                f"{average}-f1({', '.join(asked)}): expected classes that do not count, of "
                f"task.classes: {shown}{' …' if len(task.classes) > 10 else ''}"
            )
        formula = Formula(
            score=formulas.f1_without(left_out, average),
            label_sums=linear.f1_sums(left_out, average),
        )
        made = {"multiclass": formula}
        return Record(formulas=made, greater_is_better=True, needs="label", bounds=UP_TO_ONE)

    return family


def _of_the_likeliest(scored: Callable[[int], formulas.Rows], example: str) -> Family:
    def family(asked: Sequence[str], task: TaskConfig) -> Record:
        rows = scored(int(_number(asked, int, example)))
        formula = Formula(score=formulas.mean_over(rows), row_sums=linear.row_means(rows, 1.0))
        made = {"multiclass": formula}
        return Record(formulas=made, greater_is_better=True, needs="value", bounds=UP_TO_ONE)

    return family


def _rouge(make: Callable[[texts.Tokens, bool], texts.TextScore], example: str) -> Family:
    def family(asked: Sequence[str], task: TaskConfig) -> Record:
        rules = [each for each in asked if each in ("mean", "best")]
        ways = [each for each in asked if each in texts.WAYS]
        if len(rules) > 1 or len(ways) > 1 or len(rules) + len(ways) < len(asked):
            raise UsageError(
                f"expected, in the parentheses, mean or best (over references) and one of "
                f"{', '.join(texts.WAYS)}, such as {example}; found {', '.join(asked)}"
            )
        tokens = texts.by_name(ways[0]) if ways else texts.words
        return record_of_texts(make(tokens, rules == ["mean"]))

    return family


def _bleu(asked: Sequence[str], task: TaskConfig) -> Record:
    known = (*texts.SACREBLEU, *texts.WAYS)
    if len(asked) != 1 or asked[0] not in known:
        raise UsageError(f"bleu({', '.join(asked)}): expected one of {', '.join(known)}")
    return record_of_texts(texts.bleu(texts.by_name(asked[0])))


def _mean_of_texts(asked: Sequence[str], task: TaskConfig) -> Record:
    """The mean of metrics of texts, each by name or with something in parentheses."""
    records = []
    for name in asked:
        if not is_family(name) and name not in METRICS:
            raise UsageError(f"mean({', '.join(asked)}): {name!r} is no metric of a text")
        records.append(record_of(name, task) if is_family(name) else METRICS[name])
    found = [
        record.formulas[task.problem].texts for record in records if task.problem in record.formulas
    ]
    scores = [each for each in found if each is not None]
    if len(scores) < max(len(asked), 2):
        raise UsageError(f"mean({', '.join(asked)}): expected two or more metrics of texts")
    return record_of_texts(texts.mean_of(scores))


def _mean(asked: Sequence[str], task: TaskConfig) -> Record:
    return MEANS[task.problem_type.predictions](asked, task)


def _mean_of_numbers(asked: Sequence[str], task: TaskConfig) -> Record:
    records, weights = [], []
    if task.problem_type.units:
        what = task.problem_type.written["label"]
        raise UsageError(
            f"mean({', '.join(asked)}): means of several metrics do not fit {what} yet"
        )
    for each in asked:
        share, name = WEIGHTED.fullmatch(each).groups()  # type: ignore[union-attr]
        if name not in METRICS or task.problem not in METRICS[name].formulas:
            raise UsageError(f"mean({', '.join(asked)}): {name!r} is no metric of a {task.problem}")
        records.append(METRICS[name])
        weights.append(float(share or 1))
    if len(records) < 2 or len({(each.greater_is_better, each.needs) for each in records}) > 1:
        raise UsageError(
            f"mean({', '.join(asked)}): expected two or more metrics that are better in the same "
            "direction and take the same (values, or labels)"
        )
    if not min(weights) > 0:
        raise UsageError(f"mean({', '.join(asked)}): expected weights above 0, or none")
    first, problem = records[0], task.problem
    parts = [each.formulas[problem] for each in records]
    sums = [each.row_sums for each in parts if each.row_sums]
    counts = [each.label_sums for each in parts if each.label_sums and first.needs == "label"]
    formula = Formula(
        score=formulas.mean_of([each.score for each in parts], weights),
        row_sums=linear.mean_of_sums(sums, weights) if len(sums) == len(parts) else None,
        label_sums=linear.mean_of_counts(counts, weights) if len(counts) == len(parts) else None,
    )
    orders = ["level", "shape", "order"]  # the mean sees all that one of them sees
    return replace(
        first,
        formulas={problem: formula},
        bounds=(min(each.bounds[0] for each in records), max(each.bounds[1] for each in records)),
        sees=min((each.sees for each in records), key=orders.index),
        unit_error=all(each.unit_error for each in records),
        ordered_labels=all(each.ordered_labels for each in records),
        log_likelihood=False,
        usual_for={},
        place={},
    )


COLUMN = re.compile(r"([0-9]+(?:\.[0-9]+)?)(?:\s+(.*))?")
"""A column's weight and, maybe, its name."""


def _columns(asked: Sequence[str]) -> tuple[list[float], list[str]]:
    """The weights of columns, and their names, "" where there is none."""
    found = [COLUMN.fullmatch(each) for each in asked]
    if len(found) < 2 or not all(found):
        raise UsageError(
            f"column-mean(…, {', '.join(asked)}): expected a metric and a weight for each column, "
            "such as column-mean(auc, 2 toxic, 1 threat)"
        )
    weights = [float(each[1]) for each in found if each]
    if not sum(weights) > 0:
        raise UsageError("column-mean: expected a weight above 0")
    return weights, [each[2] or "" for each in found if each]


def columns_problem(name: str, columns: Sequence[str]) -> str | None:
    """Why the metric *name* does not fit these prediction *columns*; None where it does."""
    found = CALL.fullmatch(name.strip())
    if found is None or found[1] != "column-mean":
        return None
    asked = [each.strip() for each in PARTS.findall(found[2])]
    names = _columns(asked[1:])[1]
    alike = [not given or given == own for given, own in zip(names, columns, strict=False)]
    if len(names) == len(columns) and all(alike):
        return None
    wanted = ", ".join(f"1 {each}" for each in columns[:20])
    return (
        f"the metric {name} does not fit the {len(columns)} columns that are predicted: expected "
        f"column-mean({asked[0]}, {wanted}), with weights of yours"
    )


def _column_mean(asked: Sequence[str], task: TaskConfig) -> Record:
    """A metric of each column alone, class by class against the rest, and the weighted mean."""
    kind, weights = task.problem_type, _columns(asked[1:])[0]
    single = "regression" if kind.numeric else "binary"
    if kind.target_kind not in ("numbers", "flags", "classes"):
        raise UsageError(f"column-mean(…) does not fit a {task.problem} problem yet")
    record = record_of(asked[0], task) if is_family(asked[0]) else METRICS.get(asked[0])
    if record is None or single not in record.formulas:
        raise UsageError(f"column-mean: {asked[0]!r} is no metric of one column alone")
    part = record.formulas[single]
    sums, counts = part.row_sums, part.label_sums if record.needs == "label" else None
    formula = Formula(
        score=formulas.of_columns(part.score, weights),
        row_sums=sums and linear.sums_of_columns(sums, weights),
        label_sums=counts and linear.counts_of_columns(counts, weights),
    )
    return replace(
        record, formulas={task.problem: formula}, log_likelihood=False, usual_for={}, place={}
    )


MEANS: dict[str, Family] = {"numbers": _mean_of_numbers, "texts": _mean_of_texts}
"""What predictions are (`Problem.predictions`) -> the mean of several metrics."""
FAMILIES: dict[str, Family] = {
    "bleu": _bleu,
    "rouge-1": _rouge(partial(texts.rouge_n, 1), "rouge-1(mean)"),
    "rouge-2": _rouge(partial(texts.rouge_n, 2), "rouge-2(mean)"),
    "rouge-l": _rouge(texts.rouge_l, "rouge-l(mean, morphemes)"),
    "mean": _mean,
    "column-mean": _column_mean,
    "f-beta": _f_beta,
    "entity-f1": _entity_f1,
    "entity-f-beta": _entity_f_beta,
    "micro-f1": _f1_without("micro"),
    "macro-f1": _f1_without("macro"),
    "weighted-f1": _f1_without("weighted"),
    "top-accuracy": _of_the_likeliest(formulas.among, "top-accuracy(3)"),
    "map": _of_the_likeliest(formulas.one_over_place, "map(3)"),
}
