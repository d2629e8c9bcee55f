"""Enter a submission into the ledger, or a score that came later."""

import getpass
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from pipeline.base.errors import DataError, UsageError, raise_if
from pipeline.metrics.bounds import score_problem
from pipeline.submissions.entry import LATER, Entry
from pipeline.submissions.ledger import change_ledger


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
