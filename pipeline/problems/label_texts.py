"""Label texts to numbers: one number for all ways to write it, or the reason why there is none.

And columns whose numbers are written another way: `NumberForm`, and `form_of`, which finds it.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from math import isfinite

from pipeline.base.errors import UsageError

NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,4})?")
NOT_A_NUMBER = {"nan", "na", "n/a", "none", "null"}
INFINITE = {"inf", "infinity"}
NO_LABEL, MISSING = "no label", "a label that is missing"
COMMA, NO_NUMBER = "a label with a comma for the point", "a label that is not a number"
INFINITY, NO_FLAG = "a label that is not finite", "a label that is not 0 or 1"
OUTSIDE, NO_CLASS = "a label outside task.label_range", "a class that is not in task.classes"
FLAGS = {"0": 0.0, "false": 0.0, "1": 1.0, "true": 1.0}

Reader = Callable[[str], float | str]
"""From a label's text, without outer spaces, to its number or to what is wrong with it."""


def canonical(text: str) -> str:
    """One text for all ways to write a number; any other text composed (NFC), as macOS takes it
    apart (NFD): the same letters on the screen, other characters in the file.

    >>> [canonical(text) for text in ("1.0", "+1", "1e0", "-0", "0.50", " yes ", "e\u0301")]
    ['1', '1', '1', '0', '0.5', 'yes', 'é']
    """
    text = unicodedata.normalize("NFC", text.strip())
    if not NUMBER.fullmatch(text):
        return text
    value = Decimal(text).normalize()
    return "0" if not value else f"{value:f}"


def without_case(texts: Iterable[str]) -> set[str]:
    """What *texts* are where neither case nor the way to write a number counts.

    >>> sorted(without_case(["Spam", "SPAM ", "1.0"]))
    ['1', 'spam']
    """
    return {canonical(text).casefold() for text in texts}


def is_number(text: str) -> bool:
    """Is *text* a finite number, written with a point?"""
    return bool(NUMBER.fullmatch(text.strip())) and isfinite(float(text))


def number(text: str, bounds: tuple[float, float] | None) -> float | str:
    """The number that *text* holds, within *bounds*; or what is wrong with it."""
    if not text:
        return NO_LABEL
    if text.lower() in NOT_A_NUMBER:
        return MISSING
    if text.lower().lstrip("+-") in INFINITE:
        return INFINITY
    if not NUMBER.fullmatch(text):
        comma = re.fullmatch(r"[+-]?\d+,\d+", text)
        return COMMA if comma else NO_NUMBER
    value = float(text)
    if not isfinite(value):
        return INFINITY
    if bounds and not bounds[0] <= value <= bounds[1]:
        return f"{OUTSIDE} {list(bounds)}"
    return value


def flag(text: str) -> float | str:
    """0.0 or 1.0 for 0, false, 1 or true; or what is wrong with *text*."""
    return looked_up(text.lower(), FLAGS, NO_FLAG)


def class_reader(classes: Sequence[str]) -> Reader:
    """From the text of one of *classes* to its place among them."""
    known: Mapping[str, float] = class_numbers(classes)
    return lambda text: looked_up(text, known, NO_CLASS)


def class_numbers(classes: Sequence[str]) -> dict[str, float]:
    """The number of each class, by its text and, where values stay unique, by its `canonical` text.

    >>> class_numbers(["-1.0", "yes"])
    {'-1': 0.0, 'yes': 1.0, '-1.0': 0.0}
    """
    by_value = {canonical(name): float(place) for place, name in enumerate(classes)}
    by_text = {
        unicodedata.normalize("NFC", name.strip()): float(place)
        for place, name in enumerate(classes)
    }
    return {**by_value, **by_text} if len(by_value) == len(classes) else by_text


def looked_up(text: str, known: Mapping[str, float], otherwise: str) -> float | str:
    """The number of *text* among those *known*, by its canonical text too; else *otherwise*."""
    if not text:
        return NO_LABEL
    return known.get(text, known.get(canonical(text), otherwise))


# Numbers written another way: a comma for the point, marks between thousands, a percent sign; and
# which of it a column's cells prove. A form is named by how 1234.5, or 1.5, looks in it: 1,5;
# 1.234,5; 1,234.5; 1.5%.


GROUPS = ("", ".", ",", " ", "'", "\u00a0", "\u202f")
"""What may stand between thousands: the spaces are plain, no-break and narrow no-break."""
PERCENT = re.compile(r"\s?%")
EXAMPLE = re.compile(r"1(?:([.,' \u00a0\u202f])234)?([.,])5(\s?%)?")


@dataclass(frozen=True, kw_only=True)
class NumberForm:
    """One way to write numbers."""

    decimal: str = "."
    thousands: str = ""
    percent: str = ""
    """Behind each number, a space before it where there is one; empty: nothing."""
    shares: bool = False
    """Whether 1 is written as 100: a probability in percent."""

    @classmethod
    def of(cls, example: str, where: str = "numbers") -> "NumberForm":
        """The form in which 1234.5, or 1.5, is the *example*; UsageError for none.

        >>> NumberForm.of("1.234,5 %")
        NumberForm(decimal=',', thousands='.', percent=' %', shares=False)
        """
        found = EXAMPLE.fullmatch(example.strip())
        if found is None or found[1] == found[2]:
            raise UsageError(
                f"{where}: {example!r} is no way to write 1234.5 or 1.5; expected one such as "
                "1,5 or 1.234,5 or 1,234.5 or 1.5%"
            )
        return cls(decimal=found[2], thousands=found[1] or "", percent=found[3] or "")

    @property
    def example(self) -> str:
        """1234.5 in this form, or 1.5 where nothing stands between thousands."""
        whole = f"1{self.thousands}234" if self.thousands else "1"
        return f"{whole}{self.decimal}5{self.percent}"

    def fits(self, text: str) -> bool:
        """Whether *text*, without outer spaces, is a number in this form."""
        return bool(self._pattern.fullmatch(text)) or (bool(self.percent) and text == "0")

    def plain(self, text: str) -> str:
        """The number with a point and nothing else; any other text as it is.

        >>> [NumberForm.of("1.234,5").plain(text) for text in ("1.250,75", "-3,5", "none")]
        ['1250.75', '-3.5', 'none']
        """
        stripped = text.strip()
        if not self.fits(stripped):
            return text
        bare = PERCENT.sub("", stripped)
        bare = bare.replace(self.thousands, "") if self.thousands else bare
        bare = bare.replace(self.decimal, ".")
        return str(Decimal(bare) / 100) if self.shares else bare

    def written(self, text: str) -> str:
        """A number with a point in this form; any other text as it is.

        >>> NumberForm.of("1,234.5%").written("1250.0"), NumberForm.of("1,5").written("1e-07")
        ('1,250.0%', '0,0000001')
        """
        if not is_number(text):
            return text
        value = (Decimal(text) * 100).normalize() if self.shares else Decimal(text)
        bare = f"{value:{',' if self.thousands else ''}f}"
        swap = {",": self.thousands, ".": self.decimal}
        return "".join(swap.get(each, each) for each in bare) + self.percent

    @property
    def _pattern(self) -> re.Pattern[str]:
        group = re.escape(self.thousands)
        whole = rf"(?:[0-9]+|[1-9][0-9]{{0,2}}(?:{group}[0-9]{{3}})+)" if group else "[0-9]+"
        end = r"\s?%" if self.percent else ""
        return re.compile(rf"[+-]?{whole}(?:{re.escape(self.decimal)}[0-9]+)?{end}")


@dataclass(frozen=True, kw_only=True)
class Doubt:
    """Cells that may be numbers in more ways than one, or several labels each."""

    forms: tuple[NumberForm, ...]
    """The ways."""
    example: str
    """A cell that is read otherwise by each."""


def form_of(cells: Iterable[str], decimal: str | None = None) -> NumberForm | Doubt | None:
    """How numbers are written in *cells*; None where all are numbers already, or some are none.

    Empty cells and marks for missing values aside. *decimal* says what stands for the point. Cells
    such as 1,234 may be a thousand or one and a bit; 3,4 and 1,2 may be labels: these are a
    `Doubt`, unless other cells rule one of both out.

    >>> form_of(["3,75", "4"]).example, form_of(["1,250", "-3,000,000"]).example
    ('1,5', '1,234.5')
    >>> form_of(["1,234", "950"]).example, form_of(["1.5", "2"]), form_of(["1,5", "x"])
    ('1,234', None, None)
    """
    texts = {text.strip() for text in cells}
    texts = {text for text in texts if text and text.lower() not in NOT_A_NUMBER}
    if not texts or all(map(is_number, texts)):
        return None
    signs = [found[0] for text in sorted(texts) if (found := PERCENT.search(text))]
    percent = signs[0] if signs else ""
    bare = {PERCENT.sub("", text) if text.endswith("%") else text for text in texts}
    if percent and any(not text.endswith("%") and text != "0" for text in texts):
        return None
    if percent and all(map(is_number, bare)):
        return NumberForm(percent=percent)
    ways = [
        form
        for point in (",", ".")
        for group in GROUPS
        if group != point and (form := NumberForm(decimal=point, thousands=group))
        if decimal in (None, point) and all(map(form.fits, bare)) and _needed(form, bare)
    ]
    forms = tuple(replace(form, percent=percent) for form in ways)
    odd = min((text for text in bare if not is_number(text)), key=lambda text: (len(text), text))
    if len(forms) > 1:
        return Doubt(forms=forms, example=odd)
    if forms and decimal is None and not percent and _may_be_several(forms[0], bare):
        return Doubt(forms=forms, example=odd)
    return forms[0] if forms else None


def _needed(form: NumberForm, texts: Iterable[str]) -> bool:
    """Whether all marks of the form occur, so that none of fewer marks would do."""
    marks = [form.thousands] if form.thousands else [form.decimal]
    return all(any(mark in text for text in texts) for mark in marks)


def _may_be_several(form: NumberForm, texts: set[str]) -> bool:
    """Whether the numbers may be labels or codes, several in a cell: parts without a sign, a zero
    in front or a copy in the same cell, of few different values that leave no gaps, and not always
    two of them; or of three digits each."""
    mark = form.thousands or form.decimal
    if form.thousands and form.decimal in "".join(texts):
        return False
    cells = [text.split(mark) for text in texts]
    parts = [part for cell in cells for part in cell]
    if any(not NUMBER.fullmatch(part) or part[0] in "+-" for part in parts):
        return False
    if form.thousands:
        return all(len(cell[0]) == 3 for cell in cells if len(cell) > 1)
    if any(len(part) > 1 and part[0] == "0" for part in parts):
        return False
    if any(len(set(map(int, cell))) < len(cell) for cell in cells):
        return False
    widths = {len(cell[1]) for cell in cells if len(cell) > 1}
    if len(cells) > 9 and len(widths) == 1 and all(len(cell) > 1 for cell in cells):
        return False
    known = set(map(int, parts))
    ends = {cell[1] for cell in cells if len(cell) > 1}
    halves = len(cells) > 3 and len(ends) == 1 and not {cell[0] for cell in cells} & ends
    return not halves and len(known) > max(known) / 2
