import io

import pytest
from rich.console import Console

from pipeline.training.jobs import Part
from pipeline.training.progress import Progress


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def plain(clock, trainings=5, workers=1):
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=False, width=200)
    return Progress("minilm", trainings, console, clock, workers=workers), stream


def test_a_line_names_run_fold_step_speed_and_time_left():
    clock = Clock()
    progress, _ = plain(clock)
    watch = progress.watch(Part(42, 0, 1))
    watch.phase("train", 40)
    clock.now = 10.0
    watch.advance(steps=10, rows=320, tokens=6400)
    assert watch.line() == (
        "minilm seed-42/fold-1  train  step 10/40 (25%)  32 rows/s  640 tokens/s  "
        "left: fold 0:30, run 3:10"
    )


def test_a_phase_with_epochs_names_the_one_it_is_in():
    progress, _ = plain(Clock())
    watch = progress.watch(Part(42, 0, 1))
    watch.phase("train", 40, per_epoch=10)
    shown = []
    for _ in range(40):
        shown.append(watch.line().split("  ")[2])
        watch.advance()
    assert [shown.count(f"epoch {number}/4") for number in (1, 2, 3, 4)] == [10, 10, 10, 10]
    assert watch.line().split("  ")[2:4] == ["epoch 4/4", "step 40/40 (100%)"]


def test_steps_that_were_taken_before_count_as_done_but_not_as_speed():
    clock = Clock()
    progress, _ = plain(clock, trainings=1)
    watch = progress.watch(Part(42, 0, 1))
    watch.phase("train", 40, done=30, per_epoch=20)
    assert watch.line() == "minilm seed-42/fold-1  train  epoch 2/2  step 30/40 (75%)"
    clock.now = 10.0
    watch.advance(steps=5, rows=50)
    assert watch.line() == (
        "minilm seed-42/fold-1  train  epoch 2/2  step 35/40 (88%)  5 rows/s  "
        "left: fold 0:10, run 0:10"
    )


def test_a_worker_shows_no_live_line_on_a_terminal_it_shares_with_others():
    console = Console(file=io.StringIO(), force_terminal=True, width=200)
    with Progress("minilm", 1, console, Clock(), live=False) as progress:
        assert progress.live is None
    with Progress("minilm", 1, console, Clock()) as progress:
        assert progress.live is not None


def test_the_estimate_for_the_run_uses_the_folds_that_ended():
    clock = Clock()
    progress, _ = plain(clock, trainings=3)
    progress.finished(20.0)
    watch = progress.watch(Part(42, 0, 1))
    watch.phase("train", 10)
    clock.now = 5.0
    watch.advance(steps=5)
    assert "left: fold 0:05, run 0:20" in watch.line()  # 5 left, then one more of (20 + 10) / 2


@pytest.mark.parametrize(("ended", "left"), [(0, "0:25"), (1, "0:15"), (2, "0:05")])
def test_workers_share_the_folds_that_are_to_come(ended, left):
    clock = Clock()
    progress, _ = plain(clock, trainings=5, workers=2)
    for _ in range(ended):
        progress.finished(10.0)
    watch = progress.watch(Part(42, 0, ended))
    watch.phase("train", 10)
    clock.now = 5.0
    watch.advance(steps=5)
    assert watch.line().endswith(f"left: fold 0:05, run {left}")  # 5 folds of two are 3 in a row


def test_pieces_of_a_part_count_one_by_one():
    clock = Clock()
    progress, _ = plain(clock, trainings=6)
    for number in (1, 2):
        with progress.timed(Part(42, 0, 0), f"piece {number}/3", "piece") as watch:
            watch.phase("predict", 10)
            clock.now += 10.0
            watch.advance(5)
            line = watch.line()
            clock.now += 10.0
    # two pieces at 20 s, of which one is half done, and four to come
    assert line.startswith("minilm seed-42/fold-0  piece 2/3  predict  ")
    assert line.endswith("left: piece 0:10, run 1:30")


def test_without_a_terminal_a_plain_line_comes_now_and_then():
    clock = Clock()
    progress, stream = plain(clock)
    with progress:
        watch = progress.watch(Part(42, 0, 0))
        watch.phase("train", 100)
        for second in range(60):
            clock.now = float(second)
            watch.advance()
        watch.event("truncated", "3 of 80 rows were truncated", inputs=3)
    lines = stream.getvalue().splitlines()
    assert len(lines) == 3
    assert lines[-1] == "  minilm seed-42/fold-0: 3 of 80 rows were truncated"
    assert "\x1b" not in stream.getvalue()


def test_a_phase_without_steps_shows_no_estimate():
    progress, _ = plain(Clock())
    watch = progress.watch(Part(42, 0, 0))
    watch.phase("predict", 0)
    assert watch.line() == "minilm seed-42/fold-0  predict  step 0/0 (0%)"
