"""Trees with tensors in them as one safetensors file."""

import json
import math
from io import BytesIO

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load, load_file
from torch import nn

from pipeline.base.errors import ArtifactError
from pipeline.models.transformer.tensor_file import ALIGNMENT, DTYPES, read, size, write


def content_of(tree):
    stream = BytesIO()
    write(stream, tree)
    return stream.getvalue()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state.safetensors"


@pytest.fixture
def round_trip(path):
    def through(tree):
        path.write_bytes(content_of(tree))
        return read(path)

    return through


def assert_same(found, expected):
    """Equal in kind, value and bits; tuples come back as lists."""
    if isinstance(expected, torch.Tensor):
        assert found.dtype == expected.dtype
        assert found.shape == expected.shape
        assert bits(found) == bits(expected)
    elif isinstance(expected, dict):
        assert list(found) == list(expected)
        assert [type(key) for key in found] == [type(key) for key in expected]
        for key, value in expected.items():
            assert_same(found[key], value)
    elif isinstance(expected, list | tuple):
        assert isinstance(found, list)
        for ours, theirs in zip(found, expected, strict=True):
            assert_same(ours, theirs)
    elif isinstance(expected, float) and math.isnan(expected):
        assert math.isnan(found)
    else:
        assert type(found) is type(expected)
        assert found == expected


def bits(tensor):
    return tensor.contiguous().reshape(-1).view(torch.uint8).tolist()


def test_what_a_checkpoint_holds_comes_back_as_it_was(round_trip):
    tree = {
        "state_dict": {"network.head.weight": torch.randn(3, 2)},
        "optimizer_states": [
            {
                "state": {0: {"step": torch.tensor(7.0), "exp_avg": torch.randn(3, 2)}, 12: {}},
                "param_groups": [{"betas": (0.9, 0.999), "params": [0, 1], "fused": True}],
            }
        ],
        "last_train_loss": math.nan,
        "limits": [math.inf, -math.inf, -0.0, 1e-45, 2**70, "Straße 물", "", None, False],
        "": {"empty dict": {}, "empty list": []},
    }
    assert_same(round_trip(tree), tree)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(), (1,), (3,), (2, 3), (0,), (2, 0, 3)], ids=str)
def test_tensors_of_every_kind_and_shape_keep_their_bits(round_trip, dtype, shape):
    values = torch.randint(0, 2, shape).to(dtype)
    assert_same(
        round_trip({"odd": torch.ones(3, dtype=torch.bool), "value": values}),
        {"odd": torch.ones(3, dtype=torch.bool), "value": values},
    )


def test_numbers_that_are_not_finite_keep_their_bits(round_trip):
    for dtype in (torch.bfloat16, torch.float16, torch.float32):
        values = torch.tensor([math.nan, math.inf, -math.inf, -0.0], dtype=dtype)
        assert_same(round_trip(values), values)


def test_views_are_written_as_what_they_show_and_parameters_as_tensors(round_trip):
    grid = torch.arange(12.0).reshape(3, 4)
    assert_same(
        round_trip([grid.t(), grid[:, 1::2], grid.expand(2, 3, 4)]),
        [grid.t().clone(), grid[:, 1::2].clone(), grid.expand(2, 3, 4).clone()],
    )
    assert_same(round_trip(nn.Parameter(grid)), grid)


leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(list(DTYPES)).flatmap(
        lambda dtype: st.lists(st.integers(0, 1), max_size=5).map(
            lambda values: torch.tensor(values).to(dtype)
        )
    )
)
keys = st.text("abc.", min_size=1, max_size=4) | st.integers(-3, 30)
trees = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=8,
)


@given(tree=trees)
def test_any_tree_comes_back(tree, tmp_path_factory):
    path = tmp_path_factory.mktemp("tree") / "x"
    path.write_bytes(content_of(tree))
    assert_same(read(path), tree)


def test_safetensors_own_reader_finds_the_weights_under_their_names(path):
    weights = {"backbone.a.weight": torch.randn(2, 3), "head.bias": torch.ones(1).bfloat16()}
    path.write_bytes(content_of(weights))
    found = load_file(path)
    assert set(found) == set(weights)
    for name, value in weights.items():
        assert_same(found[name], value)


def test_tensors_that_lie_deeper_are_named_by_their_path(path):
    path.write_bytes(content_of({"states": [{"state": {0: {"exp_avg": torch.ones(2)}}}]}))
    with safe_open(path, framework="pt") as file:
        assert list(file.keys()) == ["states/0/state/0/exp_avg"]


def test_tensors_start_where_a_processor_likes_them():
    content = content_of({"flag": torch.ones(1, dtype=torch.bool), "number": torch.ones(1)})
    assert int.from_bytes(content[:8], "little") % ALIGNMENT == 0


def test_the_same_tree_gives_the_same_bytes():
    tree = {"b": torch.ones(2), "a": [1.5, torch.zeros(3)]}
    assert content_of(tree) == content_of(tree)


def test_the_size_is_told_before_anything_is_written():
    tree = {"a": torch.ones(1000, 10), "b": [torch.ones(500, dtype=torch.bfloat16)]}
    assert size(tree) == 4 * 10_000 + 2 * 500
    assert size(tree) == pytest.approx(len(content_of(tree)), rel=0.02)


@pytest.mark.parametrize("tree", [{"a": {1, 2}}, [object()], {"a": torch.device("cpu")}])
def test_what_is_no_plain_value_is_refused(tree):
    with pytest.raises(TypeError, match="cannot be written"):
        write(BytesIO(), tree)


@pytest.mark.parametrize(
    "tree",
    [{"a": {"b": torch.ones(1)}, "a/b": torch.ones(1)}, {1: torch.ones(1), "1": torch.ones(1)}],
)
def test_no_tensor_takes_the_place_of_another(tree):
    with pytest.raises(TypeError, match=r"two tensors lie under '(a/b|1)'"):
        write(BytesIO(), tree)


def test_nothing_in_a_file_is_run(path):
    class Evil:
        def __reduce__(self):
            return (print, ("pickled",))

    torch.save({"weights": Evil()}, path)
    with pytest.raises(ArtifactError, match="is damaged"):
        read(path)


WHOLE = content_of({"names": ["x"], "weights": {"w": torch.arange(6.0), "b": torch.ones(2)}})


@pytest.mark.parametrize("length", range(0, len(WHOLE), 7))
def test_a_file_cut_anywhere_is_damaged(path, length):
    path.write_bytes(WHOLE[:length])
    with pytest.raises(ArtifactError, match=r"state.safetensors is damaged: ."):
        read(path)


def test_a_damaged_header_never_is_any_other_error(path):
    refused = 0
    for at in range(len(WHOLE) - 32):
        for damage in (b"\x00", b"7", b'"'):
            path.write_bytes(WHOLE[:at] + damage + WHOLE[at + 1 :])
            try:
                read(path)
            except ArtifactError:
                refused += 1
    assert refused > len(WHOLE)


def file_of_others(**metadata):
    weight = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
    header = json.dumps({"__metadata__": metadata, "w": weight}).encode()
    return len(header).to_bytes(8, "little") + header + bytes(4)


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"format": "pt"},
        {"tree": "weights"},
        {"tree": "{}"},
        {"tree": '{"items": 7}'},
        {"tree": '{"items": [["a"]]}'},
        {"tree": '{"items": [[[], 1]]}'},
        {"tree": '{"tensor": "v"}'},
        {"tree": '{"tensor": 5}'},
    ],
    ids=str,
)
def test_files_of_others_are_damaged_too(path, metadata):
    content = file_of_others(**metadata)
    assert set(load(content)) == {"w"}, "a safetensors file, but not one of ours"
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"state.safetensors is damaged: ."):
        read(path)


def test_a_file_that_is_gone_is_damaged_too(path):
    with pytest.raises(ArtifactError, match=r"state.safetensors is damaged: ."):
        read(path)
