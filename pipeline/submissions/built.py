"""A blend and its file, whatever its answers are: what other rooms may ask of either kind."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from pipeline.base import Competition
from pipeline.base.doors import load as load_object
from pipeline.data import Table
from pipeline.data.sample import Sample

if TYPE_CHECKING:
    from pipeline.ensemble import Outcome
    from pipeline.ensemble.honest import Nest
    from pipeline.ensemble.predictor import Fitted
    from pipeline.ensemble.texts.outcome import FittedTexts, TextOutcome
    from pipeline.submissions.build import BuildRequest


class Built(Protocol):
    """`build.BuiltSubmission` of numbers, `texts.BuiltTexts` of texts."""

    @property
    def asked(self) -> "BuildRequest":
        """What was asked for."""

    @property
    def outcome(self) -> "Outcome | TextOutcome":
        """The assessed blend."""

    @property
    def content(self) -> bytes:
        """The submission's bytes."""

    @property
    def method(self) -> str:
        """Of the blend."""

    @property
    def weights(self) -> dict[str, float]:
        """Of the members, by name."""

    @property
    def decision(self) -> str:
        """What is done to predictions before they are written."""

    @property
    def lines(self) -> Sequence[Any]:
        """The members, each with its name, score, weight and worth."""

    @property
    def nest(self) -> "Nest":
        """The fits, their folds, groups and draws."""

    @property
    def truth(self) -> np.ndarray:
        """(n, …) right answers as the metric takes them, rows in the order of the frozen folds."""

    @property
    def honest(self) -> np.ndarray:
        """(n, …) likewise each row's answer by what was fitted without its fold."""

    @property
    def errors(self) -> np.ndarray:
        """(n, …) by how much those are off."""

    @property
    def fitted(self) -> "Fitted | FittedTexts":
        """What of it makes answers of new rows."""

    @property
    def said(self) -> Sequence[Any]:
        """(M,) what each member says of the test rows."""


FILLERS = {
    "numbers": "pipeline.submissions.build:fill_table",
    "texts": "pipeline.submissions.texts:fill_table",
}
"""What predictions are (`Problem.predictions`) -> what makes a file of those of new rows."""


def fill_any(
    fitted: "Fitted | FittedTexts",
    competition: Competition,
    table: Table,
    sample: Sample,
    members: Sequence[Any],
    apart: Mapping[str, np.ndarray] | None = None,
) -> bytes:
    """The file of the rows of *table* in the form of *sample*, by what *fitted* makes of what the M
    *members* say of them; *apart* as in `ensemble.predictor.Fitted.rows`."""
    fill = load_object(FILLERS[competition.task.problem_type.predictions])
    content: bytes = fill(fitted, competition, table, sample, members, apart)
    return content


MAKERS = {
    "numbers": "pipeline.submissions.build:make",
    "texts": "pipeline.submissions.texts:make_texts",
}
"""What predictions are (`Problem.predictions`) -> what makes a file of them."""


def make_any(
    root: Path, competition: Competition, asked: "BuildRequest", notes: Sequence[str] = ()
) -> Built:
    """Read everything, fit, choose and score, as the problem type has it."""
    made: Built = load_object(MAKERS[competition.task.problem_type.predictions])(
        root, competition, asked, notes
    )
    return made


ORIGINS = {
    "numbers": "pipeline.submissions.build:provenance",
    "texts": "pipeline.submissions.texts:text_provenance",
}
"""What predictions are (`Problem.predictions`) -> what tells where a file came from."""


def provenance_any(made: Built, message: str, root: Path) -> dict[str, Any]:
    """Where a submission came from, as plain values for JSON."""
    kind = made.outcome.competition.task.problem_type.predictions
    origin: dict[str, Any] = load_object(ORIGINS[kind])(made, message, root)
    return origin
