"""What fits into memory: groups cut smaller keep their rows, weights and tokens."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.models.transformer.memory_limits import (
    is_out_of_memory,
    micro_batches,
    most_rows,
    part_of,
)
from tests.models.transformer.toys import step_of


def group_of(*rows):
    return step_of(0, rows)["groups"][0]


@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    most=st.none() | st.integers(1, 10),
)
def test_cut_groups_hold_the_same_rows_in_order_and_weigh_as_much(sizes, most):
    starts = [sum(sizes[:at]) for at in range(len(sizes))]
    rows = [range(start, start + size) for start, size in zip(starts, sizes, strict=True)]
    groups = step_of(0, *rows)["groups"]
    parts = list(micro_batches(groups, most))
    assert [row for part in parts for row in part["rows"].tolist()] == list(range(sum(sizes)))
    assert sum(part["weight"] for part in parts) == pytest.approx(1)
    for part in parts:
        assert part["weight"] == pytest.approx(len(part["rows"]) / sum(sizes))
        assert len(part["rows"]) == len(part["targets"]) == part["lengths"].shape[1]
    largest = max(len(part["rows"]) for part in parts)
    assert most_rows(groups, most) == largest
    assert most is None or largest <= most


def test_parts_are_as_equal_as_they_can_be():
    parts = micro_batches([group_of(*range(10))], 4)
    assert [len(part["rows"]) for part in parts] == [3, 3, 4]


def test_what_fits_is_not_touched():
    group = group_of(0, 1, 2)
    for most in (None, 3, 4):
        (only,) = micro_batches([group], most)
        assert only is group


def test_a_part_is_the_batch_of_its_rows_padded_to_their_own_longest():
    whole = group_of(4, 0, 1, 3)  # 5, 1, 2 and 4 tokens
    part, expected = part_of(whole, 1, 3), group_of(0, 1)
    assert part["inputs"][0]["input_ids"].shape == (2, 2)
    for name, values in expected["inputs"][0].items():
        torch.testing.assert_close(part["inputs"][0][name], values)
    assert part["lengths"].tolist() == [[1, 2]]
    assert part["rows"].tolist() == [0, 1]
    torch.testing.assert_close(part["targets"], expected["targets"])
    assert part["weight"] == 0.5


def test_each_input_of_a_part_is_padded_by_itself_and_rows_to_predict_have_no_targets():
    batch = {
        "inputs": [{"input_ids": torch.ones(2, 5)}, {"input_ids": torch.ones(2, 7)}],
        "lengths": torch.tensor([[5, 2], [3, 7]]).numpy(),
        "rows": torch.tensor([4, 9]),
    }
    first, second = (part_of(batch, at, at + 1) for at in (0, 1))
    assert [each["input_ids"].shape for each in first["inputs"]] == [(1, 5), (1, 3)]
    assert [each["input_ids"].shape for each in second["inputs"]] == [(1, 2), (1, 7)]
    assert set(first) == {"inputs", "lengths", "rows"}


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("anything"), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), True),
        (RuntimeError("CUDA error: device-side assert triggered"), False),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_lack_of_memory_is_known_by_its_words(error, expected):
    assert is_out_of_memory(error) is expected


def test_a_cpus_lack_of_memory_is_known_too():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**55)
    assert is_out_of_memory(caught.value)
