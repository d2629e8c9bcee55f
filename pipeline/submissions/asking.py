"""What a failure of Kaggle's client means, in our words and exit codes.

Its errors are those of requests, which is not ours: they are known by the status of the response
they carry, or by being an OSError where the network is down.
"""

import contextlib
import io
from collections.abc import Callable
from typing import TypeVar

from pipeline.base.errors import BusyError, DataError, PipelineError, UsageError

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
    if status is not None and 400 <= status < 500 and status != 429:
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
