"""All learners of a bundle in memory, answering rows.

A transformer's learners share one backbone while they are trained; here each has its own, so that
none has to be brought back for a request. They are run in a plain loop: Lightning's Trainer sets up
anew for every prediction, which takes longer than a few texts do. The bits are the same.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from pipeline.base import DataError, UsageError, raise_if
from pipeline.data import Table
from pipeline.data.tables import frame_to_predict
from pipeline.ensemble.predictor import Fitted
from pipeline.models.learner import Learner, LearnerFactory, Silent, Watch
from pipeline.models.registry import LEARNERS
from pipeline.serve.bundle import Bundle
from pipeline.submissions.build import answers
from pipeline.training.fold import give_back_memory, predict_bare
from pipeline.training.jobs import make_factory
from pipeline.training.new_rows import SavedRun
from pipeline.training.options import FailurePolicy


class PlainLoop:
    """A `pipeline.models.transformer.fine_tuning.Fitter` that predicts, and does nothing else."""

    def __init__(self, hardware: Any) -> None:
        self.accelerator = str(hardware.accelerator)

    def fit(self, *_: Any) -> None:
        """Nothing is trained here."""
        raise AssertionError("a served learner is fitted already")

    def predict(self, module: Any, data: Any, watch: Watch) -> list[Any]:
        """What `module.predict_step` returns, batch by batch."""
        import torch

        device = torch.device(self.accelerator)
        if module.training or module.device.type != device.type:  # a walk over all layers
            module.eval().to(device)
        with torch.inference_mode():
            return [
                module.predict_step(module.transfer_batch_to_device(batch, device, 0), number)
                for number, batch in enumerate(data.predict_dataloader())
            ]


@dataclass(frozen=True, kw_only=True)
class Resident:
    """A member whose learners are in memory."""

    saved: SavedRun
    learners: list[Learner]
    """In the order in which their predictions are added up."""
    factories: list[LearnerFactory]


class Engine:
    """Answers rows; one caller at a time."""

    def __init__(self, bundle: Bundle) -> None:
        """Load every learner of *bundle*; UsageError where its rows do not stand for themselves."""
        self.bundle, self.problem = bundle, bundle.competition.task.problem_type
        if self.problem.learnt_as != "rows":
            raise UsageError(
                f"{bundle.folder} answers with {self.problem.described}, which is not served. "
                "Answer files with its predict.py"
            )
        assert isinstance(bundle.fitted, Fitted), "of numbers"
        self.fitted = bundle.fitted
        data = replace(bundle.competition.data, test="the request", sample_submission="", files=[])
        self.competition = replace(bundle.competition, data=data)
        self.members = list(map(self._resident, bundle.members))
        give_back_memory()  # loading takes twice what is kept

    def _resident(self, member: dict[str, Any]) -> Resident:
        recipe, factories, learners = self.bundle.recipe(member), list[LearnerFactory](), []
        alone = LEARNERS[recipe.learner].torch
        saved: SavedRun | None = None
        for place in range(len(member["parts"])):
            if alone or not factories:
                factories.append(
                    make_factory(recipe, self.competition, FailurePolicy(), None, PlainLoop)
                )
            saved = self.bundle.run(member, recipe, factories[-1])
            learners.append(factories[-1].load(saved.weights(saved.parts[place])))
        for factory in factories:
            factory.settle()
        assert saved is not None, "a member has learners"
        return Resident(saved=saved, learners=learners, factories=factories)

    @property
    def columns(self) -> list[str]:
        """What a row has to have."""
        columns = self.competition.columns
        return list(dict.fromkeys([*columns.texts, *columns.features]))

    def table(self, rows: Sequence[Mapping[str, str]]) -> Table:
        """The *rows* as a table; DataError, with all that is wrong."""
        frame = pd.DataFrame([dict(row) for row in rows], dtype=object)
        frame[self.competition.columns.id] = [str(number) for number in range(len(rows))]
        found, _ = frame_to_predict(frame, self.competition, None)
        raise_if(found.problems, DataError)
        assert found.value is not None, "what cannot be used is a problem"
        return found.value

    def answer(self, table: Table) -> list[dict[str, Any]]:
        """For each row: the answer's cells, the prediction, its spread, who disagrees."""
        means: list[np.ndarray] = []
        spread: list[np.ndarray] = []
        for member in self.members:
            each = [predict_bare(member.saved, one, table, Silent()) for one in member.learners]
            means.append(np.asarray(np.sum(each, axis=0, dtype=np.float64) / len(each)))
            spread += each
            for factory in member.factories:
                factory.forget()
        return list(self._told(table, means, np.std(spread, axis=0, dtype=np.float64)))

    def _told(
        self, table: Table, members: list[np.ndarray], spread: np.ndarray
    ) -> Iterator[dict[str, Any]]:
        fitted, task = self.fitted, self.competition.task
        ids = table.ids.tolist()
        predicted = fitted.blend.predict(fitted.rows(members, table), self.problem.name)
        texts = answers(fitted, task, ids, predicted)
        apart = self._apart(predicted, members, spread)
        outputs = self.competition.outputs
        for row in range(len(table)):
            yield {
                "answer": {column: cells[row] for column, cells in texts.items()},
                "prediction": dict(zip(outputs, predicted[row].tolist(), strict=True)),
                "spread": dict(zip(outputs, spread[row].tolist(), strict=True)),
                "members": {
                    member.saved.run: values[row].tolist()
                    for member, values in zip(self.members, members, strict=True)
                },
                "disagree": [
                    member.saved.run
                    for member, far in zip(self.members, apart, strict=True)
                    if far[row]
                ],
            }

    def _apart(
        self, predicted: np.ndarray, members: list[np.ndarray], spread: np.ndarray
    ) -> list[np.ndarray]:
        """(M,) of (n,): whether a member would say something else. Of classes another label; of
        numbers one further from the blend than the learners are spread."""
        if self.problem.numeric:
            return [(np.abs(each - predicted) > spread).any(axis=1) for each in members]
        limits = self.fitted.limits
        said = self.problem.as_labels(predicted, limits)
        return [(self.problem.as_labels(each, limits) != said).any(axis=1) for each in members]
