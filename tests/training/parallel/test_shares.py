"""Which GPU, and how many cores, each of several workers gets. The GPUs are stand-ins."""

import subprocess
import sys

import pytest

from pipeline.base.errors import UsageError
from pipeline.training.parallel import workers as shares
from pipeline.training.parallel.workers import check_gpus, environment_of, visible_gpus

TWO = """\
GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-11111111-2222-3333-4444-555555555555)
GPU 1: Tesla T4 (UUID: GPU-aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee)
"""
DIVIDED = """\
GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-5d5ba0d6)
  MIG 3g.20gb     Device  0: (UUID: MIG-c7384736-a75d-5afc-978f-d2f1294409fd)
  MIG 3g.20gb     Device  1: (UUID: MIG-a28ad590-3fda-56dd-84fc-0a0b96edc58d)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-77777777)
"""


@pytest.fixture
def driver(tmp_path, monkeypatch):
    """A machine whose nvidia-smi says what it is told to."""

    def says(text, status=0):
        (tmp_path / "said").write_text(text)
        tool = tmp_path / "nvidia-smi"
        tool.write_text(f"#!/bin/sh\ncat {tmp_path / 'said'}\nexit {status}\n")
        tool.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    return says


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("0,1", ["0", "1"]),
        ("3, 1", ["3", "1"]),
        ("GPU-8932f937,MIG-c7384736-a75d", ["GPU-8932f937", "MIG-c7384736-a75d"]),
        ("MIG-GPU-8932f937/1/0", ["MIG-GPU-8932f937/1/0"]),
        ("0,-1,1", ["0"]),
        ("-1", []),
        ("", []),
        ("NoDevFiles", []),
    ],
)
def test_a_list_that_is_set_already_is_what_there_is(driver, asked, expected):
    driver(TWO)
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": asked}) == expected


def test_else_the_driver_is_asked_and_parts_of_a_gpu_count_each(driver):
    driver(TWO)
    assert visible_gpus({}) == [
        "GPU-11111111-2222-3333-4444-555555555555",
        "GPU-aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",
    ]
    driver(DIVIDED)
    assert visible_gpus({}) == [
        "MIG-c7384736-a75d-5afc-978f-d2f1294409fd",
        "MIG-a28ad590-3fda-56dd-84fc-0a0b96edc58d",
        "GPU-77777777",
    ]
    driver("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n", 9)
    assert visible_gpus({}) == []


def test_without_its_tool_the_devices_are_counted(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(shares, "DEVICES", tmp_path)
    assert visible_gpus({}) == []
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()
    assert visible_gpus({}) == ["0", "1"]


@pytest.mark.nightly  # test_layers reads it from the source
def test_counting_loads_no_torch():
    code = (
        "import sys, os; from pipeline.training.parallel.workers import visible_gpus\n"
        "visible_gpus(os.environ); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.mark.parametrize(("workers", "per_gpu"), [(1, 1), (2, 1), (4, 2), (3, 2)])
def test_so_many_workers_as_there_is_room_for(workers, per_gpu):
    check_gpus(workers, ["0", "1"], per_gpu)
    check_gpus(64, [], per_gpu)


def test_more_workers_than_gpus_are_refused_with_both_ways_out():
    with pytest.raises(UsageError) as caught:
        check_gpus(3, ["0", "1"], 1)
    assert str(caught.value) == (
        "--workers 3: this machine shows 2 GPUs, for 1 worker each. Use --workers 2, or let them "
        "share, if 2 trainings fit into the memory of one: --workers-per-gpu 2"
    )
    with pytest.raises(UsageError, match=r"shows 1 GPU, for 2 workers each\. Use --workers 2, or"):
        check_gpus(5, ["0"], 2)


def test_workers_take_the_gpus_in_turn_and_the_cores_in_equal_parts(monkeypatch):
    monkeypatch.setattr(shares, "usable_cores", lambda: 16)
    found = [environment_of(number, 3, ["GPU-a", "GPU-b"], {"HOME": "/"}) for number in (1, 2, 3)]
    assert [each["CUDA_VISIBLE_DEVICES"] for each in found] == ["GPU-a", "GPU-b", "GPU-a"]
    assert {each["OMP_NUM_THREADS"] for each in found} == {"5"}
    assert {each["HOME"] for each in found} == {"/"}
    asked = environment_of(1, 99, [], {"OMP_NUM_THREADS": "2", "CUDA_VISIBLE_DEVICES": ""})
    assert asked == {"OMP_NUM_THREADS": "2", "CUDA_VISIBLE_DEVICES": ""}
    assert environment_of(1, 99, [], {})["OMP_NUM_THREADS"] == "1"
