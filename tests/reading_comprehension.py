"""Small competitions of answers in texts, made of a few sentences: questions of reading
comprehension, as SQuAD's JSON or csv, and pieces of tweets by their label."""

import csv
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

PEOPLE = ["Ann Lee", "Bo", "Cy Young", "Dee Marsh", "Eve", "Finn Otto"]
PLACES = ["Rome", "New York", "Oslo", "Cape Town", "Lima"]
THINGS = ["a red coat", "the old map", "two lamps", "a small boat"]
FRAMES = [
    "{n}: in {l}, {p} bought {t}. It rained all day.",
    "Nobody came on day {n}. Then {p} sold {t} in {l}!",
    "{p} lost {t} on the way to {l}, a trip of {n} days.",
    "Letter {n} says that {t} was found in {l} by {p}.",
]
QUESTIONS = [("Who was it?", "p"), ("Where was it?", "l"), ("What was it?", "t")]
NOBODY = "How much was paid for it?"


@dataclass(frozen=True)
class Asked:
    """A row."""

    name: str
    text: str
    question: str
    answer: str
    """Empty where the text has none."""


def asked(number: int, unanswered: float = 0.0) -> Asked:
    """The row of this *number*; so large a share of rows has no answer."""
    random = np.random.default_rng(number)
    frame = str(random.choice(FRAMES))
    held = {"p": random.choice(PEOPLE), "l": random.choice(PLACES), "t": random.choice(THINGS)}
    text = frame.format(n=number, **held)
    question, kind = QUESTIONS[int(random.integers(len(QUESTIONS)))]
    if random.random() < unanswered:
        return Asked(f"q{number}", text, NOBODY, "")
    return Asked(f"q{number}", text, question, str(held[kind]))


def write_squad(path: Path, rows: list[Asked], labelled: bool = True) -> None:
    """*rows* as SQuAD 2.0 has them."""
    articles = []
    for row in rows:
        entry: dict[str, object] = {"question": row.question, "id": row.name}
        if labelled:
            at = {"text": row.answer, "answer_start": row.text.find(row.answer)}
            entry |= {"answers": [at] if row.answer else [], "is_impossible": not row.answer}
        paragraph = {"context": row.text, "qas": [entry]}
        articles.append({"title": "letters", "paragraphs": [paragraph]})
    path.write_text(json.dumps({"version": "v2.0", "data": articles}), encoding="utf-8")


def write_csv(path: Path, header: list[str], rows: list[list[str]]) -> None:
    """A csv file."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([header, *rows])


MOODS = {
    "positive": ["love this song", "so happy", "best day ever"],
    "negative": ["hate rain", "so tired", "worst bus ever"],
}


def tweet(number: int) -> tuple[str, str, str]:
    """Text, sentiment, and the piece of the text that shows it; of a neutral one all of it."""
    random = np.random.default_rng(number)
    both = {mood: str(random.choice(words)) for mood, words in MOODS.items()}
    text = f"day {number} {both['positive']} but {both['negative']} ok"
    if random.random() < 0.5:
        text = f"at {number} {both['negative']}, still {both['positive']} tonight"
    mood = str(random.choice(["positive", "negative", "neutral"]))
    return text, mood, both.get(mood, text)
