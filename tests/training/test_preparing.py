"""Nothing is said of quick work; long work is told now and then, with what is left."""

import io

from rich.console import Console

from pipeline.training.progress import PLAIN_EVERY_SECONDS, QUIET_SECONDS, Preparing


def told(seconds_a_step: float, steps: int) -> list[str]:
    now, out = [0.0], io.StringIO()
    watch = Preparing("minilm", Console(file=out, width=200), clock=lambda: now[0])
    watch.phase("tokenise", 1000 * steps)
    for _ in range(steps):
        now[0] += seconds_a_step
        watch.advance(1000)
    return out.getvalue().splitlines()


def test_quick_work_is_not_spoken_of():
    assert told(QUIET_SECONDS / 10, 9) == []


def test_long_work_is_told_with_what_is_left():
    lines = told(5.0, 20)
    assert lines[0] == "minilm  tokenise 1,000/20,000 (5%)  200 inputs/s  left: 1:35"
    assert len(lines) == 1 + (20 - 1) * 5 // int(PLAIN_EVERY_SECONDS)


def test_an_event_is_told_at_once():
    out = io.StringIO()
    Preparing("minilm", Console(file=out, width=200)).event("tokens damaged", "made again")
    assert out.getvalue() == "  minilm: made again\n"
