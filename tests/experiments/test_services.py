"""What MLflow and Weights & Biases hold afterwards, read back with their own means.

MLflow's client writes into its file store, which needs no server; at night a real server with
SQLite does the same. W&B is offline: its files are read as `wandb sync` reads them.
"""

import http.server
import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pipeline import cv
from pipeline.base.command import run
from pipeline.base.errors import UsageError
from pipeline.base.leases import lease
from pipeline.base.paths import Paths, Workspace
from pipeline.ensemble import __main__ as ensemble
from pipeline.experiments.services import SERVICES, service_of
from pipeline.track import main as track
from tests.experiments.test_mirror import finished, logged, space
from tests.test_bad_files import Folder

SERVER_PYTHON = os.environ.get("MLFLOW_SERVER_PYTHON", sys.executable)
"""MLflow's server asks for other versions than we do: it may live in an environment of its own."""
ANSWERS_WITHIN = 180.0


@pytest.fixture(scope="module")
def toy(tmp_path_factory) -> Path:
    """A competition with one complete run and a submission."""
    folder = Folder(tmp_path_factory.mktemp("toy"))
    folder.write()
    root = folder.root
    assert folder.call(cv) == 0
    assert folder.call(ensemble) == 0
    logged(Workspace(root / "runs" / "toy" / "linear" / "seed-42" / "fold-0"), range(1, 4))
    return root


@pytest.fixture
def mlflow_files(tmp_path, monkeypatch) -> str:
    pytest.importorskip("mlflow", reason='pip install "foldstack[mlflow]"')
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"file://{tmp_path / 'mlruns'}")
    return os.environ["MLFLOW_TRACKING_URI"]


@pytest.fixture
def mlflow_server(tmp_path, monkeypatch) -> Iterator[str]:
    """A real server on this machine, its records in SQLite."""
    probe = "import flask, alembic, sqlalchemy, mlflow.server"
    if subprocess.run([SERVER_PYTHON, "-c", probe], capture_output=True, check=False).returncode:
        pytest.skip("no MLflow server here: MLFLOW_SERVER_PYTHON names a Python that has mlflow")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    uri = f"http://127.0.0.1:{port}"
    where = ["--backend-store-uri", f"sqlite:///{tmp_path}/mlflow.db", "--workers", "1"]
    where += ["--artifacts-destination", str(tmp_path / "kept"), "--port", str(port)]
    process = subprocess.Popen(
        [SERVER_PYTHON, "-m", "mlflow", "server", *where],
        env={
            **{name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        },
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        _await(port, process)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        yield uri
    finally:
        os.killpg(process.pid, 15)
        process.wait(30)


def _await(port: int, process: subprocess.Popen) -> None:
    until = time.monotonic() + ANSWERS_WITHIN
    while time.monotonic() < until and process.poll() is None:
        with socket.socket() as asked:
            if asked.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.5)
    pytest.fail(f"the server did not start: {process.poll()}")


def records_at(uri: str, name: str = "toy") -> tuple[Any, dict[str, Any]]:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name(name)
    assert experiment is not None
    found = client.search_runs([experiment.experiment_id])
    return client, {each.data.tags["foldstack.key"]: each for each in found}


def assert_mlflow_has_it_all(uri: str, root: Path, capsys) -> None:
    """One project a competition, one group a run, one job a fold; then nothing is new."""
    assert run(track, ["--root", str(root), "--to", "mlflow"]) == 0
    assert capsys.readouterr().out.startswith("toy: 5 records brought up to date, ")
    client, records = records_at(uri)
    folds = [f"linear/seed-42/fold-{fold}" for fold in range(3)]
    assert sorted(records) == ["(submissions)/toy-001-best", "linear", *folds]
    whole = json.loads((root / "oof" / "toy" / "linear" / "run.json").read_text())
    origin = json.loads((root / "submissions" / "toy-001-best.json").read_text())
    pooled = records["linear"]
    assert pooled.data.metrics["oof/accuracy"] == whole["oof_score"]
    assert pooled.data.metrics["ensemble/honest_accuracy"] == origin["scores"]["honest"]
    sent = records["(submissions)/toy-001-best"].data.metrics
    assert sent["honest/accuracy"] == origin["scores"]["honest"]
    for name, fold in zip(folds, whole["fold_scores"], strict=True):
        assert records[name].data.tags["mlflow.parentRunId"] == pooled.info.run_id
        assert records[name].data.metrics["fold/accuracy"] == fold
        assert records[name].data.params["recipe.learner"] == "linear"
        assert records[name].info.status == "FINISHED"
    curve = client.get_metric_history(records[folds[0]].info.run_id, "train_loss")
    assert [point.step for point in curve] == [1, 2, 3]
    assert [point.value for point in curve] == pytest.approx([1.0, 0.5, 1 / 3])
    files = {file.path for file in client.list_artifacts(pooled.info.run_id)}
    assert files == {"oof.parquet", "passport.json", "run.json"}
    here = client.download_artifacts(pooled.info.run_id, "oof.parquet", str(root))
    table = pd.read_parquet(here)
    assert list(table) == ["seed", "repeat", "fold", "id", "prediction_label"]
    assert len(table) == 24
    assert table.id.is_unique
    assert run(track, ["--root", str(root), "--to", "mlflow"]) == 0
    assert capsys.readouterr().out.startswith("toy: 0 records brought up to date, ")


@pytest.mark.filterwarnings("ignore")  # of MLflow's own modules
def test_mlflow_has_an_experiment_with_scores_settings_curves_and_files(toy, mlflow_files, capsys):
    assert_mlflow_has_it_all(mlflow_files, toy, capsys)


@pytest.mark.nightly
@pytest.mark.filterwarnings("ignore")
def test_a_real_mlflow_server_with_sqlite_has_them_too(toy, mlflow_server, capsys):
    assert_mlflow_has_it_all(mlflow_server, toy, capsys)


@pytest.mark.filterwarnings("ignore")
def test_a_run_that_goes_on_has_one_record_at_mlflow(tmp_path, mlflow_files):
    paths = Paths(tmp_path, "toy")
    at = space(paths)
    logged(at, range(1, 4))
    with lease(at.lease, "it"):
        assert run(track, ["--root", str(tmp_path), "--to", "mlflow"]) == 0
        _, records = records_at(mlflow_files)
        assert records["minilm/seed-42/fold-0"].info.status == "RUNNING"
    logged(at, range(3, 7), hide_from=3)
    finished(paths)
    assert run(track, ["--root", str(tmp_path), "--to", "mlflow"]) == 0
    client, records = records_at(mlflow_files)
    assert len(records) == 2
    fold = records["minilm/seed-42/fold-0"].info
    curve = client.get_metric_history(fold.run_id, "train_loss")
    assert sorted(point.step for point in curve) == [1, 2, 3, 4, 5, 6]
    assert fold.status == "FINISHED"


# Weights & Biases, offline.


BLOCK, HEADER = 32768, struct.Struct("<IHB")


def offline_records(file: Path) -> Iterator[Any]:
    """Records of a .wandb file: LevelDB's log format after seven bytes of W&B's own.

    https://github.com/google/leveldb/blob/main/doc/log_format.md
    """
    from wandb.proto.wandb_internal_pb2 import Record

    data, place, held = file.read_bytes(), 7, b""
    assert data[:4] == b":W&B"
    while place + HEADER.size <= len(data):
        if BLOCK - place % BLOCK < HEADER.size:  # the rest of a block is filled up
            place += BLOCK - place % BLOCK
            continue
        _, length, kind = HEADER.unpack_from(data, place)
        place += HEADER.size
        held += data[place : place + length]
        place += length
        if kind in (1, 4):  # whole, or the last piece
            record = Record()
            record.ParseFromString(held)
            held = b""
            yield record


@pytest.fixture
def offline(monkeypatch) -> None:
    pytest.importorskip("wandb", reason='pip install "foldstack[wandb]"')
    monkeypatch.setenv("WANDB_MODE", "offline")


def files_of(root: Path) -> dict[str, list[Any]]:
    """Name of each W&B run below *root* -> its records."""
    found: dict[str, list[Any]] = {}
    for file in root.glob("runs/toy/.tracked/*/wandb/offline-run-*/*.wandb"):
        records = list(offline_records(file))
        name = next(each.run.display_name for each in records if each.HasField("run"))
        assert name not in found, "two files of one record"
        found[name] = records
    return found


@pytest.mark.filterwarnings("ignore")
def test_wandb_writes_a_project_with_groups_and_jobs_and_once_more_the_whole(
    tmp_path, offline, capsys
):
    paths = Paths(tmp_path, "toy")
    at = space(paths)
    logged(at, range(1, 4))
    finished(paths)
    assert run(track, ["--root", str(tmp_path), "--to", "wandb"]) == 0
    first = files_of(tmp_path)
    logged(at, range(4, 6))
    finished(paths, score=0.5)
    assert run(track, ["--root", str(tmp_path), "--to", "wandb"]) == 0
    found = files_of(tmp_path)
    assert sorted(found) == ["minilm", "minilm/seed-42/fold-0"]
    records = found["minilm/seed-42/fold-0"]
    (about,) = [each.run for each in records if each.HasField("run")]
    assert (about.project, about.run_group, about.job_type) == ("toy", "minilm", "fold")
    (before,) = [each.run for each in first["minilm/seed-42/fold-0"] if each.HasField("run")]
    assert about.run_id == before.run_id
    assert about.host == ""
    rows = [each.history for each in records if each.HasField("history")]
    values = [
        {item.nested_key[0]: json.loads(item.value_json) for item in row.item} for row in rows
    ]
    assert [(row["step"], row["train_loss"]) for row in values] == [
        (step, pytest.approx(1 / step)) for step in range(1, 6)
    ]
    summary = {
        "/".join(item.nested_key) or item.key: json.loads(item.value_json)
        for each in records
        if each.HasField("summary")
        for item in each.summary.update
    }
    assert summary["fold/pearson"] == 0.5
    assert summary["state"] == "finished"
    assert not any(each.HasField("output_raw") or each.HasField("stats") for each in records)


class Refusing(http.server.BaseHTTPRequestHandler):
    """Says to every request that the key is wrong."""

    def do_POST(self) -> None:
        self.send_response(401)
        self.end_headers()
        self.wfile.write(b'{"errors": [{"message": "user is not logged in"}]}')

    do_GET = do_POST

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def refusing() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.nightly
def test_a_key_that_the_server_refuses_is_told_in_a_sentence(tmp_path, refusing):
    pytest.importorskip("wandb", reason='pip install "foldstack[wandb]"')
    paths = Paths(tmp_path, "toy")
    finished(paths)
    told = {"WANDB_BASE_URL": refusing, "WANDB_API_KEY": "x" * 40, "WANDB_MODE": "online"}
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.track", "--root", str(tmp_path), "--to", "wandb"],
        env={**os.environ, **told},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 75, done.stderr
    assert "Nothing is lost: the same command sends what is missing" in done.stderr
    assert "Traceback" not in done.stderr


# What is not there is said before anything runs.


@pytest.mark.parametrize("name", SERVICES)
def test_a_library_that_is_not_installed_is_named(name, monkeypatch):
    module = service_of(name).__module__
    monkeypatch.setattr(f"{module}.find_spec", lambda _: None)
    with pytest.raises(UsageError, match=rf'{name} is not installed. .*"foldstack\[{name}\]"'):
        service_of(name).check()


def test_mlflow_asks_for_its_server_and_wandb_for_a_mode_that_records(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("WANDB_MODE", "disabled")
    if find_spec("mlflow"):
        with pytest.raises(UsageError, match="which MLflow server"):
            service_of("mlflow").check()
    if find_spec("wandb"):
        with pytest.raises(UsageError, match="Expected online or offline"):
            service_of("wandb").check()


def test_a_root_without_runs_and_a_run_that_is_not_there_are_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("WANDB_MODE", "offline")
    pytest.importorskip("wandb", reason='pip install "foldstack[wandb]"')
    assert run(track, ["--root", str(tmp_path), "--to", "wandb"]) == 5
    finished(Paths(tmp_path, "toy"))
    assert run(track, ["--root", str(tmp_path), "--to", "wandb", "--run", "other"]) == 2
    assert "toy has no run other" in capsys.readouterr().err
