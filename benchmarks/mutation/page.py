"""The table of docs/mutation.md."""

from collections import Counter

from benchmarks.mutation.explained import Explained
from benchmarks.mutation.plan import ROOT

PAGE = ROOT / "docs" / "mutation.md"
MARK = "<!-- below: written by python -m benchmarks.mutation --write -->\n"


def write_page(
    counts: dict[str, Counter[str]], explained: Explained, share: int, seed: int
) -> None:
    """Replace what stands below the mark."""
    total = sum(counts.values(), Counter())
    rows = [row(f"`{room}`", of_room) for room, of_room in counts.items()]
    reasons = [
        f"- `{file}`: `{before}` → `{after}`: {why}"
        for (file, before, after), why in explained.reasons.items()
    ]
    text = [
        f"`--share {share} --seed {seed}`: up to {share} mutants a file.",
        "",
        "| room | mutants | killed | survived, with a reason | survived | killed of all |",
        "| --- | --- | --- | --- | --- | --- |",
        *rows,
        row("all", total),
        "",
        *(["## With a reason", "", *reasons, ""] if reasons else []),
    ]
    head = PAGE.read_text("utf-8").partition(MARK)[0]
    PAGE.write_text(head + MARK + "\n" + "\n".join(text), encoding="utf-8")


def row(name: str, of: Counter[str]) -> str:
    """One row of the table."""
    share = of["killed"] / max(of.total(), 1)
    return (
        f"| {name} | {of.total()} | {of['killed']} | {of['explained']} | {of['survived']} "
        f"| {share:.0%} |"
    )
