"""Send a file through Kaggle's own client, and look whether it arrived.

The client says "successfully submitted" also where no submission is left or the upload came to
nothing (github.com/Kaggle/kaggle-cli/issues/148), so its word is not taken: the submission counts
once Kaggle's list of submissions holds it, known by its file name and message.

Written against kaggle 2.2 (`KaggleApi.competition_submit`, `.competition_submissions`,
`.competition_get_submission_limits`); it is imported only when a file is sent.
"""

import contextlib
import io
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

from pipeline.base import ArtifactError, Competition, DataError, UsageError, raise_if, read_json
from pipeline.base.errors import BusyError, PipelineError
from pipeline.base.files import sha256
from pipeline.metrics.metric import score_problem
from pipeline.submissions.ledger import Entry, News, budget, login, read_ledger, record, today

# What a failure of Kaggle's client means, in our words and exit codes.
#
# Its errors are those of requests, which is not ours: they are known by the status of the response
# they carry, or by being an OSError where the network is down.


T = TypeVar("T")
LONGEST = 100
"""Characters of a foreign message that are told."""


def ask(slug: str, question: Callable[[], T]) -> T:
    """The client's answer, or what its failure means in our words."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            return question()
    except PipelineError:
        raise
    except SystemExit as error:
        raise UsageError(f"Kaggle's client gave up: {said.getvalue().strip()}") from error
    except Exception as error:
        raise _meaning(slug, error) from error


def _meaning(slug: str, error: Exception) -> PipelineError:
    status = getattr(getattr(error, "response", None), "status_code", None)
    page = f"https://www.kaggle.com/competitions/{slug}"
    if status == 401:
        return UsageError(
            f"Kaggle does not know these credentials ({error}). Make a new token at "
            "https://www.kaggle.com/settings/api"
        )
    if status == 403:
        return UsageError(
            f"Kaggle refuses this account ({error}). Join the competition and accept its rules at "
            f"{page}/rules"
        )
    if status == 404:
        return UsageError(
            f"Kaggle knows no competition {slug!r} ({error}). Its name is the last part of its "
            "address; say it with --submissions.kaggle NAME"
        )
    if status is not None and status // 100 == 4 and status != 429:
        return DataError(f"Kaggle refuses the submission ({status}): {error}. See {page}")
    if status is not None or isinstance(error, OSError):  # requests' network errors are OSErrors
        return BusyError(
            f"Kaggle cannot be reached ({type(error).__name__}: {str(error)[:LONGEST]}). Try again "
            "later; the same command looks first whether the file has arrived"
        )
    return UsageError(
        f"Kaggle's client failed ({type(error).__name__}: {error}); this was written against "
        "kaggle 2.2. Send the file by hand and enter it: python -m pipeline.ledger add FILE"
    )


Limits = Callable[[str], Any]
POLL_SECONDS = 3.0
UPLOAD_FAILED = "Could not submit"
"""How the client's answer begins where the upload failed."""
INSTALL = 'pip install "foldstack[kaggle]"'


class Client(Protocol):
    """What is asked of `kaggle.api.kaggle_api_extended.KaggleApi`."""

    def competition_submit(
        self, file_name: str, message: str, competition: str, quiet: bool = False
    ) -> Any:
        """Upload a file; the answer has a `message`."""

    def competition_submissions(self, competition: str) -> "Sequence[Any] | None":
        """The newest submissions: ref, file_name, description, date, status, public_score …"""


@dataclass(frozen=True, kw_only=True)
class Arrived:
    """A submission that Kaggle lists."""

    day: str | None
    """When Kaggle took it, YYYY-MM-DD (UTC)."""
    by: str | None
    public: float | None
    """None where it is not scored yet."""
    scored: bool
    again: bool
    """Whether it was there before, from an earlier try."""


def connect() -> Client:
    """Kaggle's client, signed in; UsageError where it is not installed or knows no account."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            from kaggle.api.kaggle_api_extended import KaggleApi

            client = KaggleApi()
            client.authenticate()
    except ImportError as error:
        raise UsageError(
            f"Kaggle's client cannot be imported ({error}). Install it: {INSTALL}; or send the "
            "file by hand and enter it: python -m pipeline.ledger add FILE"
        ) from error
    except (SystemExit, OSError, ValueError) as error:  # it prints advice and leaves the process
        raise UsageError(
            "Kaggle's client has no credentials, or none that it could check (is the network up?). "
            "Make a token at https://www.kaggle.com/settings/api and put it into KAGGLE_API_TOKEN "
            "or ~/.kaggle/access_token, or run: kaggle auth login"
        ) from error
    return cast(Client, client)


def send(client: Client, slug: str, csv: Path, message: str, wait: float) -> Arrived:
    """Send *csv* to the competition *slug* and wait at most *wait* seconds until it is listed.

    A file that is listed already, from a try whose end was not seen, is not sent again. Raises
    UsageError for a competition or an account that Kaggle refuses, BusyError where the network, the
    day's budget or Kaggle's list fails, DataError where Kaggle could not score the file.
    """
    until = time.monotonic() + wait
    earlier = _listed(client, slug, csv, message)
    if earlier is None:
        _check_limit(client, slug)
        answer = ask(slug, lambda: client.competition_submit(str(csv), message, slug, quiet=True))
        said = str(getattr(answer, "message", answer) or "")
        if said.startswith(UPLOAD_FAILED):
            raise BusyError(f"Kaggle did not take {csv.name}: {said}. Try again")
    found = earlier
    while (found is None or not _is_final(found)) and (left := until - time.monotonic()) > 0:
        time.sleep(min(POLL_SECONDS, left))
        found = _listed(client, slug, csv, message)
    if found is None:
        raise BusyError(
            f"Kaggle does not list {csv.name} after {wait:.0f} s, so nothing was entered into the "
            f"ledger. Look at https://www.kaggle.com/competitions/{slug}/submissions. If it is "
            "there, the same command enters it and does not send it again; if it is not, "
            "the budget of the day may be used up"
        )
    return _arrived(found, csv, again=earlier is not None)


def _listed(client: Client, slug: str, csv: Path, message: str) -> Any:
    """The submission of this file name and message, newest first; None where none is listed."""
    there = ask(slug, lambda: client.competition_submissions(slug)) or []
    for each in there:
        if each is not None and each.file_name == csv.name and _same(each.description, message):
            return each
    return None


def _same(description: str | None, message: str) -> bool:
    """Whether Kaggle's *description* is *message*, which it may have cut."""
    listed, sent = " ".join((description or "").split()), " ".join(message.split())
    return listed == sent or (len(listed) >= 50 and sent.startswith(listed))


def _check_limit(client: Client, slug: str) -> None:
    """Raise BusyError where Kaggle says that none is left; older clients cannot be asked."""
    limits_of: Callable[[str], Any] | None = getattr(
        client, "competition_get_submission_limits", None
    )
    if limits_of is None:
        return
    limits = ask(slug, lambda: limits_of(slug))
    if limits.num_total and not limits.num_allowed_now:  # all 0: not in a team yet
        raise BusyError(
            f"no submission to {slug} is left today: Kaggle counts {limits.num_today} of today. "
            "Its day ends at midnight UTC; nothing was sent"
        )


def _status(found: Any) -> str:
    """PENDING, COMPLETE or ERROR."""
    status = found.status
    return str(getattr(status, "name", status)).upper()


def _is_final(found: Any) -> bool:
    return _status(found) in ("COMPLETE", "ERROR")


def _arrived(found: Any, csv: Path, again: bool) -> Arrived:
    if _status(found) == "ERROR":
        why = getattr(found, "error_description", "") or "it gives no reason"
        raise DataError(
            f"Kaggle took {csv.name} and could not score it: {why}. It is not in the ledger"
        )
    date = found.date
    return Arrived(
        day=date.date().isoformat() if isinstance(date, datetime) else None,
        by=getattr(found, "submitted_by", None) or None,
        public=_number(found.public_score),
        scored=_status(found) == "COMPLETE",
        again=again,
    )


def _number(text: Any) -> float | None:
    try:
        return float(text)
    except (TypeError, ValueError):  # no score yet
        return None


# Send a submission of ours and enter it into the ledger, once it has really arrived.


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
