"""Rows are known by id: which ids are missing, doubled, or meet in two files."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from pipeline.data.findings import Findings, listing
from pipeline.data.table import Table


def id_problems(ids: np.ndarray) -> list[str]:
    """What is wrong with ids (n,) that have to name one row each."""
    found = Findings()
    for row in np.flatnonzero([not row_id.strip() for row_id in ids]):
        found.add("rows without an id", f"row {row + 1}")
    for row_id, count in doubled(ids):
        found.add("ids that stand more than once", f"{row_id} ({count} times)")
    return found.sentences()


def doubled(ids: np.ndarray) -> list[tuple[str, int]]:
    """Ids that stand more than once, with how often; empty ones are not counted."""
    if len(set(ids)) == len(ids):
        return []
    return [(row_id, count) for row_id, count in Counter(ids).items() if count > 1 and row_id]


def same_rows(first: Table, second: Table) -> list[str]:
    """Ids that name the same row in both tables: equal id and equal texts, not all empty."""
    place = {row_id: row for row, row_id in enumerate(second.ids)}
    rows = [(row, place[row_id]) for row, row_id in enumerate(first.ids) if row_id in place]
    return [
        str(first.ids[one])
        for one, other in rows
        if any(first.texts[one]) and list(first.texts[one]) == list(second.texts[other])
    ]


def meeting_problems(labelled: Sequence[Table]) -> list[str]:
    """Rows that stand in two labelled tables and would be trained on and scored."""
    problems = []
    for place, first in enumerate(labelled):
        for second in labelled[place + 1 :]:
            if ids := same_rows(first, second):
                problems.append(
                    f"{second.source}: rows that stand in {first.source} too (same id, same "
                    f"texts): {listing(ids)}. Take them out of one of the files, or the file out "
                    "of the config."
                )
    return problems


def sample_problems(test_ids: np.ndarray, sample_ids: np.ndarray) -> list[str]:
    """How the ids of the sample submission differ from those of the test file; order is free."""
    found = Findings()
    known, wanted = set(test_ids), set(sample_ids)
    for row_id in test_ids:
        if row_id not in wanted:
            found.add(f"{len(known - wanted):,} ids of the test file are not in it", str(row_id))
    for row_id in sample_ids:
        if row_id not in known:
            found.add(f"{len(wanted - known):,} of its ids are not in the test file", str(row_id))
    return found.sentences()
