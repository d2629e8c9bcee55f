"""Problems found in a file, counted by kind, with the first places of each."""

EXAMPLES = 5
"""Places named per kind of problem; the rest is counted."""


class Findings:
    """Collects (kind, place) pairs and tells them in one sentence per kind.

    >>> found = Findings()
    >>> for line in range(3, 10):
    ...     found.add("too few fields", f"line {line}")
    >>> found.sentences()
    ['too few fields: line 3, line 4, line 5, line 6, line 7 and 2 more']
    """

    def __init__(self) -> None:
        self._places: dict[str, list[str]] = {}
        self._counts: dict[str, int] = {}

    def add(self, kind: str, place: str) -> None:
        """Note one more *place* with this *kind* of problem."""
        places = self._places.setdefault(kind, [])
        self._counts[kind] = self._counts.get(kind, 0) + 1
        if len(places) < EXAMPLES:
            places.append(place)

    def sentences(self) -> list[str]:
        """One sentence per kind, in the order in which the kinds were first seen."""
        return [
            f"{kind}: {listing(places, self._counts[kind])}"
            for kind, places in self._places.items()
        ]


def listing(places: list[str], count: int | None = None) -> str:
    """The first few of *places* and how many more there are (of *count*, default: all given)."""
    total = len(places) if count is None else count
    shown = ", ".join(places[:EXAMPLES])
    more = total - min(len(places), EXAMPLES)
    return f"{shown} and {more:,} more" if more else shown
