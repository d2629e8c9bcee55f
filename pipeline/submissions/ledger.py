"""The ledger: what was sent, one entry a line, sorted, so that two branches merge.

    submissions/COMP-ledger.jsonl

Every change reads the file, changes it and commits it whole while it holds a lease, so of two
commands at once neither loses its entry.

A ledger is lines keyed by SHA-256, so git merges it.
"""

import getpass
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from pipeline.base import ArtifactError, DataError, UsageError, raise_if
from pipeline.base.config import SubmissionsConfig
from pipeline.base.files import commit_text
from pipeline.base.leases import lease
from pipeline.base.paths import safe_name
from pipeline.metrics.metric import score_problem

# One submission in the ledger, and the line of the file that holds it.
#
#     {"day": "2026-03-01", "file": "COMP-001-mean.csv", "sha256": "…", "by": "ann", …}
#
# A submission is known by the SHA-256 of its bytes. After a merge in git one submission may stand
# on two lines, an older and a newer; they are joined where they do not contradict each other.


DIGEST = re.compile(r"[0-9a-f]{64}")
LATER = ("by", "public", "private")
"""Fields that may be empty at first."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A submission that was sent."""

    day: str
    """When, as YYYY-MM-DD (UTC)."""
    file: str
    """Its name when it was sent."""
    sha256: str
    by: str | None = None
    """Who sent it."""
    public: float | None = None
    """Its score on the public leaderboard."""
    private: float | None = None

    @property
    def line(self) -> str:
        """The line of the ledger."""
        return json.dumps(asdict(self), ensure_ascii=False, allow_nan=False)

    @property
    def said(self) -> str:
        """For a sentence.

        >>> Entry(day="2026-03-01", file="a.csv", sha256="0" * 64, by="ann", public=0.9).said
        'a.csv, sent on 2026-03-01 by ann (public 0.9)'
        """
        by = f" by {self.by}" if self.by else ""
        known = {"public": self.public, "private": self.private}
        scores = ", ".join(f"{name} {score}" for name, score in known.items() if score is not None)
        return f"{self.file}, sent on {self.day}{by}" + (f" ({scores})" if scores else "")


def joined(one: Entry, other: Entry) -> Entry | None:
    """Both lines of one submission as one; None where they contradict each other.

    >>> first = Entry(day="2026-03-01", file="a.csv", sha256="0" * 64, by="ann")
    >>> joined(first, replace(first, public=0.9)).public
    0.9
    >>> joined(replace(first, public=0.8), replace(first, public=0.9))
    """
    if (one.day, one.file) != (other.day, other.file):
        return None
    values = {}
    for name in LATER:
        ours, theirs = getattr(one, name), getattr(other, name)
        if None not in (ours, theirs) and ours != theirs:
            return None
        values[name] = theirs if ours is None else ours
    return replace(one, **values)


def entry_of(line: str) -> Entry | str:
    """The entry on a *line*, or what is wrong with it."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return f"is no JSON: {line[:60]!r}"
    if not isinstance(found, dict):
        return f"is no JSON object: {line[:60]!r}"
    known = {each.name for each in fields(Entry)}
    if unknown := sorted(set(found) - known):
        return f"has the unknown field {unknown[0]!r}; known: {', '.join(sorted(known))}"
    return _wrong(found) or Entry(**found)


def _wrong(found: Mapping[str, Any]) -> str | None:
    for name in ("day", "file", "sha256"):
        if not isinstance(found.get(name), str):
            return f"has no text as {name!r}"
    if not _is_day(found["day"]):
        return f"has {found['day']!r:.40} as day, expected YYYY-MM-DD"
    if not DIGEST.fullmatch(found["sha256"]):
        return "has no SHA-256 of 64 hexadecimal digits"
    if not isinstance(found.get("by"), str | None):
        return "has no text as 'by'"
    for name in ("public", "private"):
        value = found.get(name)
        known = isinstance(value, int | float | None) and not isinstance(value, bool)
        if not known or (value is not None and not math.isfinite(value)):
            return f"has {value!r:.40} as {name!r}, expected a number"
    return None


def _is_day(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


MARKERS = ("<<<<<<<", "=======", ">>>>>>>", "|||||||")
PATIENCE = 10.0
"""Seconds to wait for another command: a change takes a moment."""
Change = Callable[[list[Entry]], list[Entry]]


def ledger_path(folder: Path, competition: str) -> Path:
    """The ledger of *competition* in the *folder* of submissions."""
    return folder / f"{safe_name(competition)}-ledger.jsonl"


def read_ledger(folder: Path, competition: str) -> list[Entry]:
    """The entries by day and name; [] where nothing was sent.

    Raises ArtifactError naming every line that is no entry or contradicts another.
    """
    path = ledger_path(folder, competition)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise ArtifactError(f"{path} is damaged: {error}") from error
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if any(line.startswith(MARKERS) for _, line in lines):
        raise ArtifactError(
            f"{path} holds the marks of a merge that was not finished. Keep the lines of both "
            "sides, in any order, and delete the lines that begin with <<<<<<<, ======= and >>>>>>>"
        )
    found: dict[str, Entry] = {}
    problems = []
    for number, line in lines:
        entry = entry_of(line)
        if isinstance(entry, str):
            problems.append(f"line {number} {entry}")
            continue
        both = joined(found.get(entry.sha256, entry), entry)
        if both is None:
            problems.append(
                f"line {number} contradicts another line of the same submission "
                f"({entry.said}; {found[entry.sha256].said})"
            )
        else:
            found[entry.sha256] = both
    advice = f"{path} is damaged; mend or delete the lines, or restore it (git)"
    raise_if(problems, ArtifactError, advice)
    return _sorted(list(found.values()))


def change_ledger(folder: Path, competition: str, change: Change) -> None:
    """Let *change* make new entries of the old ones; BusyError while another command does."""
    claim = folder / f".{safe_name(competition)}-ledger.lease"
    with lease(claim, f"the ledger of {competition}", PATIENCE) as held:
        entries = change(read_ledger(folder, competition))
        text = "".join(f"{entry.line}\n" for entry in _sorted(entries))
        held.check()
        commit_text(ledger_path(folder, competition), text)


def _sorted(entries: Sequence[Entry]) -> list[Entry]:
    return sorted(entries, key=lambda entry: (entry.day, entry.file, entry.sha256))


# How many submissions are left: today, for whom, and until the end.


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What is left on one day."""

    per_day: int | None
    """Submissions a day; None where nobody said."""
    per: str
    """team or member."""
    used: dict[str, int]
    """Member -> submissions of today; of everybody in the ledger."""
    days_left: int | None
    """Today included; 0 when it is over; None where no last day was said."""
    over: dict[str, int] = field(default_factory=dict)
    """Day -> submissions of the team, or of the busiest member, where they are over the limit."""

    def left_today(self, member: str | None = None) -> int | None:
        """Submissions left today for *member*, or for the team; None where nobody said."""
        if self.per_day is None or self.days_left == 0:
            return None if self.per_day is None else 0
        used = self.used.get(member or "", 0) if self.per == "member" else sum(self.used.values())
        return max(0, self.per_day - used)

    @property
    def left_in_all(self) -> int | None:
        """Submissions left until the last day, of a member or of the team, today's included."""
        if self.per_day is None or self.days_left is None or self.per == "member":
            return None
        today = self.left_today()
        return None if today is None else today + self.per_day * max(0, self.days_left - 1)


def budget(config: SubmissionsConfig, entries: Sequence[Entry], today: date) -> Budget:
    """The budget of *today*, a day in UTC."""
    members = sorted({entry.by or "" for entry in entries})
    used = Counter(entry.by or "" for entry in entries if entry.day == today.isoformat())
    days = None
    if config.until is not None:
        days = max(0, (date.fromisoformat(config.until) - today).days + 1)
    return Budget(
        per_day=config.per_day,
        per=config.per,
        used={name: used[name] for name in members},
        days_left=days,
        over=_over(config, entries),
    )


def _over(config: SubmissionsConfig, entries: Sequence[Entry]) -> dict[str, int]:
    if config.per_day is None:
        return {}
    each = config.per == "member"
    sent = Counter((entry.day, (entry.by or "") if each else "") for entry in entries)
    most: dict[str, int] = {}
    for (day, _), count in sorted(sent.items()):
        if count > config.per_day:
            most[day] = max(count, most.get(day, 0))
    return most


# Enter a submission into the ledger, or a score that came later.


@dataclass(frozen=True, kw_only=True)
class News:
    """What is told about a file that was sent; None where nothing is."""

    file: str
    sha256: str
    day: str | None = None
    """Today (UTC) where None and the file is new."""
    by: str | None = None
    """The name of this login where None and the file is new."""
    public: float | None = None
    private: float | None = None


def today() -> date:
    """The day of the leaderboard, which is UTC's."""
    return datetime.now(UTC).date()


def login() -> str | None:
    """The name this process runs under; None where it has none."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container whose user has no name
        return None


def check_news(news: News, metric: str) -> None:
    """Raise UsageError listing all that cannot be so: scores that *metric* cannot have, the day."""
    problems = [
        problem
        for what, score in (("public", news.public), ("private", news.private))
        if score is not None and (problem := score_problem(metric, what, score))
    ]
    if news.day is not None:
        try:
            day = date.fromisoformat(news.day)
        except ValueError:
            problems.append(f"--date is {news.day!r}; write it as 2026-03-31")
        else:
            if day > today() + timedelta(days=1):  # a clock may be ahead by a time zone
                problems.append(f"--date is {news.day}, which is still to come")
    if news.by is not None and not news.by.strip():
        problems.append("--by is empty")
    raise_if(problems, UsageError, f"nothing was entered for {news.file}")


def record(
    folder: Path, competition: str, metric: str, news: News, correct: bool = False
) -> tuple[Entry, bool]:
    """Enter *news*; the entry as it is now, and whether the file was new to the ledger.

    What an entry lacks is filled in; what it says is replaced only by *correct*. Raises UsageError
    for what cannot be so, DataError for what the ledger holds already or contradicts.
    """
    check_news(news, metric)
    result: list[tuple[Entry, bool]] = []

    def change(entries: list[Entry]) -> list[Entry]:
        old = next((entry for entry in entries if entry.sha256 == news.sha256), None)
        new = _first(news) if old is None else _more(old, news, correct)
        result.append((new, old is None))
        return [*(entry for entry in entries if entry is not old), new]

    change_ledger(folder, competition, change)
    return result[0]


def _first(news: News) -> Entry:
    values = {name: getattr(news, name) for name in LATER} | {"by": news.by or login()}
    day = news.day or today().isoformat()
    return Entry(day=day, file=news.file, sha256=news.sha256, **values)


def _more(old: Entry, news: News, correct: bool) -> Entry:
    """*old* with what is new about it."""
    told = {name: getattr(news, name) for name in ("day", *LATER)}
    told = {name: value for name, value in told.items() if value is not None}
    fresh = {name: value for name, value in told.items() if getattr(old, name) != value}
    known = f"these bytes are in the ledger already: {old.said}"
    if not fresh:
        raise DataError(f"{known}. To add a score: --public or --private")
    if not correct:
        raise_if(_contradictions(old, fresh), DataError, known)
    return replace(old, **fresh)


def _contradictions(old: Entry, fresh: Mapping[str, object]) -> list[str]:
    return [
        f"its {name} is {getattr(old, name)}, not {value}. If the ledger is wrong: --correct"
        for name, value in fresh.items()
        if getattr(old, name) is not None
    ]
