"""What the name of a column or a file says: words out of comment_text, qid1, isDuplicate."""

import re


def _these(names: str) -> frozenset[str]:
    return frozenset(names.split())


TEXTS = _these(
    "text sentence sent document doc review comment essay content contents body excerpt tweet "
    "article news code message discourse sms abstract story passage utterance headline title "
    "description question query answer response reply prompt premise hypothesis claim evidence "
    "context summary anchor phrase caption instruction snippet post paragraph source_text"
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
