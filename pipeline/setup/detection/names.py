"""What the name of a column or a file says: words out of comment_text, qid1, isDuplicate.

And what is no name: the first line of a file without a header reads like a row.
"""

import re
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from pipeline.problems.label_texts import canonical, is_number
from pipeline.setup.detection.choices import Choices, Overrides
from pipeline.setup.detection.profile import Profile, profiles_of


def _these(names: str) -> frozenset[str]:
    return frozenset(names.split())


TEXTS = _these(
    "text sentence sent document doc review comment essay content contents body excerpt tweet "
    "article news code message discourse sms abstract story passage utterance headline title "
    "description question query answer response reply prompt premise hypothesis hypo claim "
    "evidence context summary anchor phrase caption instruction snippet post paragraph source_text"
)
MAIN_TEXTS = _these(
    "text document sentence review comment essay content contents body excerpt tweet article "
    "message passage utterance code"
)
NO_TEXTS = _these(
    "id ids qid uid index idx key keyword keywords location source genre url link uri path file "
    "filename date time timestamp year month day user username author writer publisher lang "
    "language country city region category type domain hash email phone name tag tags hashtag "
    "clean cleaned processed preprocessed lemmatized stemmed normalized tokenized tokens"
)
TARGETS = (
    ("target", "targets"),
    ("label", "labels", "gold_label"),
    ("score", "y", "class", "is_duplicate"),
    ("topic", "category", "sentiment", "rating", "grade", "stance", "intent", "emotion", "author"),
    ("similarity", "similar", "entailment", "relevance", "quality", "toxicity", "toxic", "polarity",
     "generated", "stars", "answer", "output", "relation", "type", "genre", "difficulty"),
)  # fmt: skip
ASIDE = _these(
    "std stderr error sd variance confidence agreement votes count annotator annotators worker "
    "fold kfold split usage set date created weight rationale explanation"
)
MIDDLES = _these("mean avg average median majority consensus final gold")
"""Of what several people said of a row."""
GRADES = _these(
    "score scores rating grade grades stars star level quality similarity points mark marks "
    "relevance difficulty age"
)
KINDS = _these(
    "label labels class classes category topic target intent sentiment stance emotion type genre "
    "author relation entailment"
)
IDS = _these("id ids idx index guid uuid uid key no num number unnamed")
GROUPS = _these("author user writer worker prompt essay topic qid document doc subject group")
KNOWN_PAIRS = (
    ("premise", "hypothesis"),
    ("premise", "hypo"),
    ("anchor", "target"),
    ("claim", "evidence"),
    ("query", "document"),
    ("query", "passage"),
    ("query", "title"),
    ("question", "answer"),
    ("question", "sentence"),
    ("question", "passage"),
    ("question", "context"),
    ("prompt", "response"),
    ("context", "response"),
    ("document", "summary"),
    ("text", "summary"),
)


def words(name: str) -> list[str]:
    """The words of a name in lower case, digits apart.

    >>> words("comment_text"), words("isDuplicate"), words("qid1"), words("IDLink"), words("제목1")
    (['comment', 'text'], ['is', 'duplicate'], ['qid', '1'], ['id', 'link'], ['제목', '1'])
    """
    parts = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\dA-Za-z_]+", name)
    return [part.lower() for part in parts]


def plain_words(name: str) -> list[str]:
    """`words` without the numbers and single letters that tell two of a kind apart."""
    return [word for word in words(name) if len(word) > 1 and not word.isdigit()]


def last_word(name: str) -> str:
    """The word that says what kind of thing a column holds: path for code1_path."""
    return (plain_words(name) or [name.lower()])[-1]


def skeleton(name: str) -> str:
    """One text for names that differ in a number or letter: sentence1, sentence2 -> sentence#.

    >>> skeleton("sentence_1") == skeleton("sentence_2"), skeleton("textA"), skeleton("response_a")
    (True, 'text#', 'response#')
    """
    marked = re.sub(r"(?<![a-zA-Z])[ab](?![a-zA-Z])|(?<=[a-z])[AB](?![a-zA-Z])|\d+", "#", name)
    return re.sub(r"[ _.-]", "", marked).lower() if "#" in marked else name


def target_rank(name: str) -> int:
    """How well-known *name* is for a target: 0 the best, len(TARGETS) + 1 unknown."""
    lowered = name.lower().strip()
    for rank, known in enumerate(TARGETS):
        if lowered in known:
            return rank
    parts = plain_words(name)
    telling = parts and (parts[0] == "is" or any(parts[-1] in known for known in TARGETS))
    return len(TARGETS) if telling else len(TARGETS) + 1


# Files without a header: their first line reads like a row, and a person names the columns.


LINES = {".csv", ".tsv", ".txt"}
"""Endings of files that may lack a header."""
LONG = 4
"""Words from which a name is a sentence."""
KNOWN = TEXTS | (IDS - {"no"}) | {name for names in TARGETS for name in names}


def valued(train: Mapping[str, Profile], test: pd.DataFrame) -> list[str]:
    """The columns of *test* without those that are empty in every row, or have a mark in all where
    labels would be: by their names; or, where test lacks no column of *train*, a word for numbers.
    """
    filled = [str(name) for name in test.columns if test[name].str.strip().any()]
    marks = [name for name in filled if unseen(train, test, name)]
    labels = [name for name in marks if target_rank(name) <= len(TARGETS)]
    if not labels and set(train) <= set(filled):
        labels = [
            name for name in marks if train[name].numeric and not is_number(test[name].iloc[0])
        ]
    return [name for name in filled if name not in labels]


def unseen(train: Mapping[str, Profile], test: pd.DataFrame, name: str) -> bool:
    """Whether the column *name* has one value everywhere in *test* that *train* never has."""
    values = {canonical(text) for text in pd.unique(test[name])}
    known = train[name].values if name in train else []
    return bool(known) and len(values) == 1 and not values & set(map(canonical, known))


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


def ask_bare_sample(
    path: Path,
    sample: pd.DataFrame,
    train: pd.DataFrame,
    test: pd.DataFrame,
    overrides: Overrides,
    choices: Choices,
) -> None:
    """The same of a sample submission whose first line names a row of *test*."""
    target = [str(name) for name in train.columns if name not in test.columns]
    first, *rest = map(str, sample.columns)
    ids = [name for name in test.columns if test[name].is_unique and first in set(test[name])]
    if ids and not overrides.named(path) and _lines(path):
        named = ",".join([str(ids[0]), *(target if len(rest) == len(target) else rest)])
        choices.ask(
            f'--names "{path.name}={named}"',
            f"the first line ({', '.join([first, *rest])}) is a row of the test file: name the "
            "columns, in their order, as train has them; the submission has no header then, either",
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
