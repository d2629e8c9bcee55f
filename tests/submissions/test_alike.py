import numpy as np
import pytest

from pipeline.submissions.already_sent import alike, likeness, sent_before
from pipeline.submissions.ledger import Entry, change_ledger


def table(values, ids=None, header="id,target"):
    rows = ids or [f"r{place}" for place in range(len(values))]
    lines = [f"{row},{value}" for row, value in zip(rows, values, strict=True)]
    return "\n".join([header, *lines, ""]).encode()


VALUES = np.random.default_rng(0).normal(size=2000)
LABELS = ["a", "b"] * 1000


@pytest.mark.parametrize(
    ("noise", "same"), [(0.0, True), (0.01, True), (0.02, False), (1.0, False)]
)
def test_values_are_the_same_above_a_correlation_of_four_nines(noise, same):
    other = 3 * VALUES + 1 + 3 * noise * np.random.default_rng(1).normal(size=2000)
    found = likeness(table(VALUES), table(other))
    assert found.kind == "values"
    assert found.figure == pytest.approx(np.corrcoef(VALUES, other)[0, 1])
    assert found.same is same


@pytest.mark.parametrize(("changed", "same"), [(0, True), (1, True), (2, False)])
def test_labels_are_the_same_where_all_but_one_row_in_a_thousand_agree(changed, same):
    other = ["c"] * changed + LABELS[changed:]
    found = likeness(table(LABELS), table(other))
    assert (found.kind, found.figure) == ("labels", 1 - changed / 2000)
    assert found.same is same


def test_whole_numbers_are_labels():
    assert likeness(table([0, 1, 1]), table([0, 1, 0])).kind == "labels"
    assert likeness(table([0, 1, 1]), table([0.1, 1, 0])).kind == "labels"


def test_rows_are_joined_on_their_ids():
    turned = table(VALUES[::-1], [f"r{place}" for place in range(2000)][::-1])
    assert likeness(table(VALUES), turned).figure == pytest.approx(1)


def test_of_several_columns_the_least_alike_counts():
    two = [f"{value},{value}" for value in VALUES]
    mixed = [f"{value},{-value}" for value in VALUES]
    header = "id,x,y"
    found = likeness(table(two, header=header), table(mixed, header=header))
    assert found.figure == pytest.approx(-1)


@pytest.mark.parametrize(
    "other", [b"", b"\xff\xfe", b"id,target\n", table([1.5]), table([1.5, 2], header="id,other")]
)
def test_what_is_no_such_table_cannot_be_compared(other):
    assert likeness(table([1.5, 2.0]), other) is None


def test_constant_columns_are_alike_only_where_equal():
    assert likeness(table([0.5] * 3), table([0.5] * 3)).figure == 1
    assert likeness(table([0.5] * 3), table([0.5, 0.6, 0.7])).figure == 0


def test_a_near_copy_of_a_sent_file_is_named_with_the_figure(tmp_path):
    import hashlib

    content = table(VALUES)
    (tmp_path / "toy-001-mean.csv").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    entry = Entry(day="2026-03-01", file="toy-001-mean.csv", sha256=digest)
    change_ledger(tmp_path, "toy", lambda old: [entry])
    (found,) = alike(tmp_path, "toy", table(VALUES * 1.001))
    assert found.warning == (
        "this file correlates 1.00000 with toy-001-mean.csv, sent on 2026-03-01: "
        "sending it will tell next to nothing new"
    )
    assert alike(tmp_path, "toy", table(VALUES**2)) == []
    assert alike(tmp_path, "toy", content) == []
    assert sent_before(tmp_path, "toy", content) == entry
    (tmp_path / "toy-001-mean.csv").write_bytes(table(VALUES + 5))
    assert alike(tmp_path, "toy", table(VALUES * 1.001)) == []
