"""`make mutants` judges real changes of a copy, and its list of reasons is true."""

import ast
import tomllib

import pytest

pytest.importorskip("cosmic_ray", reason="a tool of development: pip install -e '.[dev]'")

from benchmarks.mutation import explained, plan, reach

SOURCE = '''"""Toy."""
if TYPE_CHECKING:
    from toy import Toy
LIMIT: int | None = 3


def over(x: float, y: float | None = None) -> bool:
    if (
        x > 1
    ):
        y = 2 - x
    return y is None
'''


@pytest.fixture
def copy(tmp_path, monkeypatch):
    for module in (plan, explained):
        monkeypatch.setattr(module, "COPY", tmp_path / "copy")
    monkeypatch.setattr(plan, "WORK", tmp_path)
    file = tmp_path / "copy" / "pipeline" / "toy" / "over.py"
    file.parent.mkdir(parents=True)
    file.write_text(SOURCE, encoding="utf-8")
    return tmp_path / "copy"


def test_signs_comparisons_constants_and_conditions_are_changed_and_types_are_not(copy):
    work = plan.session("pipeline/toy/over.py")
    found = list(plan.sample("pipeline/toy/over.py", work, 100, seed=0))
    work.close()
    changes = {(mutant.before, mutant.after) for mutant in found}
    assert len(changes) == len(found) > 4
    assert ("LIMIT: int | None = 3", "LIMIT: int | None = 4") in changes
    assert all("int | None" in after for before, after in changes if "LIMIT" in before)
    assert {before for before, _ in changes} == {
        "LIMIT: int | None = 3", "if (", "x > 1", "y = 2 - x", "return y is None",
    }  # fmt: skip
    for mutant in found:
        lines = SOURCE.splitlines()[mutant.lines.start - 1 : mutant.lines.stop - 1]
        assert mutant.before in [line.strip() for line in lines]


def test_looks_and_one_more_of_thousands_are_left_alone(copy):
    file = copy / "pipeline" / "toy" / "over.py"
    file.write_text("LONG, SHORT = 1_000, 999\nprint(LONG, soft_wrap=True)\nzip(strict=True)\n")
    work = plan.session("pipeline/toy/over.py")
    found = list(plan.sample("pipeline/toy/over.py", work, 100, seed=0))
    work.close()
    assert [mutant.spec.start_pos for mutant in found] == [(1, 21)]


def test_a_greater_share_contains_the_smaller_and_another_seed_draws_others(copy):
    work = plan.session("pipeline/toy/over.py")
    drawn = {
        (share, seed): [m.item for m in plan.sample("pipeline/toy/over.py", work, share, seed)]
        for share in (2, 4)
        for seed in range(4)
    }
    work.close()
    assert all(drawn[4, seed][:2] == drawn[2, seed] for seed in range(4))
    assert len({tuple(items) for items in drawn.values()}) > 4


def test_what_was_judged_stands_while_the_file_is_the_same(copy):
    first = plan.session("pipeline/toy/over.py")
    items = {item.job_id for item in first.work_items}
    first.close()
    again = plan.session("pipeline/toy/over.py")
    assert {item.job_id for item in again.work_items} == items
    again.close()
    (copy / "pipeline/toy/over.py").write_text(SOURCE + "\n", encoding="utf-8")
    other = plan.session("pipeline/toy/over.py")
    assert items.isdisjoint(item.job_id for item in other.work_items)
    other.close()


def test_tests_that_run_the_line_come_first_and_quick_before_slow():
    whole = reach.Reach()
    seconds = {"t.py::slow": 3.0, "t.py::quick": 0.1, "t.py::other": 0.2, "t.py::endless": 11.0}
    lines = {
        "a.py": {
            "1": [""],
            "2": ["", "t.py::slow"],
            "4": ["t.py::slow", "t.py::quick"],
            "7": ["t.py::endless"],
        }
    }
    reach.add(whole, "t.py", {"seconds": seconds, "failed": [], "modules": [], "lines": lines})
    assert whole.tests("a.py", [4]) == ["t.py::quick", "t.py::slow", "t.py::other"]
    assert whole.tests("a.py", [7]) == []
    for line in (1, 2):  # what an import makes of it every test may see
        assert whole.tests("a.py", [line]) == ["t.py::quick", "t.py::other", "t.py::slow"]
    found = {"seconds": {"test_a.py::own": 1.0}, "failed": [], "modules": []}
    reach.add(whole, "test_a.py", found | {"lines": {"a.py": {"4": ["test_a.py::own"]}}})
    order = ["test_a.py::own", "t.py::quick", "t.py::slow", "t.py::other"]
    assert whole.tests("a.py", [4]) == order, "the budget may not reach to the last"


def test_a_reason_stands_for_a_line_that_is_there_and_a_change_that_is_made():
    listed = tomllib.loads(explained.LIST.read_text("utf-8")).get("mutant", [])
    for each in listed:
        lines = (plan.ROOT / each["file"]).read_text("utf-8").splitlines()
        assert each["before"] in [line.strip() for line in lines], each
        assert each["after"] != each["before"]
        assert len(each["why"]) > 20
    keys = [(each["file"], each["before"], each["after"]) for each in listed]
    assert len(set(keys)) == len(keys)


def test_the_statement_of_a_place_is_its_head_not_its_body():
    tree = ast.parse(SOURCE)
    assert plan.statement(tree, 9) == range(8, 11)
    assert plan.statement(tree, 11) == range(11, 12)
