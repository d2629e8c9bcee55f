"""Records at an MLflow tracking server: an experiment a competition, a run a record, the folds
below their run.

The client is mlflow-skinny, whose requests end after some seconds here: whoever waits for a server
that is gone is the process beside the training, and it tries again.
"""

import os
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pipeline.base.errors import ArtifactError, UsageError
from pipeline.base.paths import Paths, safe_name
from pipeline.experiments.services import Change

if TYPE_CHECKING:
    from pipeline.experiments.records import Record

URI = "MLFLOW_TRACKING_URI"
INSTALL = 'pip install "foldstack[mlflow]"'
PATIENCE = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",  # nothing goes anywhere but to the server that was named
}
"""For the client, where nothing else was asked for."""
STATUS = {"running": "RUNNING", "finished": "FINISHED", "failed": "FAILED", "stopped": "KILLED"}
MOST_VALUES, MOST_PARAMS, MOST_LETTERS = 500, 100, 6000
"""Of one request; letters of a setting. (mlflow.org/docs/latest/api_reference/rest-api.html,
"Request Limits")"""

Item = TypeVar("Item")


class MLflow:
    """See `pipeline.experiments.services.Service`."""

    whole = False

    @staticmethod
    def check() -> None:
        """The client, and the address of a server."""
        if find_spec("mlflow") is None:
            raise UsageError(f"mlflow is not installed. Install it: {INSTALL}")
        if not os.environ.get(URI):
            raise UsageError(
                f"which MLflow server? Set {URI}, such as http://127.0.0.1:5000 "
                "(docs/how-to-tracking.md starts one)"
            )

    def __init__(self, paths: Paths) -> None:
        for name, value in PATIENCE.items():
            os.environ.setdefault(name, value)
        from mlflow.tracking import MlflowClient

        self.where = os.environ[URI]
        self._client = MlflowClient(self.where)
        self._experiment = self._found(safe_name(paths.competition))
        if self.where.startswith("http"):
            self.link = f"{self.where.rstrip('/')}/#/experiments/{self._experiment}"
        else:
            self.link = self.where

    def _found(self, name: str) -> str:
        """The id of the experiment *name*, which is made where there is none."""
        found = self._client.get_experiment_by_name(name)
        if found is None:
            return str(self._client.create_experiment(name))
        if found.lifecycle_stage != "active":
            raise ArtifactError(
                f"the experiment {name} was deleted at {self.where}; restore it there: "
                f"mlflow experiments restore --experiment-id {found.experiment_id}"
            )
        return str(found.experiment_id)

    def begin(self, record: "Record", known: str | None, parent: str | None) -> str:
        """See Service.begin."""
        if known is not None and self._is_there(known):
            return known
        tags = {"foldstack.key": record.key, "foldstack.kind": record.kind}
        tags |= {"foldstack.group": record.group}
        if parent is not None:
            tags["mlflow.parentRunId"] = parent
        made = self._client.create_run(self._experiment, tags=tags, run_name=record.name)
        return str(made.info.run_id)

    def _is_there(self, identity: str) -> bool:
        from mlflow.exceptions import MlflowException

        try:
            return bool(self._client.get_run(identity).info.lifecycle_stage == "active")
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return False
            raise

    def take(self, identity: str, record: "Record", change: Change) -> None:
        """See Service.take."""
        from mlflow.entities import Metric, Param, RunTag

        now = int(time.time() * 1000)
        metrics = [Metric(_key(tag), value, now, step) for tag, step, value in change.points]
        metrics += [Metric(_key(name), value, now, 0) for name, value in change.numbers.items()]
        params = [Param(_key(name), _value(value)) for name, value in change.settings.items()]
        tags = [RunTag(f"foldstack.{name}", text) for name, text in change.facts.items()]
        for some in _batches(params, MOST_PARAMS):
            self._client.log_batch(identity, params=some)
        for these in _batches(metrics, MOST_VALUES):
            self._client.log_batch(identity, metrics=these)
        self._client.log_batch(identity, tags=tags)
        with tempfile.TemporaryDirectory() as folder:
            for name, artifact in change.artifacts.items():
                path = Path(folder) / name
                artifact.write(path)
                self._client.log_artifact(identity, str(path))
        if change.state == "running":
            self._client.update_run(identity, status=STATUS["running"])
        else:
            self._client.set_terminated(identity, STATUS[change.state])

    def close(self) -> None:
        """See Service.close: every request is its own."""


def _key(name: str) -> str:
    """*name* with the characters that MLflow takes, at most 250 of them.

    >>> _key("fold/auc"), _key("weight/a+b")
    ('fold/auc', 'weight/a_b')
    """
    return "".join(each if each.isalnum() or each in "_-. :/" else "_" for each in name)[:250]


def _value(value: Any) -> str:
    text = str(value)
    return text if len(text) <= MOST_LETTERS else f"{text[: MOST_LETTERS - 1]}…"


def _batches(items: list[Item], most: int) -> Iterator[list[Item]]:
    left = iter(items)
    while some := list(islice(left, most)):
        yield some
