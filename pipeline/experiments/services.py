"""The trackers that records can be kept at, and what each of them must do.

A new one is a class with what `Service` lists, in a file of its own, and one line in SERVICES.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from pipeline.base.doors import load as load_object
from pipeline.base.paths import Paths

if TYPE_CHECKING:
    from pipeline.experiments.records import Artifact, Record

SERVICES = {
    "mlflow": "pipeline.experiments.mlflow_server:MLflow",
    "wandb": "pipeline.experiments.weights_and_biases:WeightsAndBiases",
}
"""Name -> class; its library is loaded when it is used."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """What a record has that its tracker lacks."""

    settings: Mapping[str, Any]
    facts: Mapping[str, str]
    points: list[tuple[str, int, float]]
    """(tag, optimiser step, value), ascending by step."""
    numbers: Mapping[str, float]
    artifacts: Mapping[str, "Artifact"]
    """All of the record's where one of them is new; {} while it runs."""
    state: str
    """running, finished, failed or stopped."""


class Service(Protocol):
    """A tracker: one project a competition, records grouped by run. May raise what it likes."""

    where: str
    """Its address, for people; an account kept for another is no account."""
    link: str
    """Where a person finds the records."""
    whole: bool
    """A record can be written as a whole only: it is, each time it has changed and has ended."""

    @staticmethod
    def check() -> None:
        """Raise UsageError, with a remedy, where what it needs on this machine is not there."""

    def __init__(self, paths: Paths) -> None:
        """Ready to serve the competition of *paths*."""

    def begin(self, record: "Record", known: str | None, parent: str | None) -> str:
        """The id of *record*: *known*, where that is there still, or of a new one.

        *parent* is the id of its run's record; None for a run or a submission.
        """

    def take(self, identity: str, record: "Record", change: Change) -> None:
        """Add *change* to the record."""

    def close(self) -> None:
        """Nothing more will come."""


def service_of(name: str) -> type[Service]:
    """The class of the service *name*."""
    found: type[Service] = load_object(SERVICES[name])
    return found
