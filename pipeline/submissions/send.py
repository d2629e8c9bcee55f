"""Send a submission of ours and enter it into the ledger, once it has really arrived."""

from dataclasses import dataclass
from pathlib import Path

from pipeline.base.config import Competition
from pipeline.base.errors import ArtifactError, BusyError, DataError, UsageError, raise_if
from pipeline.base.files import read_json, sha256
from pipeline.metrics.metric import score_problem
from pipeline.submissions.kaggle import Arrived, Client, send
from pipeline.submissions.ledger import Entry, News, budget, login, read_ledger, record, today


@dataclass(frozen=True, kw_only=True)
class Sent:
    """What became of a file."""

    entry: Entry
    arrived: Arrived
    unlikely: str | None
    """Why Kaggle's public score was not entered."""


def check_sendable(csv: Path, competition: Competition, by: str | None) -> None:
    """Raise unless *csv* is one of ours, whole, not sent yet, and the ledger's budget allows it.

    Asked before Kaggle is, so that what cannot be sent costs no upload.
    """
    origin = csv.with_suffix(".json")
    if not origin.is_file():
        raise DataError(
            f"{csv} has no provenance beside it, so nothing says that it fits the sample "
            "submission. Send it by hand and enter it: python -m pipeline.ledger add FILE"
        )
    content = read_json(origin)
    if content.get("competition") != competition.name:
        raise DataError(
            f"{csv.name} is a submission of {content.get('competition')}, the config is that of "
            f"{competition.name}: name the right one with --config"
        )
    if not csv.is_file() or sha256(csv) != content.get("sha256"):
        raise ArtifactError(
            f"{csv} is missing or has changed since it was written. Make it again: "
            f"python -m pipeline.rebuild {csv.name}"
        )
    entries = read_ledger(csv.parent, competition.name)
    sent = [entry.said for entry in entries if entry.sha256 == content["sha256"]]
    raise_if(sent, DataError, "these bytes are in the ledger already")
    _check_budget(competition, entries, by)


def _check_budget(competition: Competition, entries: list[Entry], by: str | None) -> None:
    config = competition.submissions
    found = budget(config, entries, today())
    if found.days_left == 0:
        raise UsageError(
            f"the last day for submissions was {config.until} (submissions.until); nothing was sent"
        )
    member = by or login()
    if found.left_today(member) == 0:
        whose = f"{member} may" if config.per == "member" else "the team may"
        raise BusyError(
            f"by the ledger the {config.per_day} a day that {whose} send (submissions.per_day) are "
            "used up. The day ends at midnight UTC; nothing was sent"
        )


def send_file(
    client: Client,
    csv: Path,
    competition: Competition,
    metric: str,
    message: str,
    by: str | None,
    wait: float,
) -> Sent:
    """Send *csv*, wait until Kaggle lists it, and enter it with the score Kaggle gives."""
    slug = competition.submissions.kaggle or competition.name
    arrived = send(client, slug, csv, message, wait)
    public, unlikely = arrived.public, None
    if public is not None:
        unlikely = score_problem(metric, "public", public)
    news = News(
        file=csv.name,
        sha256=sha256(csv),
        day=arrived.day,
        by=by or arrived.by,
        public=None if unlikely else public,
    )
    entry, _ = record(csv.parent, competition.name, metric, news)
    return Sent(entry=entry, arrived=arrived, unlikely=unlikely)
