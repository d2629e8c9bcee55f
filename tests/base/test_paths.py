"""Names that come from people never lead anywhere else."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.base.paths import RESERVED, Paths, safe_name

NAMES = [
    "../x", "../../etc/passwd", "/etc/passwd", "a/b", "a\\b", "C:\\x", "..", ".", "", " ", "~",
    "-x", "a\0b", "CON", "con.csv", "com1", "LPT9.txt", "x" * 300, "mоdel", "ｌinear",
    "linear\u200b", "linear.", "a..b", "\udc80", "데이터", "a\nb", "|", "run.json/..",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_an_awkward_name_is_a_safe_file_name_inside_its_folder(name):
    safe = safe_name(name)
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}", safe)
    assert not RESERVED.fullmatch(safe)
    assert ".." not in safe
    assert not safe.endswith(".")
    assert safe_name(safe) == safe


def test_different_names_stay_different_look_alikes_included():
    names = [*NAMES, "model", "linear", "a_b", "a/c", "x" * 301]
    assert len({safe_name(name) for name in names}) == len(names)


@pytest.mark.parametrize("name", ["minilm", "linear-1f2e3d", "klue_roberta-v1.5-d67e9a", "m.2"])
def test_a_safe_name_is_left_alone(name):
    assert safe_name(name) == name


def test_names_of_runs_that_are_there_do_not_change():
    assert safe_name("org/model-v1.5") == "org_model-v1.5-0b707d"


@given(
    competition=st.text(st.characters(), max_size=120), run=st.text(st.characters(), max_size=120)
)
def test_no_text_leads_out_of_the_root(competition, run):
    root = Path("/root/of/all")
    paths = Paths(root, competition)
    for path in (
        paths.folds_csv,
        paths.passport,
        paths.run_manifest(run),
        paths.fold_predictions(run, 1, 0, 0),
        paths.fold_workspace(run, 1, 0, 0),
    ):
        assert path.resolve().is_relative_to(root)
        assert all(len(part) <= 85 for part in path.parts)
    assert paths.run(run).parent == paths.runs
