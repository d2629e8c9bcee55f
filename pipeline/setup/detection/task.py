"""What kind of problem it is, its classes, the range of its labels, and a metric that fits."""

import re
import unicodedata
from collections.abc import Sequence

import numpy as np
import pandas as pd

from pipeline.base import DataError
from pipeline.metrics.registry import suggested
from pipeline.problems.label_texts import Doubt, canonical, form_of, is_number
from pipeline.problems.multiclass import SOFT_LABELS, guesses, numbers_in
from pipeline.problems.multilabel import SEPARATORS, labels_in, separator_of
from pipeline.problems.problem import Clues
from pipeline.problems.registry import TYPES, problem_of
from pipeline.problems.text import TEXT
from pipeline.setup.detection.choices import Choices, Overrides, ask_alike
from pipeline.setup.detection.heads import MOST, JointTargets, by_value, refuse_votes
from pipeline.setup.detection.names import GRADES, KINDS, words
from pipeline.setup.detection.profile import DECIMAL, Profile, told_doubt
from pipeline.setup.detection.target import Answers, class_of_column

FLAG = f"--problem {'|'.join(TYPES)}"
MOST_CODES = 200
"""More different whole numbers than this are no class codes."""
FEW_CODES = 20
"""More than this that hardly come twice are no class codes, either."""
NEGATIVE = (
    *("0", "-1", "false", "no", "n", "negative", "neg", "ham", "f"),
    *("legitimate", "legit", "real", "human", "normal", "different", "x", "负面", "否"),
    *("부정", "거짓", "아니오", "아니요", "없음", "정상", "반대", "비추천", "불일치", "불합격"),
)
POSITIVE = (
    *("1", "1", "true", "yes", "y", "positive", "pos", "spam", "t"),
    *("phishing", "fraud", "fake", "ai", "abnormal", "same", "o", "正面", "是"),
    *("긍정", "참", "예", "네", "있음", "스팸", "찬성", "추천", "일치", "합격"),
)
"""Of two classes the usual names, each across from its partner."""


def find_problem(
    targets: Sequence[Profile],
    answers: Answers,
    overrides: Overrides,
    choices: Choices,
    one_of_several: bool = False,
    shares: bool = False,
    heads: JointTargets | None = None,
    named_by: str = "",
) -> str | None:
    """The problem type, or None where it takes a flag; DataError where all labels are alike.

    *named_by*: a column of train with a word for each value of the one target.
    """
    if overrides.problem:
        choices.because("task.problem", "Given by --problem.")
        return str(overrides.problem)
    if heads is not None:
        choices.because("task.problem", heads.reason)
        return "heads"
    if one_of_several:
        choices.because("task.problem", "One column of 0 and 1 per class: every row has one 1.")
        return "multiclass"
    if shares:
        choices.because("task.problem", "Columns from 0 to 1 that sum to 1 in every row: shares.")
        return "soft-labels"
    if len(targets) > 1:
        refuse_votes(targets, answers.values)
        return _of_several(targets, choices)
    target = targets[0]
    shown = answers.shown
    if target.distinct > 2 and (count := guesses(shown, target.values)) > 1:
        choices.because("task.problem", f"The sample submission names {count} classes a row.")
        return "multiclass"
    if target.distinct == 2:
        choices.because("task.problem", f"{target.name!r} has two values.")
        return "binary"
    if target.distinct < 2:
        found = f"{target.values[0]!r}" if target.values else "empty"
        raise DataError(
            f"column {target.name!r} of the training file is {found} in every row: there is "
            "nothing to predict. Name another column with --target."
        )
    if not target.numeric:
        return _of_words(target, shown, choices)
    if not all(canonical(value).lstrip("-").isdigit() for value in target.values):
        choices.because("task.problem", f"{target.name!r} is a number with a fraction.")
        return "regression"
    if overrides.classes or overrides.class_codes:
        choices.because("task.problem", "Its classes, or their codes, were given.")
        return "multiclass"
    if named_by:
        told = f"Each value of {target.name!r} has a name in {named_by!r}: the code of a class."
        choices.because("task.problem", told)
        return "multiclass"
    return _of_whole_numbers(target, answers, choices)


def are_shares(labels: pd.DataFrame) -> bool:
    """Whether the columns are probabilities of classes: from 0 to 1, 1 in sum, not all 0 and 1."""
    if not all(is_number(text) for text in labels.to_numpy(dtype=object).ravel()):
        return False
    values = labels.astype(float).to_numpy()
    wrong = SOFT_LABELS.whole_rows(values)[1]
    inside = bool((values >= 0).all() and (values <= 1).all())
    return inside and not wrong.any() and bool((values % 1).any())


def _of_several(targets: Sequence[Profile], choices: Choices) -> str | None:
    if all(target.flags for target in targets):
        choices.because("task.problem", "Several columns, all of them 0 or 1.")
        return "multilabel"
    if all(target.numeric for target in targets):
        choices.because("task.problem", "Several columns of numbers.")
        return "regression"
    bad = [target.name for target in targets if not target.numeric]
    if len(bad) < len(targets) and any(target.distinct > MOST for target in targets):
        choices.ask(
            f"--target {bad[0]}, and then once more --target for the others with another --name",
            "some targets are numbers and others words, which no problem has both of: each kind is "
            "a competition of its own, and the columns of the two submissions go into one file; "
            "words are",
            bad,
        )
        return None
    choices.ask(
        "--target COLUMN, or --problem heads",
        "several targets have to be numbers, 0 and 1, or classes of few values that come again; "
        "these are not",
        bad,
    )
    return None


DATES = re.compile(r"\d{4}([-./])\d{1,2}\1\d{1,2}.*")


def ask_about_numbers(target: Profile, shown: Sequence[str], choices: Choices) -> bool:
    """Ask where labels may be numbers in more ways than one, or several labels in a cell, and what
    the sample has *shown* does not deny it: whether it was asked. Raise DataError where they are
    dates."""
    values = [value.strip() for value in target.values]
    if target.distinct > 2 and all(map(DATES.fullmatch, values)):
        raise DataError(
            f"column {target.name!r} of the training file has numbers that are dates, such as "
            f"{values[0]!r}. Write what is to be predicted of them as a number (the year; the days "
            "since a day) in the training file and the sample submission; or, where they are no "
            f"numbers, say what they are: {FLAG}"
        )
    doubt = form_of(values)
    if not isinstance(doubt, Doubt):
        return False
    odd = [text for text in shown if "," in text]
    if any(not form.fits(text.strip()) for text in odd for form in doubt.forms):
        return False
    choices.ask(
        f"{DECIMAL} (or --problem multilabel, where they are labels)",
        f"{target.name!r} has {told_doubt(doubt)}?",
    )
    return True


MONEY = re.compile(r"-?[$€£¥₩]\s?-?\d[\d.,]*|-?\d[\d.,]*\s?[$€£¥₩]")


def _of_words(target: Profile, shown: Sequence[str], choices: Choices) -> str | None:
    if ask_about_numbers(target, shown, choices):
        return None
    if separator_of(target.values):
        cell = max(target.values, key=len)
        told = f"Cells of {target.name!r} hold several labels, such as {cell[:60]!r}."
        choices.because("task.problem", told)
        choices.because("task.separator", "How the cells have them.")
        return "multilabel"
    bad = [value for value in target.values if not is_number(value)]
    if target.numbers > 0.5:  # numbers with a few slips: the reader of labels will name the rows
        choices.because("task.problem", f"{target.name!r} is a number in most rows.")
        return "regression"
    if bad and all(map(MONEY.fullmatch, bad)):
        told = f"{target.name!r} has sums of money, such as {bad[0]!r}; a sum is read as a number: "
        told += "write it without its sign in each file"
        choices.ask("--target COLUMN", told)
        return None
    if target.repeats < 2 and target.natural:
        told = f"{target.name!r} has {target.distinct:,} different texts in {target.rows:,} rows."
        choices.because("task.problem", told)
        return TEXT.name
    if target.repeats < 2:
        choices.ask(
            "--target COLUMN",
            f"{target.name!r} has {target.distinct:,} different texts in {target.rows:,} rows, "
            f"such as {bad[0][:40]!r}; that is no label (where it is a text that is to be written, "
            "say so: --problem text)",
        )
        return None
    different = len({canonical(value) for value in target.values})
    choices.because("task.problem", f"{target.name!r} has {different} values that are words.")
    return "multiclass"


def _of_whole_numbers(target: Profile, answers: Answers, choices: Choices) -> str | None:
    """Whole numbers are grades or class codes: the sample submission tells, else the name."""
    shown = set(answers.shown) or target.values
    kinds = set(words(target.name))
    if zeros := [value for value in target.values if re.fullmatch(r"0[0-9]+", value.strip())]:
        told = f"{target.name!r} has values such as {zeros[0]!r}: zeros in front prove a code."
        choices.because("task.problem", told)
        return "multiclass"
    numbers = f"{target.name!r} is a whole number of {target.distinct} values"
    if class_of_column(target, answers.columns):
        choices.because("task.problem", "The sample submission has one column per class.")
        return "multiclass"
    if any("." in value for value in shown):
        where = "the sample submission shows" if answers.columns else "it is written with"
        choices.because("task.problem", f"{numbers}, and {where} fractions.")
        return "regression"
    if target.distinct > MOST_CODES or kinds & GRADES:
        choices.because("task.problem", f"{numbers}; by its name a grade, not a kind.")
        return "regression"
    if kinds & KINDS and _consecutive(target):
        choices.because("task.problem", f"{numbers} without gaps; by its name a kind, not a grade.")
        return "multiclass"
    if target.distinct > FEW_CODES and target.repeats < 2:
        choices.because("task.problem", f"{numbers} in {target.rows} rows: an amount.")
        return "regression"
    choices.ask(FLAG, f"{numbers}: a grade (regression) or the code of a class (multiclass)?")
    return None


def _consecutive(target: Profile) -> bool:
    codes = sorted(int(float(value)) for value in target.values)
    return codes[0] in (0, 1) and codes == list(range(codes[0], codes[0] + len(codes)))


def separator_in(problem: str, targets: Sequence[Profile]) -> str | None:
    """What parts several labels in the cells of the one target; None where each has a column."""
    if len(targets) > 1 or problem_of(problem).in_a_cell != "several":
        return None
    cells = targets[0].values
    likely = separator_of(cells)
    if likely or targets[0].flags:
        return likely or None
    return next((each for each in SEPARATORS if any(each in cell.strip() for cell in cells)), None)


def find_classes(
    problem: str, target: Profile, answers: Answers, overrides: Overrides, choices: Choices
) -> list[str]:
    """Class names in the order of prediction columns; empty where there are none."""
    if separator := separator_in(problem, [target]):
        choices.because("task.classes", "The labels that the cells hold, sorted.")
        return sorted({label for cell in target.values for label in labels_in(cell, separator)})
    if not problem_of(problem).named_classes:
        return []
    if overrides.classes:
        return _given_classes(overrides.classes, target, choices)
    if listed := [
        name for name, texts in answers.values.items() if texts and all(map(numbers_in, texts))
    ]:
        choices.ask(
            "--classes A B C …",
            f"the sample submission lists a probability per class in {listed[0]!r}; name the "
            "classes in the order that the organiser's list has",
            target.values,
        )
        return sorted(target.values)
    if by_column := class_of_column(target, answers.columns):
        choices.because("task.classes", "In the order of the sample submission's columns.")
        return list(by_column.values())
    if ask_alike(target.name, target.values, answers.shown, overrides, choices):
        return sorted(target.values)
    classes = sorted(
        {
            canonical(value): unicodedata.normalize("NFC", value.strip()) for value in target.values
        }.values(),
        key=by_value,
    )
    if len(classes) == 2:
        return _negative_first(classes, choices)
    choices.because("task.classes", "Sorted.")
    return classes


def _given_classes(names: Sequence[str], target: Profile, choices: Choices) -> list[str]:
    known = {canonical(name) for name in names}
    if left := [value for value in target.values if canonical(value) not in known]:
        choices.ask("--classes A B C …", f"{target.name!r} has further classes", left)
    choices.because("task.classes", "Given by --classes.")
    return list(names)


def _negative_first(classes: list[str], choices: Choices) -> list[str]:
    lowered = [value.lower() for value in map(canonical, classes)]
    for negative, positive in zip(NEGATIVE, POSITIVE, strict=True):
        if lowered in ([negative, positive], [positive, negative]):
            choices.because("task.classes", "Negative, positive.")
            return classes if lowered[0] == negative else classes[::-1]
    for no, yes in ((0, 1), (1, 0)):
        if lowered[no].startswith(("not", "non", "un")) and lowered[no].endswith(lowered[yes]):
            choices.because("task.classes", "Negative, positive.")
            return [classes[no], classes[yes]]
    choices.because(
        "task.classes", "Sorted. The second is the positive class: swap them if not so."
    )
    return classes


# The range of the labels and a metric that fits, by problem and by the sample's form.


def find_range(
    problem: str, labels: pd.DataFrame, pairs: bool, choices: Choices
) -> tuple[float, float] | None:
    """Lowest and highest possible label (n, k) of a regression, where it shows; else None.

    Round extremes (0 and 5, 1 and 6, 0 and 100) are taken for the ends of a scale, any others for
    the chance extremes of an open one; but numbers up to 10 in even steps, or of *pairs* of texts,
    are grades, whether or not the highest occurs.
    """
    if not problem_of(problem).numeric:
        return None
    values = _numbers(labels)
    if not len(values):  # the reader of labels will say what is wrong with them
        return None
    low, high = float(values.min()), float(values.max())
    if low == high:
        choices.because("task.label_range", f"All labels are {low:g}.")
        return None
    if _round_end(low) and _round_end(high) and high - low <= 100:
        choices.because("task.label_range", "The lowest and highest label found, both round.")
        return low, high
    if low >= 0 and high <= 1:
        choices.because("task.label_range", f"All labels, {low:g} to {high:g}, lie in 0 to 1.")
        return 0.0, 1.0
    steps = values * 20
    even = np.allclose(steps, np.round(steps))
    if low >= 0 and high <= 10 and high - low > 1 and (even or pairs):
        what = "in even steps" if even else "and are of pairs"
        why = f"Labels run from {low:g} to {high:g} {what}: taken to the next whole numbers."
        choices.because("task.label_range", why)
        return float(np.floor(low)), float(np.ceil(high))
    seen = f"Labels run from {low:g} to {high:g}, no round ends: taken as open, not clipped."
    choices.because("task.label_range", seen)
    return None


def graded(labels: pd.DataFrame) -> bool:
    """Whether all labels (n, k) lie where grades lie, from 0 to 100 or from -1 to 1: it does not
    hang on whether the lowest and the highest of them occur."""
    values = _numbers(labels)
    return bool(len(values) and values.min() >= 0 and values.max() <= 100) or bool(
        len(values) and np.abs(values).max() <= 1
    )


def _numbers(labels: pd.DataFrame) -> np.ndarray:
    texts = labels.to_numpy(dtype=object).ravel()
    return np.array([float(text) for text in texts if is_number(text)])


def _round_end(value: float) -> bool:
    """Is *value* a usual end of a scale: up to 10, or a multiple of 5?"""
    return value == int(value) and (abs(value) <= 10 or value % 5 == 0)


def find_metric(
    problem: str,
    targets: Sequence[Profile],
    pairs: bool,
    bounded: bool,
    answers: Answers,
    overrides: Overrides,
    choices: Choices,
) -> str:
    """The metric's name; its reason goes to *choices*."""
    if overrides.metric:
        choices.because("task.metric", "Given by --metric.")
        return overrides.metric
    clues = Clues(
        targets=len(targets),
        labels=targets[0].values,
        pairs=pairs,
        bounded=bounded,
        shown=answers.shown,
        shown_columns=len(answers.columns),
    )
    if separator_in(problem, targets):
        metric, reason = suggested("labels in a cell")
        choices.because("task.metric", f"{reason} A guess: check the rules.")
        return metric
    if problem_of(problem).exclusive and (top := guesses(clues.shown, clues.labels)) > 1:
        choices.because("task.metric", f"The sample shows {top} guesses. A guess: check the rules.")
        return f"map({top})"
    metric, reason = suggested(problem_of(problem).looks_like(clues))
    choices.because("task.metric", f"{reason} A guess: check the rules.")
    return metric
