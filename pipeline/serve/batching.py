"""Requests put together to batches while the learners are busy, and no further than a limit.

A request that comes alone is answered at once. What comes while rows are being predicted waits and
is predicted together, so batches form under load and nobody waits for one to fill. More rows than
the queue may hold are refused at once: the client can come again, a queue without an end cannot.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

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
