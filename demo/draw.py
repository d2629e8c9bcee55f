"""Which of the pairs that the scenes offer become rows, and what people say about them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from random import Random

from demo.alter import slip
from demo.pairs import Cluster, Pair, candidates
from pipeline.base.errors import DataError


@dataclass(frozen=True)
class Kind:
    """How a kind of pair is mixed in and judged."""

    share: float
    """Of all rows, in (0, 1]."""
    low: float
    high: float
    """The true similarity lies evenly between them."""


@dataclass(frozen=True)
class Judges:
    """The people who are asked about every pair."""

    count: int
    disagreement: float
    """Standard deviation of one judge's opinion about one pair."""
    lenience: Mapping[str, float]
    """Each source has judges of its own, stricter or kinder by so much."""


@dataclass(frozen=True)
class Row:
    """One judged pair."""

    pair: Pair
    truth: float
    """What the judges scatter around."""
    similarity: float
    """Mean of the judgements, not rounded."""

    @property
    def label(self) -> str:
        """The similarity as it stands in the files."""
        return f"{self.similarity:.1f}"

    @property
    def binary_label(self) -> str:
        """1.0 where the similarity, before rounding, is at least 3."""
        return "1.0" if self.similarity >= 3 else "0.0"


def shared_out(total: int, shares: Mapping[str, float]) -> dict[str, int]:
    """*total* cut into whole numbers as *shares* say, by largest remainder.

    >>> shared_out(10, {"a": 0.55, "b": 0.25, "c": 0.2})
    {'a': 6, 'b': 2, 'c': 2}
    """
    weight = sum(shares.values())
    exact = {name: total * share / weight for name, share in shares.items()}
    counts = {name: int(value) for name, value in exact.items()}
    by_remainder = sorted(exact, key=lambda name: counts[name] - exact[name])
    for name in by_remainder[: total - sum(counts.values())]:
        counts[name] += 1
    return counts


def draw(clusters: Sequence[Cluster], counts: Mapping[str, int], dice: Random) -> list[Pair]:
    """So many pairs of each kind, the clusters taking turns; no two rows have the same pair.

    Raises DataError where the scenes do not offer enough.
    """
    drawn: list[Pair] = []
    for kind, count in counts.items():
        order = dice.sample(clusters, len(clusters))
        turns = zip_longest(*(candidates(kind, cluster, dice) for cluster in order))
        offered = [pair for turn in turns for pair in turn if pair is not None]
        if len(offered) < count:
            raise DataError(
                f"the scenes of {clusters[0][0].source} offer {len(offered)} pairs of kind "
                f"{kind!r}, {count} are wanted. Write more scenes, or lower its share."
            )
        drawn += offered[:count]
    return drawn


def judged(
    pairs: Sequence[Pair], kinds: Mapping[str, Kind], judges: Judges, dice: Random
) -> list[Row]:
    """A row for each pair: its truth drawn by its kind, then judged."""
    rows = []
    for pair in pairs:
        kind = kinds[pair.kind]
        truth = kind.low + (kind.high - kind.low) * dice.random()
        rows.append(_row(pair, truth + judges.lenience[pair.source], judges, dice))
    return rows


def asked_again(row: Row, judges: Judges, dice: Random) -> Row:
    """The row's pair with its sides swapped and a slip of the pen, judged once more."""
    first, second = row.pair.texts
    texts = (second, slip(first, dice))
    return _row(Pair(row.pair.source, row.pair.kind, texts), row.truth, judges, dice)


def _row(pair: Pair, truth: float, judges: Judges, dice: Random) -> Row:
    opinions = [truth + judges.disagreement * dice.gauss(0, 1) for _ in range(judges.count)]
    # people answer in half points
    answers = [min(max(round(2 * opinion) / 2, 0.0), 5.0) for opinion in opinions]
    return Row(pair, truth, sum(answers) / len(answers))
