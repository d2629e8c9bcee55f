"""Files without a header: their first line reads like a row, and a person names the columns."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from pipeline.problems.label_texts import is_number
from pipeline.setup.detection.choices import Choices, Overrides
from pipeline.setup.detection.names import IDS, TARGETS, TEXTS, words
from pipeline.setup.detection.profile import Profile, profiles_of

LINES = {".csv", ".tsv", ".txt"}
"""Endings of files that may lack a header."""
LONG = 4
"""Words from which a name is a sentence."""
KNOWN = TEXTS | (IDS - {"no"}) | {name for names in TARGETS for name in names}


def ask_names(frames: Mapping[Path, pd.DataFrame], overrides: Overrides, choices: Choices) -> None:
    """Ask for the names of the columns of each file that seems to have no header."""
    profiles = {path: profiles_of(frame) for path, frame in frames.items()}
    bare = {
        path: found
        for path, found in profiles.items()
        if not overrides.named(path) and _lines(path) and headless(found)
    }
    others = [found for path, found in profiles.items() if path not in bare]
    names: dict[int, list[str]] = {}
    for path, found in bare.items():
        named = names.setdefault(len(found), proposed(found, others))
        cells = ["" if name.startswith("Unnamed: ") else name for name in found]
        first = ", ".join(name if len(name) <= 30 else f"{name[:29]}…" for name in cells)
        choices.ask(
            f'--names "{path.name}={",".join(named)}"',
            f"the first line ({first}) reads like a row: name the columns, in their order "
            f"(or --names {path.name}=header where it is a header)",
        )


def _lines(path: Path) -> bool:
    return bool(LINES & set(map(str.lower, path.suffixes[-2:])))


def headless(profiles: Mapping[str, Profile]) -> bool:
    """Whether the names of columns read like cells: a number above numbers, or a sentence above
    sentences, and no name that columns usually have."""
    names = list(profiles)
    plain = [name for name in names if not _sentence(name) and not name.startswith("Unnamed: ")]
    if any(name.strip().lower() in KNOWN or KNOWN & set(words(name)) for name in plain):
        return False
    counted = names in ([str(n + start) for n in range(len(names))] for start in (0, 1))
    numbers = any(is_number(name) and profiles[name].numbers > 0.95 for name in names)
    sentences = any(_sentence(name) and profiles[name].natural for name in names)
    return sentences or (numbers and not counted)


def _sentence(name: str) -> bool:
    foreign = any(ord(each) > 0x2E7F for each in name)  # which may write without spaces
    return len(name.split()) >= LONG or (foreign and len(name) >= 12)


def proposed(profiles: Mapping[str, Profile], others: list[dict[str, Profile]]) -> list[str]:
    """Names by what the columns hold: those of another file of the competition that has as many,
    else text, id, label, and numbers for the rest."""
    for other in others:
        if len(other) == len(profiles):
            return list(other)
    texts = [name for other in others for name, profile in other.items() if profile.natural]
    columns = list(profiles.values())
    labels = [place for place, profile in enumerate(columns) if _labels(profile)]
    numbers = [place for place in labels if columns[place].numbers > 0.9]
    left = {"text": texts[0] if texts else "text", "id": "id"}
    found = []
    for place, profile in enumerate(columns):
        kind = "text" if profile.natural else "id" if profile.unique else ""
        name = "label" if place in [*numbers, *labels][:1] else f"column{place + 1}"
        found.append(left.pop(kind, name))
    return found


def _labels(profile: Profile) -> bool:
    return profile.distinct > 1 and profile.empty == 0 and not profile.unique and profile.few
