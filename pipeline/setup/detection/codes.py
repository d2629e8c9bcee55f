"""What the submission writes for a class, and which rows have no label: only a person knows."""

from collections.abc import Sequence

from pipeline.problems.form import unlabelled_among
from pipeline.problems.label_texts import canonical
from pipeline.problems.registry import problem_of
from pipeline.setup.detection.choices import Choices, Overrides
from pipeline.setup.detection.profile import Profile
from pipeline.setup.detection.target import Answers

FLAG = "--class-codes CLASS=CODE …"
AS_IS = "as-is"


def ask_unlabelled(
    targets: Sequence[Profile], answers: Answers, overrides: Overrides, choices: Choices
) -> bool:
    """Whether -1 may mean that a row has no label; then it is asked, unless flags have said."""
    if overrides.unlabelled is not None or overrides.class_codes:
        return False
    if overrides.problem and not problem_of(overrides.problem).named_classes:
        return False
    shown = [text for values in answers.values.values() for text in values]
    if len(targets) != 1 or not shown or not unlabelled_among(targets[0].values, shown):
        return False
    others = ", ".join(sorted(set(targets[0].values) - {"-1"})[:4])
    choices.ask(
        f"--unlabelled=-1, or --class-codes {AS_IS}",
        f"{targets[0].name!r} has -1 beside {others}"
        ", and the sample submission does not show it: rows without a label, which are left out, "
        "or a class like any other?",
    )
    return True


def find_codes(classes: Sequence[str], overrides: Overrides, choices: Choices) -> list[str]:
    """(c,) what is written for each of *classes*; empty where nothing was said of it."""
    if not overrides.class_codes:
        return []
    choices.because("task.class_codes", "Given by --class-codes.")
    if list(overrides.class_codes) == [AS_IS]:
        return list(classes)
    known = {canonical(name): name for name in classes}
    code_of: dict[str, str] = {}
    for given in overrides.class_codes:
        name, equals, code = given.rpartition("=")
        if not equals or canonical(name) not in known:
            choices.ask(FLAG, f"{given!r} names no class of train with its code", list(classes))
            return []
        code_of[known[canonical(name)]] = code
    if left := [name for name in classes if name not in code_of]:
        choices.ask(FLAG, "these classes have no code", left)
        return []
    return [code_of[name] for name in classes]
