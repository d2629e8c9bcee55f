"""`python -m benchmarks.craft`: its tricks are settings that hold, and it goes on where it was."""

import json

import pytest

from benchmarks.craft import __main__ as craft
from benchmarks.craft import teachers
from benchmarks.shared.machine import PROJECT
from pipeline.models.recipes import find
from tests.nightly import every


@pytest.mark.parametrize("data", every(3, craft.OWN))
def test_every_trick_is_a_recipe_of_its_own(data):
    found = craft.tricks(data)
    assert set(craft.OWN[data]) < set(found)
    names = [find("minilm", PROJECT, ["epochs=2", *changes]).name for changes in found.values()]
    assert len(set(names)) == len(names), "two tricks set the same"


def measured(folder, changes, case):
    """Better by 0.1 with any trick, and by the fold."""
    score = 0.5 + 0.1 * bool(changes) + 0.01 * case["fold"] * bool(changes)
    return {
        "metric": "pearson",
        "score": score,
        "seconds": 2.0 + 2 * bool(changes),
        "megabytes": 100,
    }


def test_what_was_trained_is_not_trained_again_and_the_page_pairs_it(tmp_path, monkeypatch, capsys):
    calls = []

    def counted(*given):
        calls.append(given)
        return measured(*given)

    monkeypatch.setattr(craft, "measured", counted)
    file = tmp_path / "lines.jsonl"
    asked = ["--data", "ynat", "--tricks", "focal", "--keep", str(file), "--minutes", "1"]
    craft.main([*asked, "--seeds", "1"])
    assert len(calls) == 4
    craft.main([*asked, "--seeds", "1", "2"])
    assert len(calls) == 8
    assert [json.loads(line)["trick"] for line in file.read_text().splitlines()][:3] == [
        "plain",
        "plain",
        "focal",
    ]
    said = capsys.readouterr().out
    assert "about 240 rows trained on and 240 scored" in said
    assert "| focal | +0.1050 | +0.0958 to +0.1142 | 4 | 2.00× | +0 |" in said
    craft.main([*asked[:-1], "0", "--seeds", "3"])
    assert len(calls) == 8, "no time was given"


@pytest.mark.parametrize("labels", teachers.TRICKS)
def test_every_teacher_is_a_recipe_and_what_leaks_is_none(labels):
    for changes in teachers.TRICKS[labels].values():
        asked = [each for each in changes if teachers.BY_A_RUN not in each]
        assert bool(find("linear", PROJECT, asked).teaching) == bool(asked)


def test_a_page_of_teachers_pairs_by_seed_and_fold():
    case = {"data": "ynat", "labels": teachers.TRUE, "model": "linear", "rows": 90, "folds": 3}
    lines = [
        {**case, "trick": trick, "seed": 1, "fold": fold, "metric": "macro-f1", "score": score}
        for trick, scores in {"plain": [0.5, 0.6], "distil 0.5": [0.6, 0.8]}.items()
        for fold, score in enumerate(scores)
    ]
    assert "| distil 0.5 | +0.1500 | -0.4853 to +0.7853 | 2 |" in teachers.page(lines)
