"""Sample submissions with one row per class: read as one column per class, written back as rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True, kw_only=True)
class LongForm:
    """How the r rows of the file come from m ids and c classes."""

    frame: pd.DataFrame
    """(r, …) the file as it is."""
    id_column: str
    class_column: str
    value_column: str

    def rows(self, ids: Sequence[str], cells: Mapping[str, Sequence[str]]) -> pd.DataFrame:
        """The file with its value column filled: *cells* has the (m,) texts of each class, for the
        *ids* (m,)."""
        places = pd.Index(ids).get_indexer(pd.Index(self.frame[self.id_column])).tolist()
        pairs = zip(places, self.frame[self.class_column], strict=True)
        values = [cells[kind][place] for place, kind in pairs]
        return self.frame.assign(**{self.value_column: values})


def widened(frame: pd.DataFrame, id_column: str) -> tuple[pd.DataFrame, LongForm] | None:
    """*frame* with a row per id and a column per class; None where it is not in long form.

    In long form there are three columns, and each id stands once with each class.
    """
    rest = [str(name) for name in frame.columns if name != id_column]
    if len(rest) != 2 or id_column not in frame.columns or frame[id_column].is_unique:
        return None
    for kind, value in (rest, rest[::-1]):
        classes, ids = frame[kind].unique(), frame[id_column].unique()
        once = not frame.duplicated([id_column, kind]).any()
        if once and len(classes) > 1 and len(classes) * len(ids) == len(frame):
            table = frame.pivot(index=id_column, columns=kind, values=value).loc[ids, classes]
            wide = table.rename_axis(columns=None).reset_index()
            form = LongForm(frame=frame, id_column=id_column, class_column=kind, value_column=value)
            return wide, form
    return None
