"""The form of a submission: numbers or classes, and in which columns.

The sample submission is the leaderboard's own word, so the form it shows wins: class names, or
numbers that are no class (0.5). Where it shows 0 and 1, which may be either, the metric decides.
Whatever the config or the metric says otherwise is said in a note; nothing is decided silently.

Here are the pieces; each problem type puts together the forms that it can take (`Problem.form`)
and writes them (`Problem.texts`).
"""

import math
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from os.path import commonprefix
from shlex import quote
from typing import Literal, Protocol

import numpy as np

from pipeline.base.errors import DataError, UsageError
from pipeline.problems.label_texts import canonical, is_number, without_case

Kind = Literal["value", "label"]
"""Of what a file holds, or a metric takes: numbers (probabilities), or labels."""
THRESHOLD = 0.5  # from here on a probability reads as yes, as in metrics.metric


@dataclass(frozen=True, kw_only=True)
class Form:
    """What is written into which column of the sample submission."""

    kind: Kind
    columns: dict[str, int]
    """Column of the sample -> column of the predictions; -1: one column for all classes, -2: a
    list of the probabilities of all classes."""
    top: int = 1
    """How many classes an answer names, the likeliest first."""
    join: str = ""
    """How several labels share a cell, see `cells.manner`."""
    names: list[str] = field(default_factory=list)
    """(c,) what is written for each class, where one column holds the class."""
    words: str = ""
    """What the answers are, where that is not what `kind` says."""
    notes: list[str] = field(default_factory=list)
    """Whatever a person should know about how the form was found."""


class Sample(Protocol):
    """What is looked at of a sample submission with m rows and c columns after the id."""

    @property
    def columns(self) -> list[str]:
        """(c,) names."""

    @property
    def values(self) -> np.ndarray:
        """(m, c) str objects."""

    @property
    def made_up(self) -> bool:
        """Whether there is no such file, so that nothing is known of the form of an answer."""


LABEL_IN_CLASS_COLUMNS = (
    "task.submit is label, but the sample submission has a column per class: it takes "
    "probabilities. Set task.submit to auto or value"
)


def refuse(wrong: bool, message: str) -> None:
    """Raise UsageError with *message* where something is *wrong*."""
    if wrong:
        raise UsageError(message)


# Which columns of the sample are filled from which columns of the predictions.


def columns_by_name(targets: Sequence[str], header: Sequence[str], expected: str) -> dict[str, int]:
    """Column of *header* -> target; DataError, saying what was *expected*, where one is missing."""
    if len(targets) == 1 and len(header) == 1:  # the only place there is, whatever its name
        return {header[0]: 0}
    found = match(targets, header)
    if found is None:
        raise DataError(
            f"the sample submission has the columns {_few(header)} after the id; expected "
            f"{expected}, named as in train: {_few(targets)}. Call them alike in both files, or "
            "name other columns of train (columns.targets; init: --target)"
        )
    return found


def class_columns(
    classes: Sequence[str], targets: Sequence[str], header: Sequence[str]
) -> dict[str, int]:
    """One column per class where the sample has them, else the one column of the class (-1)."""
    by_class = match(classes, header)
    if by_class is not None:
        return by_class
    expected = f"one column, or one per class {_few(classes)}"
    return dict.fromkeys(columns_by_name(targets, header, expected), -1)


def match(names: Sequence[str], header: Sequence[str]) -> dict[str, int] | None:
    """Column of *header* -> position in *names*, or None where a name has no column.

    Names count as equal as they stand, or without case, outer spaces and a beginning, or a
    beginning and an end, that all columns share:

    >>> match(["sad", "happy"], ["emotion_Happy", "emotion_Sad"])
    {'emotion_Sad': 0, 'emotion_Happy': 1}
    >>> match(["sad", "happy"], ["P(happy)", "P(sad)"])
    {'P(sad)': 0, 'P(happy)': 1}
    """
    prefix = shared_beginning(header)
    suffix = shared_beginning([name[::-1] for name in header])[::-1]
    for plain in (
        str,
        _plain,
        lambda name: _plain(name.removeprefix(prefix)),
        lambda name: _plain(name.removeprefix(prefix).removesuffix(suffix)),
    ):
        columns = {plain(column): column for column in header}
        wanted = [name if plain is str else _plain(name) for name in names]
        if len(set(wanted)) == len(names) and all(name in columns for name in wanted):
            return {columns[name]: place for place, name in enumerate(wanted)}
    return None


def shared_beginning(names: Sequence[str]) -> str:
    """What all of two or more *names* begin with."""
    return commonprefix(list(names)) if len(names) > 1 else ""  # noqa: RUF071 (names, not paths)


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name.strip()).casefold()


def untouched(columns: dict[str, int], header: Sequence[str]) -> list[str]:
    """A note about columns of *header* that are not filled, where there are any."""
    rest = [name for name in header if name not in columns]
    if not rest:
        return []
    return [f"columns {rest} are no target of train: kept as the sample shows them"]


def form_of(what: str, submit: str, targets: Sequence[str], sample: Sample) -> Form:
    """One column of *what* can only be written as labels: tags, texts; UsageError where *submit*
    (task.submit) asks for values."""
    columns = dict.fromkeys(columns_by_name(targets, sample.columns, "one"), -1)
    refuse(
        submit == "value",
        f"task.submit is value, but a submission of {what} takes {what}. Set it to auto or label",
    )
    return Form(kind="label", columns=columns, notes=untouched(columns, sample.columns))


# Numbers or classes, where one column may hold either.


def shown_in(columns: dict[str, int], sample: Sample) -> list[str]:
    """The different texts that the sample shows in *columns*, composed (NFC); none where there is
    no sample."""
    if sample.made_up:
        return []
    places = [sample.columns.index(name) for name in columns]
    shown = sample.values[:, places].ravel().tolist()
    return sorted({unicodedata.normalize("NFC", text) for text in shown})


def spelled(shown: Sequence[str], names: Sequence[str]) -> list[str]:
    """(c,) the *names* of classes as the sample spells them, where what it *shows* are the same
    numbers with or without a fraction of zeros, or the same words in another case.

    >>> spelled(["0"], ["0.0", "1.0"]), spelled(["1.0"], ["0", "1"]), spelled(["a"], ["a", "b"])
    (['0', '1'], ['0.0', '1.0'], ['a', 'b'])
    >>> spelled(["false"], ["False", "True"]), spelled(["SPAM"], ["spam", "ham"])
    (['false', 'true'], ['SPAM', 'HAM'])
    """
    if cased := _in_case(shown, names):
        return cased
    plain = [canonical(name) for name in names]
    same = [text for text in shown if is_number(text) and canonical(text) in plain]
    if not same or not all(map(is_number, names)) or set(same) & set(names):
        return list(names)
    for form in ("{}", "{}.0"):
        if all(text == form.format(canonical(text)) for text in same):
            return [form.format(name) for name in plain]
    return list(names)


CASES: tuple[Callable[[str], str], ...] = (str.lower, str.upper, str.capitalize, str.title)


def _in_case(shown: Sequence[str], names: Sequence[str]) -> list[str]:
    """The *names* in the case in which the sample *shows* some of them; empty where it shows other
    words, or one as it is."""
    folded = {_plain(name): name for name in names}
    if not shown or set(shown) & set(names) or len(folded) < len(names):
        return []
    if any(_plain(text) not in folded for text in shown):
        return []
    for case in CASES:
        if all(case(folded[_plain(text)]) == text.strip() for text in shown):
            return [case(name) for name in names]
    own = {_plain(text): text.strip() for text in shown}
    return [own.get(_plain(name), name) for name in names]


def refuse_contradiction(
    shown: Sequence[str], classes: Sequence[str], codes: Sequence[str]
) -> None:
    """Raise DataError where the texts that the sample has (*shown*) cannot be what is written for
    *classes*, and no *codes* say what is.

    >>> refuse_contradiction(["spam", "?"], ["ham", "spam"], [])
    >>> refuse_contradiction(["answer"], ["ham", "spam"], [])
    """
    told = [text for text in shown if any(map(str.isalnum, text))]  # no mere ? or -
    told = [text for text in told if _plain(text) not in PLACEHOLDERS or text in classes]
    if codes or not told:
        return
    if unlabelled_among(classes, told):
        raise DataError(
            f"-1 is one of the classes {_few(classes)}, but the sample submission shows "
            f"{_few(told)}: are these rows without a label? Then set task.unlabelled to '-1' "
            "(init: --unlabelled=-1) and they are left out. Where -1 is a class like any other, "
            "set task.class_codes to the classes (init: --class-codes as-is)"
        )
    if without_case(told) & without_case(classes):
        return
    if all(map(is_number, told)) and any(map(is_number, classes)):
        return  # dummy answers, such as 0 everywhere
    likely = told if len(told) == len(classes) else [str(place) for place in range(len(classes))]
    pairs = zip(classes[:3], likely[:3], strict=True)
    example = " ".join(quote(f"{name}={code}") for name, code in pairs)
    chances = len(classes) == 2 and set(told) <= {"0", "1"}
    raise DataError(
        f"the sample submission shows {_few(told)}, the classes of train are {_few(classes)}: "
        "which class is written how? Set task.class_codes to what is written for each of "
        f"task.classes, in their order (init: --class-codes {example}"
        f"{' …' if len(classes) > 3 else ''}, with the organiser's codes); where the classes "
        "are right as they are, set it to the same as task.classes (init: --class-codes as-is)"
        f"{CHANCES * chances}"
        f"{WRITTEN_TEXTS if any(len(name.split()) > 2 for name in classes) else ''}"
    )


PLACEHOLDERS = {"answer", "answers", "label", "target", "prediction", "class", "string", "dummy"}
PLACEHOLDERS |= {"text", "value", "result", "placeholder", "xxx", "tbd", "정답", "답", "예측값"}
"""Words where an answer will be: no class, where train has none that is called so."""
CHANCES = "; where they are probabilities, name a metric that takes them (init: --metric auc)"
WRITTEN_TEXTS = "; where they are texts that are to be written, say so (init: --problem text)"


def unlabelled_among(classes: Sequence[str], shown: Sequence[str]) -> bool:
    """Whether -1 stands beside class numbers from 0 on, and no answer *shown* is -1: so data sets
    mark rows without a label.

    >>> unlabelled_among(["-1", "0", "1"], ["0"]), unlabelled_among(["-1", "1"], ["1"])
    (True, False)
    """
    numbers = {canonical(name) for name in classes}
    others = numbers - {"-1"}
    counted = bool(others) and others == {str(place) for place in range(len(others))}
    return "-1" in numbers and counted and "-1" not in map(canonical, shown)


def _few(texts: Sequence[str]) -> str:
    """The first texts as the sentence has them."""
    named = ", ".join(map(repr, texts[:4]))
    return f"{named} …" if len(texts) > 4 else named


def kind_of(
    submit: str, needs: str, shown: Sequence[str], classes: Sequence[str]
) -> tuple[Kind, list[str]]:
    """Value or label for one column per target, and what there is to say about it.

    Args:
        submit: task.submit.
        needs: what the metric takes, "value" or "label".
        shown: the texts of the sample submission.
        classes: the texts that a label would have.
    """
    wanted: Kind = "label" if needs == "label" else "value"
    if submit in ("value", "label"):
        return ("label" if submit == "label" else "value"), []
    if not shown:
        return wanted, []
    example = ", ".join(map(repr, shown[:3]))
    change = f"so {wanted}s are written (--task.submit changes that)"
    numbers = all(_is_number(text) for text in shown)
    names = set(shown) <= set(classes)
    if names and wanted == "label":
        return wanted, []
    if numbers and all(float(text) in (0.0, 1.0) for text in shown):
        return wanted, [
            f"the sample shows {example}, which may be classes or probabilities; "
            f"the metric takes {wanted}s, {change}"
        ]
    if not numbers and not names:
        return wanted, [
            f"the sample shows {example}, which is no class of train; "
            f"the metric takes {wanted}s, {change}"
        ]
    kind: Kind = "label" if names else "value"
    if kind == wanted:
        return kind, []
    return kind, [
        f"the sample shows {example}, so {kind}s are written, although the metric takes "
        f"{wanted}s (--task.submit changes that)"
    ]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


# From decided predictions to the texts of a submission: named, or numbers as they are.
#
# What is decided (thresholds, offsets, cut points, clip, rounding) comes before, in the ensemble's
# `decisions`: the largest probability, 0.5 and the nearest whole number only read off the decision.


def flag_columns(form: Form, predicted: np.ndarray, names: Sequence[str]) -> dict[str, list[str]]:
    """Each column of *form* with names[1] where the prediction is 0.5 or more, else names[0]."""
    return {
        column: [names[int(high)] for high in predicted[:, max(place, 0)] >= THRESHOLD]
        for column, place in form.columns.items()
    }


def number_columns(form: Form, predicted: np.ndarray) -> dict[str, list[str]]:
    """Each column of *form* with its predictions as they are."""
    return {
        column: number_texts(predicted[:, max(place, 0)]) for column, place in form.columns.items()
    }


def nearest_labels(predicted: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    """The nearest whole numbers within *limits*; halves go up, as the kappa metric has them.

    >>> nearest_labels(np.array([[2.5], [7.2], [-3.0]]), (0.0, 6.0)).ravel().tolist()
    [3.0, 6.0, 0.0]
    """
    return np.clip(np.floor(predicted + 0.5), math.ceil(limits[0]), math.floor(limits[1]))


def number_texts(values: np.ndarray) -> list[str]:
    """The shortest texts that read back as the same float32.

    >>> number_texts(np.array([0.1, 3.0, 1e-7]))
    ['0.1', '3.0', '1e-07']
    """
    return [str(value) for value in values.astype(np.float32)]
