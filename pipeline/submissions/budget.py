"""How many submissions are left: today, for whom, and until the end."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from pipeline.base.config import SubmissionsConfig
from pipeline.submissions.entry import Entry


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
    )
