import pytest

from pipeline.setup.inspection import inspect as machine_room
from tests.setup.inspection.toys import competition


def test_predictions_and_weights_are_counted_for_all_folds_and_repeats(tmp_path):
    facts = machine_room.machine(competition(count=4, repeats=2), 100, 10, tmp_path)
    assert facts.predictions == 4 * (100 * 2 + 10 * 8)
    assert facts.weights["base"] == 110_000_000 * 4 * 8
    assert facts.cores >= 1
    assert "--root" in facts.free


def test_memory_is_what_the_machine_has_or_less_where_a_container_says_so(tmp_path):
    (tmp_path / "meminfo").write_text("MemTotal:  2000 kB\nMemFree: 5 kB\n")
    limit = tmp_path / "memory.max"
    assert machine_room.memory(tmp_path / "meminfo", tmp_path) == 2_048_000
    limit.write_text("max\n")
    assert machine_room.memory(tmp_path / "meminfo", tmp_path) == 2_048_000
    limit.write_text("1000\n")
    assert machine_room.memory(tmp_path / "meminfo", tmp_path) == 1000
    assert machine_room.memory(tmp_path / "none", tmp_path / "none") is None


@pytest.mark.parametrize(
    ("script", "found"),
    [("echo 'Card A, 80 GiB'; echo 'Card B, 24 GiB'", ["Card A, 80 GiB", "Card B, 24 GiB"]),
     ("echo broken; exit 9", []), ("exec sleep 20", [])],
)  # fmt: skip
def test_gpus_are_those_the_driver_names_and_a_hanging_driver_means_none(
    script, found, tmp_path, monkeypatch
):
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(machine_room.shutil, "which", lambda name: str(program))
    monkeypatch.setattr(machine_room, "PATIENCE", 0.5)
    assert machine_room.gpus() == found


def test_disks_are_named_once_each(tmp_path):
    free = machine_room.free_places(tmp_path / "new", {"HF_HOME": str(tmp_path)})
    assert next(iter(free)) == "--root"
    assert "HF_HOME" not in free
