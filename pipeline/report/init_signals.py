"""What the look at the data says about copies: within train, and between train and other files."""

from dataclasses import replace

from pipeline.report.section import Section, names, number, plural, share
from pipeline.setup.inspection.duplicates import Copies, Groups
from pipeline.setup.inspection.inspect import Inspection
from pipeline.setup.inspection.overlap import Overlap

COMPANY = 0.01
"""Share of rows in groups from which groups matter."""


def copies(seen: Inspection) -> Section:
    """Copies in train, sentences shared by rows, and the groups the folds keep whole."""
    facts, groups = seen.copies, seen.groups
    title = "Copies in train (case, spaces and outer punctuation aside), groups for the folds"
    if not facts.repeated and not facts.shared and all(g.largest <= 1 for g in groups):
        near = " and none has a near copy" if groups[-1].how == "near" else ""
        near += f" (in a sample of {groups[-1].rows:,} rows)" if groups[-1].sampled else ""
        return Section(title=title, says=[f"no text occurs twice{near}: every row stands alone"])
    warns = []
    if facts.conflicting:
        example = names(facts.conflict_examples[0], limit=3)
        warns.append(
            f"{plural(facts.conflicting, 'text')} with different labels in train ({example}): "
            "no model can be right about all of these"
        )
    return Section(
        title=title,
        rows=[*_copy_rows(facts, seen), *(_group_row(group, groups[0]) for group in groups)],
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


def overlap(seen: Inspection) -> Section:
    """Rows and sentences of other files that are also in train."""
    title = "Rows of other files that are in train"
    found = seen.overlap
    if not any(facts.sharing for facts in found.values()):
        return Section(title=title, says=[f"none of {', '.join(found)}, not one sentence"])
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
