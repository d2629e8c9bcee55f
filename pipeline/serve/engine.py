"""All learners of a bundle in memory, answering rows; requests put together to batches.

A transformer's learners share one backbone while they are trained; here each has its own, so that
none has to be brought back for a request. They are run in a plain loop: Lightning's Trainer sets up
anew for every prediction, which takes longer than a few texts do. The bits are the same.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from pipeline.base import DataError, raise_if
from pipeline.data import Table
from pipeline.data.tables import frame_to_predict, view_columns
from pipeline.models.learner import Learner, LearnerFactory, Silent, Watch
from pipeline.models.registry import LEARNERS
from pipeline.serve.bundle import Bundle
from pipeline.serve.telling import WAYS
from pipeline.training.fold import generate_bare, give_back_memory, predict_bare
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

        from pipeline.models.kernels.cpu_kernels import lay_out

        device = torch.device(self.accelerator)
        if module.training or module.device.type != device.type:  # a walk over all layers
            module.eval().to(device)
            if device.type == "cpu":
                lay_out(module)
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
        """Load every learner of *bundle*."""
        self.bundle, self.problem = bundle, bundle.competition.task.problem_type
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
        named = [*columns.texts, *columns.features, *view_columns(columns)]
        return list(dict.fromkeys(named))

    @property
    def lists(self) -> bool:
        """Whether a cell may be a list: of the units of a text."""
        return self.problem.units and self.competition.columns.unit == "given"

    def table(self, rows: Sequence[Mapping[str, str]]) -> Table:
        """The *rows* as a table; DataError, with all that is wrong."""
        frame = pd.DataFrame([dict(row) for row in rows], dtype=object)
        frame[self.competition.columns.id] = [str(number) for number in range(len(rows))]
        found, _ = frame_to_predict(frame, self.competition, None)
        raise_if(found.problems, DataError)
        assert found.value is not None, "what cannot be used is a problem"
        return found.value

    def answer(self, table: Table) -> list[dict[str, Any]]:
        """For each row, or document, what `telling` tells of it."""
        ask = generate_bare if self.problem.predictions == "texts" else predict_bare
        said: dict[str, list[Any]] = {}
        for member in self.members:
            said[member.saved.run] = [
                ask(member.saved, one, table, Silent()) for one in member.learners
            ]
            for factory in member.factories:
                factory.forget()
        return list(WAYS[self.problem.learnt_as](self.fitted, self.competition, table, said))


# Requests put together to batches while the learners are busy, and no further than a limit.
#
# A request that comes alone is answered at once. What comes while rows are being predicted waits
# and is predicted together, so batches form under load and nobody waits for one to fill. More rows
# than the queue may hold are refused at once: the client can come again, a queue without an end
# cannot.


Row = dict[str, str]
Answers = list[dict[str, Any]]


class Full(Exception):
    """The queue holds as many rows as it may."""


@dataclass(eq=False)
class Waiting:
    """A request in the queue."""

    rows: Sequence[Row]
    done: "asyncio.Future[Answers]" = field(repr=False)


class Batches:
    """A bounded queue before a function that answers rows, in a thread of its own."""

    def __init__(
        self,
        answer: Callable[[Sequence[Row]], Answers],
        most_rows: int,
        most_waiting: int,
        told: Callable[[int], None] = lambda rows: None,
    ) -> None:
        """*most_rows* of a batch and *most_waiting* of the queue, *told* the size of each batch."""
        self.answer, self.most_rows, self.most_waiting = answer, most_rows, most_waiting
        self.told = told
        self.queue: deque[Waiting] = deque()
        self.rows = 0
        """That wait."""
        self.wake = asyncio.Event()
        self.thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="learners")
        self.task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to answer; called inside the event loop."""
        self.task = asyncio.get_running_loop().create_task(self._work())

    async def stop(self) -> None:
        """End, once what is being predicted is done."""
        if self.task is not None:
            self.task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self.task
        self.thread.shutdown(wait=True)

    async def ask(self, rows: Sequence[Row], seconds: float) -> Answers:
        """The answers of *rows*; raises Full at once, TimeoutError after *seconds*."""
        if self.rows + len(rows) > self.most_waiting:
            raise Full
        waiting = Waiting(rows, asyncio.get_running_loop().create_future())
        self.queue.append(waiting)
        self.rows += len(rows)
        self.wake.set()
        return await asyncio.wait_for(waiting.done, seconds)

    def _next(self) -> list[Waiting]:
        """The requests of the next batch: those that nobody waits for any more are left out."""
        batch: list[Waiting] = []
        size = 0
        while self.queue:
            first = self.queue[0]
            if first.done.done():
                self.rows -= len(self.queue.popleft().rows)
                continue
            if batch and size + len(first.rows) > self.most_rows:
                break
            size += len(first.rows)
            self.rows -= len(first.rows)
            batch.append(self.queue.popleft())
        return batch

    async def _work(self) -> None:
        while True:
            await self.wake.wait()
            self.wake.clear()
            while batch := self._next():
                await self._answer(batch)

    async def _answer(self, batch: list[Waiting]) -> None:
        """Answer the requests together; where that fails, one by one: what is wrong with the rows
        of one is not told to the others."""
        rows = [row for each in batch for row in each.rows]
        self.told(len(rows))
        try:
            loop = asyncio.get_running_loop()
            found = await loop.run_in_executor(self.thread, self.answer, rows)
        except Exception as error:
            if len(batch) == 1:
                self._fail(batch, error)
            else:
                for each in batch:
                    await self._answer([each])
            return
        for each in batch:
            own, found = found[: len(each.rows)], found[len(each.rows) :]
            if not each.done.done():
                each.done.set_result(own)

    def _fail(self, batch: list[Waiting], error: Exception) -> None:
        for each in batch:
            if not each.done.done():
                each.done.set_exception(error)
