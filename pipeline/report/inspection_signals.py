"""What the look at the data says about the target and about test: what tells them apart."""

from pipeline.report.section import Section, name, names, share
from pipeline.setup.inspection.adversarial import ALIKE, UNLIKE
from pipeline.setup.inspection.columns import Values
from pipeline.setup.inspection.inspect import Inspection
from pipeline.setup.inspection.overlap import MUCH
from pipeline.setup.inspection.target_leaks import Alone

SHOWN = 8
STRONG = {"Pearson": 0.5, "AUC": 0.75, "accuracy": 0.5}
MANY = 20
"""A column with more values than this is told by shares, not by names."""


def alone(seen: Inspection) -> Section:
    """What predicts the target without a model."""
    notable = [one for one in seen.alone if one.notable]
    title = "What predicts the target alone, on rows held out"
    if seen.alone_rows < seen.rows["train"]:
        title += f" (a sample of {seen.alone_rows:,} rows)"
    quiet = [one.name for one in seen.alone if not one.notable]
    if not notable:
        return Section(title=title, says=[f"nothing of this: {names(quiet, SHOWN)}"])
    chance = "" if notable[0].measure == "Pearson" else f" (chance {notable[0].chance:.2f})"
    rows = [
        ["!" if one.suspicious else "", name(one.name), f"{one.measure} {one.score:.2f}{chance}"]
        for one in notable[:SHOWN]
    ]
    rows += [["", "nothing", names(quiet, SHOWN)]] if quiet else []
    return Section(
        title=title,
        rows=rows,
        says=_strong(notable, seen.stratified),
        warns=[_suspicion(one) for one in notable if one.suspicious],
    )


def _strong(notable: list[Alone], stratified: list[str]) -> list[str]:
    """The further column that tells most, where that is a lot."""
    for one in notable:
        if one.kind == "column" and not one.suspicious and one.score > STRONG[one.measure]:
            says = f"{name(one.name)} alone tells much: a model is worth what it adds"
            if one.name not in stratified:
                says += "; give every fold its share of it (folds.stratify_by)"
            return [says]
    return []


def _suspicion(one: Alone) -> str:
    if one.kind == "order":
        return f"{name(one.name)} tells the label: the file is sorted, or its ids leak"
    return f"{name(one.name)} is nearly the answer itself: made from the label?"


def alike(seen: Inspection) -> Section:
    """Whether train and test are alike."""
    facts, title = seen.alike, "Train against test"
    rows, says = [], []
    if facts is None:
        says.append("too few rows to tell whether train and test are alike")
    else:
        title += f": told apart with AUC {facts.auc:.2f} ({facts.low:.2f} to {facts.high:.2f})"
        if facts.rows < seen.rows["train"] + seen.rows["test"]:
            title += f", {facts.rows:,} rows tried"
        parts = ", ".join(f"{view} {value:.2f}" for view, value in facts.parts.items())
        rows.append(["by one kind only", parts])
        says.append(_verdict(facts.auc, seen))
    for values in seen.columns.values:
        rows += _value_rows(values, seen.rows["train"], seen.rows["test"])
    return Section(title=title, rows=rows, says=says)


def _verdict(auc: float, seen: Inspection) -> str:
    test = seen.overlap.get("test")
    if auc <= UNLIKE and test and test.same > MUCH * test.rows:
        return (
            f"{share(test.same, test.rows)} of the test rows stand in train, and folds keep such "
            "rows apart: expect a better leaderboard score than cross-validation's"
        )
    if auc < ALIKE:  # below 0.5 as well: that is how chance looks on rows held out
        return "they are alike: cross-validation should tell the leaderboard score"
    if auc <= UNLIKE:
        return "they are somewhat different: the leaderboard score may differ from cross-validation"
    return "they are not alike: expect the leaderboard score to differ from cross-validation"


def _value_rows(values: Values, train_rows: int, test_rows: int) -> list[list[str]]:
    sides = [
        ("train", values.only_train, values.only_train_rows, values.train_values, train_rows),
        ("test", values.only_test, values.only_test_rows, values.test_values, test_rows),
    ]
    rows = []
    for side, found, count, distinct, total in sides:
        if not count:
            continue
        if distinct > MANY:
            told = f"{share(count, total)} of its rows"
        else:
            more = values.more_train if side == "train" else values.more_test
            told = ", ".join(f"{name(value)} ({n:,})" for value, n in found.items())
            told += f" and {more:,} more" if more else ""
        rows.append([f"{name(values.name)} only in {side}", told])
    return rows
