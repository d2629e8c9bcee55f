"""The page outlives its reader, and writes what the stream can take."""

import io
import os
import subprocess
import sys
from pathlib import Path

from pipeline.report.cv import fold_line
from pipeline.report.page import page
from pipeline.training import Part

ROOT = Path(__file__).resolve().parents[2]


def test_what_is_printed_after_the_reader_left_goes_nowhere():
    script = "from pipeline.report.page import page\npage().print('a')\nprint('b')\nexit(7)"
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-c", script],
        stdout=writer,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (7, b"")


def test_signs_that_the_encoding_lacks_are_replaced():
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    page(stream).print("3 × 2 ± 1 → 안녕")
    stream.seek(0)
    assert stream.read() == "3 x 2 +- 1 -> ??\n"


def test_any_sign_is_left_alone_where_the_encoding_has_it():
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    page(stream).print("3 × 2 ± 1 → 안녕")
    stream.seek(0)
    assert stream.read() == "3 × 2 ± 1 → 안녕\n"


def test_a_font_with_hangul_is_taken_where_one_is_here(monkeypatch):
    from pipeline.report.drawn import charts

    for here, taken in ((["Arial", "NanumGothic", "Noto Sans KR"], ["Noto Sans KR"]), ([], [])):
        monkeypatch.setattr(charts.font_manager, "get_font_names", lambda here=here: here)
        charts._families.cache_clear()
        assert charts._families()[1:] == taken
    charts._families.cache_clear()


def test_a_fold_without_a_score_says_why():
    told = "f1 has no value: no target and no prediction is positive in column 6 of 6"
    manifest = {"metric": "f1", "score": None, "score_undefined": told}
    manifest |= {"seconds": {"train": 4.0}, "peak_memory": {"ram": 1}}
    assert told in fold_line(Part(42, 0, 1), manifest)
