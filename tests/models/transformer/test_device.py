"""What a model computes on."""

import pytest
import torch

from pipeline.base.errors import UsageError
from pipeline.models.transformer import device as hardware
from pipeline.models.transformer.device import Hardware, choose_precision, detect, usable_threads


@pytest.mark.parametrize(
    ("asked", "accelerator", "real_bf16", "expected"),
    [
        ("auto", "cpu", False, "fp32"),
        ("auto", "cpu", True, "fp32"),
        ("auto", "mps", False, "fp32"),
        ("auto", "cuda", True, "bf16"),
        ("auto", "cuda", False, "fp16"),
        ("fp32", "cuda", True, "fp32"),
        ("fp16", "cuda", True, "fp16"),
        ("bf16", "cpu", True, "bf16"),
    ],
)
def test_auto_is_bf16_only_where_a_gpu_really_computes_in_it(
    asked, accelerator, real_bf16, expected
):
    assert choose_precision(asked, accelerator, "x", real_bf16) == expected


@pytest.mark.parametrize(
    ("asked", "accelerator", "real_bf16", "possible"),
    [
        ("bf16", "cuda", False, "fp16, fp32"),
        ("bf16", "cpu", False, "fp32"),
        ("fp16", "cpu", True, "bf16, fp32"),
        ("fp16", "mps", False, "fp32"),
    ],
)
def test_an_impossible_precision_is_refused_with_what_is_possible(
    asked, accelerator, real_bf16, possible
):
    with pytest.raises(UsageError) as caught:
        choose_precision(asked, accelerator, "Box", real_bf16)
    assert str(caught.value) == (
        f"the recipe asks for precision {asked}, but {accelerator} (Box) computes in {possible} "
        "only. Set precision: auto, or use another machine."
    )


def test_a_machine_without_gpu_trains_in_float32_with_torchs_threads(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    found = detect()
    assert (found.accelerator, found.precision) == ("cpu", "32-true")
    assert found.threads == torch.get_num_threads()
    assert found.name
    assert found.memory > 2**28
    assert found.deterministic


def test_a_gpu_is_used_in_half_precision_where_its_bf16_is_emulated(monkeypatch):
    asked = []

    def is_bf16_supported(including_emulation=True):
        asked.append(including_emulation)
        return including_emulation

    class Properties:
        total_memory = 15_000_000_000

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", is_bf16_supported)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Tesla T4")
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: Properties)
    found = detect("auto")
    assert asked == [False]
    assert (found.precision, found.bf16) == ("16-mixed", False)
    assert not found.deterministic
    assert detect("auto", deterministic=True).deterministic
    assert str(found) == "cuda (Tesla T4, 15.0 GB)"


def test_the_bf16_of_a_cpu_is_real_only_with_its_instructions(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    info = tmp_path / "cpuinfo"
    monkeypatch.setattr(hardware, "CPU_INFO", info)
    info.write_text("model name\t: Box 3000\nflags\t\t: fpu avx512_bf16 avx2\n")
    found = detect("bf16")
    assert (found.name, found.precision, found.bf16) == ("Box 3000", "bf16-mixed", True)
    assert detect("fp32").bf16
    info.write_text("model name\t: Box 2000\nflags\t\t: fpu avx2\n")
    assert not detect("fp32").bf16
    with pytest.raises(UsageError, match=r"cpu \(Box 2000\) computes in fp32 only"):
        detect("bf16")


def test_a_containers_share_of_cpus_limits_the_threads_unless_they_were_asked_for():
    assert usable_threads(8, {}, 1.5) == 2
    assert usable_threads(8, {}, 0.1) == 1
    assert usable_threads(2, {}, 8.0) == 2
    assert usable_threads(8, {"OMP_NUM_THREADS": "8"}, 2.0) == 8
    assert usable_threads(8, {}, None) == 8


def test_the_line_for_people_names_device_memory_and_threads():
    box = Hardware(accelerator="cpu", name="Box", precision="32-true", threads=2, memory=8 * 10**9)
    assert str(box) == "cpu (Box, 8.0 GB, 2 threads)"
