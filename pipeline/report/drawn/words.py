"""The words of the report in other languages than English.

As with gettext, the English sentence is the key: it stands in the code, and `words.LANGUAGE.json`
has a line for it. A key may hold named places, `{rows} rows`, which take what stands there as it
is; `{verdict!t}` in a translation says that what stands there is words again, and is translated.
What came from a file of the user's (`Data`: names, texts, labels) is never touched, nor numbers.
"""

import re
import string
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from pipeline.base import read_json
from pipeline.base.parser import Parser

HERE = Path(__file__).parent
LANGUAGES = ("en", *sorted(file.name.split(".")[1] for file in HERE.glob("words.*.json")))
LETTERS = re.compile("[A-Za-z]{2}")
PLACE = re.compile(r"\{(\w+)\}")


class Data(str):
    """Text that is the user's, not ours."""

    __slots__ = ()


class Words:
    """Says things in one language."""

    def __init__(self, language: str, table: Mapping[str, str]) -> None:
        """*table*: English, with places -> the same in *language*."""
        self.language, self.table = language, table
        self.missing: set[str] = set()
        """English that was asked for and has no line in the table."""

    def __call__(self, english: str) -> str:
        """*english* in this language; as it is where it is `Data` or has no line."""
        if self.language == "en" or isinstance(english, Data) or not LETTERS.search(english):
            return english
        if (found := self.table.get(english)) is not None:
            return found
        for pattern, said in self._patterns:
            if (match := pattern.fullmatch(english)) is not None:
                return self._filled.vformat(said, (), match.groupdict())
        self.missing.add(english)
        return english

    @cached_property
    def _filled(self) -> string.Formatter:
        words = self

        class Filled(string.Formatter):
            def convert_field(self, value: Any, conversion: Any) -> Any:
                return (
                    words(value) if conversion == "t" else super().convert_field(value, conversion)
                )

        return Filled()

    @cached_property
    def _patterns(self) -> list[tuple[re.Pattern[str], str]]:
        """Keys with places, those first that leave least open."""
        with_places = [key for key in self.table if PLACE.search(key)]
        with_places.sort(key=lambda key: -len(PLACE.sub("", key)))
        return [(_pattern(key), self.table[key]) for key in with_places]


def _pattern(key: str) -> re.Pattern[str]:
    pieces = PLACE.split(key)
    shown = [
        f"(?P<{each}>.*?)" if place % 2 else re.escape(each) for place, each in enumerate(pieces)
    ]
    return re.compile("".join(shown), re.DOTALL)


def add_language(options: Parser) -> None:
    """Add --lang to the options of a command that writes such a page."""
    options.add_argument(
        "--lang", choices=LANGUAGES, default="en", help="the language of the page's own words"
    )


def words_of(language: str) -> Words:
    """The words of one of `LANGUAGES`."""
    table = {} if language == "en" else read_json(HERE / f"words.{language}.json")
    return Words(language, table)
