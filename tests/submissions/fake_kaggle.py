"""Kaggle's client as kaggle 2.2 has it: the same methods, the same fields, the same failures.

Names and types are those of `KaggleApi`, `ApiSubmission` and `ApiSubmissionLimits`: scores are
texts, dates are UTC without a zone, an answer says "Successfully submitted" whatever became of the
file, and a response that failed is false.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any


class SubmissionStatus(Enum):
    PENDING = 0
    COMPLETE = 1
    ERROR = 2


@dataclass
class ApiSubmission:
    ref: int
    file_name: str
    description: str
    date: datetime
    status: SubmissionStatus = SubmissionStatus.PENDING
    public_score: str = ""
    private_score: str = ""
    error_description: str = ""
    submitted_by: str = "anns-account"


@dataclass
class Answer:
    message: str


@dataclass
class Limits:
    num_today: int
    num_total: int
    num_allowed_now: int


class Response:
    def __init__(self, status_code: int):
        self.status_code = status_code

    def __bool__(self) -> bool:
        return self.status_code < 400


class HTTPError(OSError):
    """As requests has it: an OSError with the response."""

    def __init__(self, status_code: int):
        super().__init__(f"{status_code} Client Error")
        self.response = Response(status_code)


class ConnectionError_(OSError):
    """As requests has it where the network is down: no response."""

    response = None


@dataclass
class FakeKaggle:
    score: str = "0.9352"
    pending: int = 1
    """Looks after which a submission is scored."""
    lost: bool = False
    """Say "Successfully submitted" and drop the file."""
    broken: str = ""
    """Why files cannot be scored."""
    answer: str = "Successfully submitted to toy"
    failing: dict[str, Exception] = field(default_factory=dict)
    """Method -> what it raises."""
    limits: Limits | None = None
    there: list[ApiSubmission] = field(default_factory=list)
    uploads: list[str] = field(default_factory=list)
    looks: int = 0

    def competition_submit(
        self,
        file_name: str | None,
        message: str,
        competition: str | None,
        quiet: bool = False,
        sandbox: bool = False,
    ) -> Answer:
        self._fail("submit")
        assert Path(file_name).is_file()
        self.uploads.append(f"{competition}:{file_name}")
        if not self.lost:
            self.add(Path(file_name).name, message)
        return Answer(self.answer)

    def add(self, name: str, message: str) -> ApiSubmission:
        ref = 1000 + len(self.there)
        new = ApiSubmission(ref, name, message, datetime(2026, 3, 1, 23, 59))
        self.there.insert(0, new)
        return new

    def competition_submissions(
        self,
        competition: str,
        group: Any = None,
        sort: Any = None,
        page_number: int = -1,
        page_token: str = "",
        page_size: int = 20,
    ) -> list[ApiSubmission | None] | None:
        self._fail("submissions")
        self.looks += 1
        for each in self.there:
            if self.looks > self.pending + 1 and each.status is SubmissionStatus.PENDING:
                each.status = SubmissionStatus.ERROR if self.broken else SubmissionStatus.COMPLETE
                each.error_description = self.broken
                each.public_score = "" if self.broken else self.score
        return list(self.there[:page_size])

    def competition_get_submission_limits(self, competition_name: str) -> Limits:
        self._fail("limits")
        return self.limits or Limits(num_today=0, num_total=0, num_allowed_now=0)

    def _fail(self, method: str) -> None:
        if error := self.failing.get(method):
            raise error
