"""What the look at the data says about copies: within train, and between train and other files."""

from dataclasses import replace

from pipeline.folds.relation import FEWEST
from pipeline.report.page import Section, name, names, number, plural, share
from pipeline.setup import Inspection
from pipeline.setup.inspection.adversarial import ALIKE, UNLIKE
from pipeline.setup.inspection.description import Values
from pipeline.setup.inspection.duplicates import MUCH, Copies, Groups, Overlap
from pipeline.setup.inspection.row_properties import Alone

COMPANY = 0.01
"""Share of rows in groups from which groups matter."""


def copies(seen: Inspection) -> Section:
    """Copies in train, sentences shared by rows, and the groups the folds keep whole."""
    facts, groups = seen.copies, seen.groups
    title = "Copies in train"
    if not facts.repeated and not facts.shared and all(g.largest <= 1 for g in groups):
        near = " and none has a near copy" if groups[-1].how == "near" else ""
        near += f" (in a sample of {groups[-1].rows:,} rows)" if groups[-1].sampled else ""
        return Section(title=title, says=[f"no text occurs twice{near}: every row stands alone"])
    title += " (case, spaces and outer punctuation aside), groups for the folds"
    warns = []
    if facts.conflicting:
        example = names(facts.conflict_examples[0], limit=3)
        warns.append(
            f"{plural(facts.conflicting, 'text')} with different labels in train ({example}): "
            "no model can be right about all of these"
        )
    return Section(
        title=title,
        rows=[*_copy_rows(facts, seen), *_group_rows(groups)],
        says=_group_says(seen),
        warns=warns + _giant(seen),
    )


def _copy_rows(facts: Copies, seen: Inspection) -> list[list[str]]:
    swapped = f", {facts.swapped:,} of them swapped" if facts.swapped else ""
    again = f"{plural(facts.repeated, 'text')} in {plural(facts.repeated_rows, 'row')}{swapped}"
    rows = [["rows that occur again", again]] if facts.repeated else []
    if facts.shared and len(seen.lengths.columns) > 1:
        used = f"{facts.shared:,} of {plural(facts.sentences, 'sentence')}"
        rows.append(["sentences in several rows", f"{used}, in {plural(facts.shared_rows, 'row')}"])
    if facts.same_sides:
        rows.append(["both sides equal", plural(facts.same_sides, "row")])
    return rows


def _group_rows(groups: list[Groups]) -> list[list[str]]:
    """One for each way to group; a single one where near texts make the same groups."""
    rows = [_group_row(group, groups[0]) for group in groups]
    if len(rows) == 2 and rows[0][1] == rows[1][1]:
        return [["groups by equal or near texts", rows[0][1]]]
    return rows


def _group_row(group: Groups, exact: Groups) -> list[str]:
    how = {"exact": "equal texts", "near": "near texts", "none": "columns only"}[group.how]
    of = "" if not group.sampled else f" (a sample of {group.rows:,} rows)"
    largest = f"{plural(group.largest, 'row')} ({share(group.largest, group.rows)})"
    if _tears(group, exact):
        largest = "that of equal texts or larger, which the sample tears apart"
    company = f"{share(group.in_company, group.rows)} not alone{of}"
    return [f"groups by {how}", f"{group.count:,}; largest {largest}; {company}"]


def _tears(group: Groups, exact: Groups) -> bool:
    """Whether a sample of rows is missing those that hold the largest group together: near groups
    are never smaller than exact ones."""
    return group.sampled and group.largest * exact.rows < exact.largest * group.rows


def _group_says(seen: Inspection) -> list[str]:
    group = seen.groups[-1]
    if group.how == "none" or group.in_company < COMPANY * group.rows:
        return []
    return ["random folds would show a learner the texts it is asked about: ours keep groups whole"]


def _giant(seen: Inspection) -> list[str]:
    """A group too large for equal folds."""
    group, exact = seen.groups[-1], seen.groups[0]
    if _tears(group, exact):
        group = replace(group, largest=exact.largest, rows=exact.rows)
    if group.largest * seen.folds <= group.rows:
        return []
    remedy = "folds.groups: none cuts it, for a score that flatters"
    if group.how == "near" and exact.largest * seen.folds <= exact.rows:
        remedy = "folds.groups: exact makes them equal, or a higher folds.near_threshold may"
    trouble = "cannot be equal" if group.count >= seen.folds else "cannot be made"
    return [
        f"the largest group holds {share(group.largest, group.rows)} of the rows: "
        f"{seen.folds} folds {trouble}; {remedy}"
    ]


def relation(seen: Inspection) -> Section:
    """What test rows have in common with train, and held-out rows with their training part."""
    title, asked = "Do the folds ask what test asks?", seen.asked
    assert asked is not None, "left out without"
    parted = [
        f"folds that keep rows together as {asked.parted} says cannot be made: related rows are in "
        "different folds, so the score flatters unless test rows are related to train as well"
    ]
    parted = parted if asked.parted else []
    if seen.rows["test"] < FEWEST:
        kept = "" if parted else ": folds are the cautious ones"
        return Section(title=title, says=[f"too few test rows to tell{kept}"], warns=parted)
    names_of = list(asked.test.reached)
    scored = any(claim.score is not None for claim in asked.claims)
    lines = [["test", *_reached(asked.test.reached, names_of), "", ""]]
    for place, claim in enumerate(asked.claims):
        score = "" if claim.score is None else f"{claim.score:.3f}"
        mark = "" if place else " (chosen)"
        cells = _reached(claim.relation.reached, names_of)
        lines.append([f"{claim.recipe}{mark}", *cells, f"{100 * claim.off:.0f}", score])
    header = ["rows with at least", *names_of, "points off"]
    says = []
    if scored:
        header.append(f"quick {seen.metric}")
        says.append("quick: a ridge on trigrams by such folds, to show what each would claim")
    warns = list(parted)
    if not asked.fits:
        warns.append("no recipe asks what test asks: a score by these folds is of other rows")
    warns += [
        f"{share(part, 1)} of the test rows have a {name(column)} that train has not: no folds ask "
        "that, so the leaderboard score may be far from cross-validation's"
        for column, part in asked.unseen.items()
    ]
    rows = [row if scored else row[:-1] for row in lines]
    reached = [asked.test.reached, *(claim.relation.reached for claim in asked.claims)]
    if not (scored or warns or any(value for each in reached for value in each.values())):
        none = "yes: like test rows, held-out ones share no sentence with train"
        return Section(title=title, says=[none])
    return Section(
        title=title,
        header=header,
        rows=rows,
        right=range(1, len(header)),
        says=says,
        warns=warns,
    )


def _reached(found: dict[str, float], wanted: list[str]) -> list[str]:
    return [f"{100 * found[each]:.1f} %" if each in found else "" for each in wanted]


def overlap(seen: Inspection) -> Section:
    """Rows and sentences of other files that are also in train."""
    title = "Rows of other files that are in train"
    found = seen.overlap
    if not any(facts.sharing for facts in found.values()):
        return Section(title=title, says=[f"none of {', '.join(found)}, not one sentence"])
    if not any(facts.same or facts.swapped for facts in found.values()):
        sharing = [
            f"{plural(facts.sharing, f'{role} row')} ({share(facts.sharing, facts.rows)})"
            for role, facts in found.items()
            if facts.sharing
        ]
        return Section(title=title, says=[f"none, but a sentence of {', '.join(sharing)}"])
    says = []
    if (test := found.get("test")) and test.same:
        unclear = f", {test.ambiguous:,} of them under several labels" if test.ambiguous else ""
        says.append(
            f"{plural(test.same, 'test row')} ({share(test.same, test.rows)}) can be looked up in "
            f"train{unclear} (first {names(test.examples, 2)})"
        )
    if (holdout := found.get("holdout")) and holdout.sharing > COMPANY * holdout.rows:
        says.append("the holdout's score will flatter: it shares texts with train")
    pairs = len(seen.lengths.columns) > 1
    labelled = any(facts.contradicted is not None for facts in found.values())
    return Section(
        title=title,
        header=["", "same texts"]
        + ["swapped", "a shared sentence"] * pairs
        + ["another label"] * labelled,
        rows=[_overlap_row(role, facts, pairs) for role, facts in found.items()],
        right=[1, 2, 3, 4],
        says=says,
    )


def _overlap_row(role: str, facts: Overlap, pairs: bool) -> list[str]:
    row = [role, number(facts.same)]
    if pairs:
        row += [number(facts.swapped), f"{facts.sharing:,} ({share(facts.sharing, facts.rows)})"]
    return row if facts.contradicted is None else [*row, number(facts.contradicted)]


# What the look at the data says about the target and about test: what tells them apart.


SHOWN, FEW = 8, 3
STRONG = {"Pearson": 0.5, "AUC": 0.75, "accuracy": 0.5}
MANY = 20
"""A column with more values than this is told by shares, not by names."""


def alone(seen: Inspection) -> Section:
    """What predicts the target without a model."""
    notable = [one for one in seen.alone if one.notable]
    title = "What predicts the target alone"
    if notable:
        title += ", on rows held out"
    if seen.alone_rows < seen.rows["train"]:
        title += f" (a sample of {seen.alone_rows:,} rows)"
    quiet = [one.name for one in seen.alone if not one.notable]
    if not notable:
        return Section(title=title, says=[f"none of {names(quiet, FEW)}"])
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
        if len(facts.parts) > 1:
            parts = ", ".join(f"{view} {value:.2f}" for view, value in facts.parts.items())
            title += f"; {parts}"
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
