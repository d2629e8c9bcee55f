"""Which column names the rows."""

from difflib import get_close_matches

import pandas as pd

from pipeline.data.parts import ROW_NUMBER
from pipeline.setup.detection.choices import Doubts, Wishes
from pipeline.setup.detection.names import IDS, words
from pipeline.setup.detection.profile import Profile


def find_id(
    train: dict[str, Profile],
    test: pd.DataFrame,
    sample: pd.DataFrame | None,
    wishes: Wishes,
    doubts: Doubts,
) -> str:
    """The id column of the training file; an empty text where it takes a flag.

    The sample submission's first column leads. Where train has it under another name, that is
    found by its values in test or, at last, by being unique in every row.
    """
    if wishes.id:
        return _wished(wishes.id, train, doubts)
    if sample is not None:
        first = str(sample.columns[0])
        if first in train:
            doubts.because("columns.id", "The sample submission's first column; train has it too.")
            return first
        if alias := _same_values(train, test, sample[first]):
            reason = f"Its values in the test file are those of {first!r} in the sample submission."
            doubts.because("columns.id", reason)
            return alias
        return _own_id(train, doubts, f"the test file calls its ids {first!r}")
    shared = {name: profile for name, profile in train.items() if name in test.columns}
    return _own_id(shared, doubts, "there is no sample submission")


def _wished(name: str, train: dict[str, Profile], doubts: Doubts) -> str:
    if name in train or name == ROW_NUMBER:
        doubts.because("columns.id", "Given by --id.")
        return name
    close = get_close_matches(name, train, n=1)
    hint = f"did you mean {close[0]!r}?" if close else "it has"
    doubts.ask("--id COLUMN", f"the training file has no column {name!r}; {hint}", list(train))
    return ""


def _same_values(train: dict[str, Profile], test: pd.DataFrame, ids: pd.Series) -> str:
    wanted = set(ids)
    return next((name for name in test.columns if name in train and set(test[name]) == wanted), "")


def _own_id(columns: dict[str, Profile], doubts: Doubts, why: str) -> str:
    """A column that has another value in every row and looks like an id, or row numbers."""
    unique = [name for name, profile in columns.items() if profile.unique and not profile.natural]
    named = [name for name in unique if IDS & set(words(name)) or words(name)[-1:] == ["id"]]
    exact = [name for name in named if name.lower() == "id"]
    best = exact or named
    if len(best) > 1:
        doubts.ask("--id COLUMN", "several columns name every row", best)
        return ""
    if best:
        doubts.because("columns.id", f"The only id that is unique in train; {why}.")
        return best[0]
    if unique and unique[0] == next(iter(columns)):
        doubts.because("columns.id", f"The first column, unique in every row of train; {why}.")
        return unique[0]
    doubts.because(
        "columns.id",
        "No column names every row of train: rows are numbered. Keep the file's order from now on.",
    )
    return ROW_NUMBER
