"""Make the small competition of texts: announcements of a town's evening courses, from their facts.

    python demo/texts.py             train.csv, test.csv, sample_submission.csv, answers.jsonl
    python demo/texts.py --out DIR   the same bytes elsewhere

A course has four to seven facts; an announcement says all of them, in one of many orders and
wordings. A course stands on one to three rows, each with an announcement of its own; those of test
stand on one, and are not among those of train.
"""

import csv
import io
import json
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from random import Random

from pipeline.base.command import run
from pipeline.base.files import commit_text

SEED = 11
TRAIN_COURSES, TEST_COURSES = 320, 100
MOST_TOLD = 3
"""Announcements of a course, at most."""


def listed(words: str) -> list[str]:
    """What bars part."""
    return words.replace("\n", " ").split("|")


FACTS: dict[str, list[str]] = {
    "course": listed("pottery|bread baking|chess|first aid|Italian|watercolours|bookbinding|choir"),
    "teacher": listed("Ada Moor|Jonas Quill|Lena Hill|Marek Sands|Nora Vale|Otis Wren|Uma Berg"),
    "place": listed("the old mill|the town hall|the library|the boat house|the school kitchen"),
    "day": listed("Monday|Tuesday|Wednesday|Thursday|Friday|Saturday"),
    "hour": listed("5 pm|6 pm|6.30 pm|7 pm|8 pm"),
    "price": listed("free|4 euros|9 euros|15 euros|20 euros"),
    "level": listed("beginners|experienced people|children|everybody"),
    "bring": listed("an apron|a pencil|warm clothes|a cushion|nothing"),
}
"""What a course can have -> its values."""
INLINED = 0.5
"""Share of the announcements that tell a fact in the first sentence, of those that can."""
ALWAYS = ("course", "place", "day", "hour")
OPENINGS = """
{Course} is taught in {place} on {day} at {hour}
There is a course in {course} at {hour} on {day} in {place}
The {course} course meets every {day} at {hour} in {place}
On {day} at {hour} there is {course} in {place}
Every {day} at {hour} , {place} is open for {course}
Come to {place} on {day} at {hour} for {course}
{Course} : {day} , {hour} , in {place}
"""
INLINE = {
    "teacher": "with {teacher}|led by {teacher}",
    "level": "for {level}",
    "price": "for {price}",
}
"""What follows the opening in the same sentence; one fact at most is told so."""
SENTENCES = {
    "teacher": "{teacher} teaches it|Your teacher is {teacher}|It is led by {teacher}",
    "level": "It is meant for {level}|It suits {level}",
    "price": "It costs {price}|The price is {price}",
    "bring": "Please bring {bring}|You need {bring}|Bring {bring} along",
}
SPECIAL = {
    ("price", "free"): "It is free|It costs nothing|You pay nothing",
    ("bring", "nothing"): "You need not bring anything|Everything is there",
    ("level", "everybody"): "Everybody is welcome|It is open to all",
}


def course(random: Random) -> dict[str, str]:
    """The facts of one course."""
    further = random.sample(sorted(SENTENCES), random.randint(0, 3))
    kept = [name for name in FACTS if name in ALWAYS or name in further]
    return {name: random.choice(FACTS[name]) for name in kept}


def meaning(facts: dict[str, str]) -> str:
    """The facts as they are given.

    >>> meaning({"course": "chess", "hour": "7 pm"})
    'course[chess], hour[7 pm]'
    """
    return ", ".join(f"{name}[{value}]" for name, value in facts.items())


def announcement(facts: dict[str, str], random: Random) -> str:
    """All *facts* in words."""
    values = {**facts, "Course": facts["course"][0].upper() + facts["course"][1:]}
    further = [name for name in facts if name in SENTENCES]
    random.shuffle(further)
    told = random.choice(OPENINGS.strip().splitlines())
    plain = further and further[0] in INLINE and (further[0], facts[further[0]]) not in SPECIAL
    if plain and random.random() < INLINED:
        told += f" , {random.choice(listed(INLINE[further.pop(0)]))}"
    ways = [SPECIAL.get((name, facts[name]), SENTENCES[name]) for name in further]
    sentences = [told, *(random.choice(listed(way)) for way in ways)]
    text = " ".join(f"{each.format(**values)} ." for each in sentences)
    for sign in (".", ",", ":"):
        text = text.replace(f" {sign}", sign)
    return text


def several(facts: dict[str, str], count: int, random: Random) -> list[str]:
    """So many announcements of one course, no two alike."""
    found: dict[str, None] = {}
    while len(found) < count:
        found[announcement(facts, random)] = None
    return list(found)


def files() -> dict[str, str]:
    """Name -> content of each file."""
    random = Random(SEED)
    courses: dict[str, dict[str, str]] = {}
    while len(courses) < TRAIN_COURSES + TEST_COURSES:
        facts = course(random)
        courses[meaning(facts)] = facts
    given = list(courses.items())
    rows = [
        (text, each)
        for text, facts in given[:TRAIN_COURSES]
        for each in several(facts, random.randint(1, MOST_TOLD), random)
    ]
    random.shuffle(rows)
    train = [(f"train-{row:03}", *pair) for row, pair in enumerate(rows)]
    test = [(f"test-{row:03}", text) for row, (text, _) in enumerate(given[TRAIN_COURSES:])]
    answers = [
        json.dumps({"id": row_id, "text": several(courses[text], MOST_TOLD, random)}) + "\n"
        for row_id, text in test
    ]
    sample = [(row_id, "There is a course.") for row_id, _ in test]
    return {
        "train.csv": _table(("id", "meaning", "text"), train),
        "test.csv": _table(("id", "meaning"), test),
        "sample_submission.csv": _table(("id", "text"), sample),
        "answers.jsonl": "".join(answers),
    }


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


def main(argv: Sequence[str] | None = None) -> int:
    """Write the files."""
    options = ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    options.add_argument("--out", type=Path, default=Path(__file__).parent / "texts")
    folder = options.parse_args(argv).out
    for file, content in files().items():
        commit_text(folder / file, content)
        print(folder / file)
    return 0


if __name__ == "__main__":
    raise SystemExit(run(main))
