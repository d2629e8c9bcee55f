"""A bundle over HTTP: the answers of its submission, and a sentence for whatever else is sent."""

import asyncio
import contextlib
import csv
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import uvicorn
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.base.command import run
from pipeline.base.config import Competition
from pipeline.base.parser import read_section
from pipeline.data import Table
from pipeline.serve.__main__ import main
from pipeline.serve.app import Served, make_app, of_environment, rows_of
from pipeline.serve.bundle import check_files
from pipeline.serve.engine import Batches, Engine, Full
from pipeline.serve.guard import LOG, Limits, Refused
from pipeline.serve.telling import of_numbers, spread_within
from tests.toy import environment
from tests.trained import NAME, bundles, trained

__all__ = ["bundles", "trained"]
SECRET = "s3cret-" * 6
LIMITS = Limits(body=20_000, body_seconds=0.5, rows=20, characters=500, seconds=20)
ROW = {"sentence_1": "a cat sleeps", "sentence_2": "a dog runs"}


@contextlib.contextmanager
def serving(app):
    """The port of a server of *app* in a thread."""
    config = uvicorn.Config(app, port=0, log_level="critical", access_log=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def port(bundles):
    with serving(make_app(Served(folder=str(bundles / "whole"), limits=LIMITS, page=True))) as port:
        yield port


@pytest.fixture
def quick(bundles, tmp_path):
    return shutil.copytree(bundles / "quick", tmp_path / "quick")


def ask(port, method="POST", path="/predict", body=None, **headers):
    """Status and content."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    content = json.dumps(body) if isinstance(body, dict | list) else body
    connection.request(
        method, path, content, {key.replace("_", "-"): v for key, v in headers.items()}
    )
    reply = connection.getresponse()
    text = reply.read().decode()
    connection.close()
    is_json = reply.headers.get("content-type", "").startswith("application/json")
    return reply.status, json.loads(text) if is_json else text


def test_rows_get_the_answers_of_the_submission(port, trained):
    with (trained / "test.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    with (trained / "submissions" / NAME).open(encoding="utf-8", newline="") as stream:
        sent = {row["id"]: row["target"] for row in csv.DictReader(stream)}
    status, found = ask(port, body={"rows": rows})
    assert status == 200
    assert [each["answer"]["target"] for each in found["rows"]] == [sent[row["id"]] for row in rows]
    status, one = ask(port, body=rows[0])
    assert status == 200
    assert one["prediction"]["label"] == pytest.approx(float(sent[rows[0]["id"]]), abs=1e-4)
    assert one["spread"]["label"] > 0
    assert set(one["members"]) == {"linear", "tiny"}
    assert set(one["disagree"]) <= set(one["members"])


@pytest.mark.parametrize(("apart", "disagree"), [(1.0, ["low", "high"]), (0.1, [])])
def test_members_disagree_beyond_what_learners_of_one_member_do(trained, apart, disagree):
    """Two members are never further from their mean than all learners are spread."""
    random = np.random.default_rng(0)
    said = {
        name: [2.5 + side * apart + 0.1 * random.normal(size=(1, 1)) for _ in range(5)]
        for name, side in (("low", -1), ("high", 1))
    }
    assert spread_within(said)[0, 0] == pytest.approx(0.1, rel=0.6)
    fitted: Any = SimpleNamespace(
        blend=SimpleNamespace(predict=lambda rows, problem: np.mean(rows, axis=0)),
        rows=lambda means, table: means,
        limits=None,
    )
    competition = read_section(Competition, trained / "configs" / "default.yaml")
    table = Table(ids=np.array(["a"], dtype=object), texts=np.array([["x", "y"]], dtype=object))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.serve.telling.answers", lambda *_: {"target": ["2.5"]})
        (told,) = of_numbers(fitted, competition, table, said)
    assert told["disagree"] == disagree


def test_it_says_that_it_is_well_and_how_it_is_used(port):
    assert ask(port, "GET", "/healthz") == (200, {"status": "ok"})
    assert ask(port, "GET", "/readyz") == (200, {"status": "ready"})
    status, page = ask(port, "GET", "/")
    assert status == 200
    assert '"columns": ["sentence_1", "sentence_2"]' in page
    status, described = ask(port, "GET", "/openapi.json")
    body = described["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]
    assert body["schema"]["oneOf"][0]["required"] == ["sentence_1", "sentence_2"]
    status, metrics = ask(port, "GET", "/metrics")
    assert 'foldstack_requests_total{path="/healthz",status="200"}' in metrics


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ("{", 400, "the body is no JSON"),
        ("[" * 9_000, 400, "the body is no JSON"),
        (b"\xff\xfe", 400, "the body is no JSON"),
        ([], 422, "expected one row"),
        ({"rows": []}, 422, "expected one row"),
        ({"rows": [ROW, 7]}, 422, "row 2 is no object with the columns sentence_1, sentence_2"),
        ({"sentence_1": "a"}, 422, "row 1 has no 'sentence_2'"),
        ({**ROW, "sentence_2": None}, 422, "row 1: 'sentence_2' is no text"),
        ({**ROW, "sentence_2": "x" * 501}, 413, "has 501 characters; at most 500"),
        ({"rows": [ROW] * 21}, 413, "21 rows; at most 20"),
        ("x" * 20_001, 413, "the body may have 20,000 bytes"),
    ],
)
def test_what_is_no_request_is_answered_with_a_sentence(port, body, status, said):
    found, content = ask(port, body=body)
    assert found == status
    assert said in content["error"]
    assert len(content["request"]) == 12


@pytest.mark.parametrize("text", ["", " ", "\x00", "😀" * 100, "\ud800", "=1+1", "a" * 500])
def test_texts_of_any_kind_are_answered(port, text):
    status, found = ask(port, body={"sentence_1": text, "sentence_2": text, "more": 1})
    assert status == 200
    assert float(found["answer"]["target"]) == pytest.approx(found["prediction"]["label"])


def test_paths_methods_and_a_body_without_a_length(port):
    assert ask(port, "GET", "/../../etc/passwd")[0] == 404
    assert ask(port, "GET")[0] == 405
    assert ask(port, "DELETE")[0] == 405
    chunks = iter([b"x" * 15_000, b"x" * 15_000])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("POST", "/predict", chunks, encode_chunked=True)
    assert connection.getresponse().status == 413


def test_a_slow_client_is_cut_off_and_keeps_nobody_waiting(port):
    with socket.create_connection(("127.0.0.1", port)) as slow:
        slow.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        assert ask(port, body=ROW)[0] == 200
        slow.settimeout(20)
        assert b"408" in slow.recv(1000).split(b"\r\n")[0]


def test_the_token_is_asked_for_before_anything_is_read(bundles, caplog):
    served = Served(folder=str(bundles / "quick"), limits=LIMITS, hosts=["127.0.0.1"])
    caplog.set_level("INFO", LOG.name)
    with serving(make_app(served, SECRET)) as port:
        for given in ({}, {"authorization": "Bearer "}, {"authorization": f"Bearer {SECRET[:-1]}"}):
            assert ask(port, body="x" * 30_000, **given)[0] == 401
        assert ask(port, body=ROW, authorization=SECRET)[0] == 401
        assert ask(port, body=ROW, authorization=f"Bearer {SECRET}")[0] == 200
        assert ask(port, "GET", "/metrics")[0] == 401
        assert ask(port, "GET", "/healthz")[0] == 200
        assert ask(port, "GET", "/openapi.json", authorization=f"Bearer {SECRET}")[0] == 404
        assert ask(port, "GET", "/healthz", host="evil")[0] == 400
    assert '"status": 401' in caplog.text
    assert SECRET not in caplog.text
    assert "a cat sleeps" not in caplog.text


def test_a_worker_reads_what_it_serves_from_its_environment_and_logs(bundles, monkeypatch, capsys):
    served = Served(folder=str(bundles / "quick"), limits=Limits(rows=1), hosts=["x"])
    monkeypatch.setenv("FOLDSTACK_SERVE", served.written())
    monkeypatch.setenv("FOLDSTACK_TOKEN", SECRET)
    monkeypatch.setattr(LOG, "handlers", [])
    monkeypatch.setattr(LOG, "propagate", True)
    with serving(of_environment()) as port:
        sent = {"authorization": f"Bearer {SECRET}", "host": "x"}
        assert ask(port, body={"rows": [ROW] * 2}, **sent)[0] == 413
        assert ask(port, body=ROW, host="x")[0] == 401
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["event"] for line in lines] == ["ready", "request", "request", "stopped"]
    assert [line["status"] for line in lines[1:3]] == [413, 401]


def test_too_many_rows_and_too_long_a_wait(bundles, monkeypatch):
    held = threading.Event()
    real = Engine.answer

    def answer(engine, table):
        if len(table) == 2:  # not the one that warms up
            held.wait(20)
        return real(engine, table)

    monkeypatch.setattr(Engine, "answer", answer)
    limits = Limits(seconds=0.3, waiting=2)
    with serving(make_app(Served(folder=str(bundles / "quick"), limits=limits))) as port:
        status, content = ask(port, body={"rows": [ROW] * 3})
        assert (status, content["error"]) == (429, "2 rows wait already; come again in a moment")
        status, content = ask(port, body={"rows": [ROW] * 2})
        assert (status, content["error"]) == (504, "no answer within 0.3 s")
        held.set()
        assert 200 in (ask(port, body=ROW)[0] for _ in range(50))


def test_what_comes_while_rows_are_predicted_is_predicted_together():
    sizes, held = [], threading.Event()

    def answer(rows):
        held.wait(20)
        return [{"row": row} for row in rows]

    async def all_at_once():
        batches = Batches(answer, most_rows=4, most_waiting=7, told=sizes.append)
        batches.start()
        first = asyncio.create_task(batches.ask([0], 20))
        await asyncio.sleep(0.05)
        others = [asyncio.create_task(batches.ask([n, n], 20)) for n in (1, 2, 3)]
        await asyncio.sleep(0.05)
        with pytest.raises(Full):
            await batches.ask([4, 4], 20)
        others[0].cancel()
        await asyncio.sleep(0)
        held.set()
        found = await asyncio.gather(first, *others[1:])
        await batches.stop()
        return found

    found = asyncio.run(all_at_once())
    assert found == [[{"row": 0}], [{"row": 2}] * 2, [{"row": 3}] * 2]
    assert sizes == [1, 4]


def test_a_batch_that_fails_fails_its_requests_and_no_others():
    def answer(rows):
        if rows == ["bad"]:
            raise ValueError("no")
        return [{}] * len(rows)

    async def both():
        batches = Batches(answer, 1, 9)
        batches.start()
        found = await asyncio.gather(
            batches.ask(["bad"], 9), batches.ask(["good"], 9), return_exceptions=True
        )
        await batches.stop()
        return found

    bad, good = asyncio.run(both())
    assert isinstance(bad, ValueError)
    assert good == [{}]


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["rows", "text", "x"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.too_slow])
@given(JSON)
def test_any_json_gives_rows_or_a_sentence(value):
    with contextlib.suppress(Refused):  # anything else that is raised fails here
        rows, _ = rows_of(json.dumps(value).encode(), ["text"], Limits())
        assert rows
        assert all(isinstance(row["text"], str) for row in rows)


def test_files_that_change_are_seen_at_the_start_and_later(quick, capsys):
    with serving(make_app(Served(folder=str(quick)))) as port:
        assert ask(port, "GET", "/readyz")[0] == 200
        path = quick / "members" / "linear" / "seed-42" / "fold-0" / "linear.npz"
        os.utime(path, (1, 1))
        assert ask(port, "GET", "/readyz")[0] == 200, "a date alone changes nothing"
        path.write_bytes(path.read_bytes()[:-1] + b"x")
        status, content = ask(port, "GET", "/readyz")
        assert (status, content["error"]) == (
            503,
            "a file of the bundle has changed since it was loaded",
        )
        assert ask(port, "GET", "/healthz")[0] == 200
    capsys.readouterr()
    assert run(main, [str(quick), "--port", "0"]) == 5
    assert "changed since the bundle was made: members/linear/seed-42" in capsys.readouterr().err


def test_beyond_this_machine_a_token_is_needed(quick, capsys, monkeypatch, tmp_path):
    monkeypatch.delenv("FOLDSTACK_TOKEN", raising=False)
    assert run(main, [str(quick), "--host", "0.0.0.0"]) == 2
    assert "listens beyond this machine" in capsys.readouterr().err
    (tmp_path / "token").write_text("short\n")
    assert run(main, [str(quick), "--token-file", str(tmp_path / "token")]) == 2
    assert "the token has 5 characters, expected 32 or more" in capsys.readouterr().err


@pytest.mark.nightly
def test_sigterm_lets_a_request_finish_and_a_kill_leaves_the_bundle_whole(quick):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    argv = [sys.executable, "-m", "pipeline.serve", str(quick), "--port", str(port)]
    body = json.dumps(ROW).encode()
    for ending in (signal.SIGTERM, signal.SIGKILL):
        child = subprocess.Popen(argv, env=environment(), stderr=subprocess.PIPE, text=True)
        assert child.stderr is not None
        while '"ready"' not in (line := child.stderr.readline()):
            assert line, "it ended"
        client = None
        while client is None:
            try:
                client = socket.create_connection(("127.0.0.1", port))
            except ConnectionRefusedError:
                time.sleep(0.05)
        with client:
            head = (
                f"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            client.sendall(head.encode() + body[:5])
            time.sleep(0.3)
            child.send_signal(ending)
            time.sleep(0.3)
            if ending == signal.SIGTERM:
                client.sendall(body[5:])
                assert b" 200 " in client.recv(2000).split(b"\r\n")[0]
                assert child.wait(30) == 143
                assert '"stopped"' in child.stderr.read()
            else:
                assert client.recv(2000) == b""
                assert child.wait(30) == -signal.SIGKILL
        child.stderr.close()
    check_files(quick)


def test_what_is_wrong_with_one_request_is_told_to_no_other():
    def answer(rows):
        if any("bad" in row["text"] for row in rows):
            raise ValueError("bad")
        return [{"answer": row["text"]} for row in rows]

    async def run_all():
        batches = Batches(answer, 10, 10)
        asked = [
            asyncio.create_task(batches.ask([{"text": each}], 5)) for each in ("a", "bad", "b")
        ]
        await asyncio.sleep(0)  # all wait: they are one batch
        batches.start()
        found = await asyncio.gather(*asked, return_exceptions=True)
        await batches.stop()
        return found

    first, bad, last = asyncio.run(run_all())
    assert (first, last) == ([{"answer": "a"}], [{"answer": "b"}])
    assert isinstance(bad, ValueError)
