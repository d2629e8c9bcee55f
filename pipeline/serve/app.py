"""A bundle over HTTP.

    POST /predict    one row, {"title": "…"}, or many, {"rows": [{…}, {…}]}
    GET /healthz     the process answers; /readyz: so do its learners, and their files are unchanged
    GET /metrics     for Prometheus
    GET /            a page to try it by hand; /openapi.json: both where they are asked for

No request names a file, a model or an address; an error says what is wrong with the request and
nothing of the machine.
"""

import asyncio
import base64
import hashlib
import json
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.middleware.trustedhost import TrustedHostMiddleware
from fastapi.responses import HTMLResponse, JSONResponse
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)

from pipeline import __version__
from pipeline.base.errors import DataError, PipelineError
from pipeline.serve.bundle import Bundle, check_files, open_bundle
from pipeline.serve.engine import Batches, Engine, Full, Row
from pipeline.serve.guard import App, Guard, Limits, Refused, hashed, log, log_to_stderr

SETTINGS, TOKEN = "FOLDSTACK_SERVE", "FOLDSTACK_TOKEN"
"""Environment variables by which a worker knows what it serves, and its token."""
SEVERAL = "PROMETHEUS_MULTIPROC_DIR"
"""Set where several workers count together."""


@dataclass(frozen=True, kw_only=True)
class Served:
    """What is served, and how."""

    folder: str
    limits: Limits = field(default_factory=Limits)
    hosts: list[str] = field(default_factory=lambda: ["*"])
    """Names by which clients may call the server."""
    page: bool = False
    """Whether there is a page, and the description of the interface."""
    log_texts: bool = False

    def written(self) -> str:
        """For an environment variable."""
        return json.dumps(asdict(self))

    @classmethod
    def read(cls, text: str) -> "Served":
        """What `written` gave."""
        content = json.loads(text)
        return cls(**{**content, "limits": Limits(**content["limits"])})


class Counts:
    """The server's metrics."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        made: dict[str, Any] = {"registry": self.registry}
        self.requests = Counter(
            "foldstack_requests", "Requests by path and status", ["path", "status"], **made
        )
        self.rows = Counter("foldstack_rows", "Rows that were predicted", **made)
        self.seconds = Histogram("foldstack_predict_seconds", "From request to answer", **made)
        sizes = (1, 2, 4, 8, 16, 32, 64, 128, 256)
        self.batches = Histogram("foldstack_batch_rows", "Rows of a batch", buckets=sizes, **made)
        self.waiting = Gauge(
            "foldstack_waiting_rows", "Rows in the queue", multiprocess_mode="livesum", **made
        )

    def page(self) -> bytes:
        """As Prometheus reads it: of all workers, where there are several."""
        if SEVERAL not in os.environ:
            return generate_latest(self.registry)
        together = CollectorRegistry()
        multiprocess.MultiProcessCollector(together)
        return generate_latest(together)


class Files:
    """Whether the bundle's files are still those that were loaded."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.seen, self.problem = folder, self._stamps(folder), ""

    def _stamps(self, folder: Path) -> dict[str, tuple[int, int]]:
        files = (path for path in folder.rglob("*") if path.is_file())
        return {
            str(path): (path.stat().st_mtime_ns, path.stat().st_size)
            for path in files
            if "__pycache__" not in path.parts
        }

    def look(self) -> str:
        """What is wrong, or nothing: hashed again only where a date or a size is another."""
        if self.problem:
            return self.problem
        try:
            stamps = self._stamps(self.folder)
            if stamps != self.seen:
                check_files(self.folder)
                self.seen = stamps
        except (PipelineError, OSError) as error:
            log("changed", problem=str(error))
            self.problem = "a file of the bundle has changed since it was loaded"
        return self.problem


def rows_of(
    content: bytes, columns: Sequence[str], limits: Limits, lists: bool = False
) -> tuple[list[Row], bool]:
    """The rows of a request, and whether it is a single one; Refused, with a sentence, otherwise.
    With *lists* a text may come as the list of its units.

    >>> rows_of(b'{"text": "a"}', ["text"], Limits())
    ([{'text': 'a'}], True)
    """
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        raise Refused(400, "the body is no JSON") from None
    single = isinstance(body, dict) and "rows" not in body
    rows = [body] if single else body.get("rows") if isinstance(body, dict) else None
    if not isinstance(rows, list) or not rows:
        raise Refused(422, f'expected one row, {{"{columns[0]}": …}}, or {{"rows": [{{…}}, …]}}')
    if len(rows) > limits.rows:
        raise Refused(413, f"{len(rows):,} rows; at most {limits.rows:,} in a request")
    numbered = enumerate(rows, start=1)
    return [_row(row, number, columns, limits, lists) for number, row in numbered], single


def _row(row: Any, number: int, columns: Sequence[str], limits: Limits, lists: bool) -> Row:
    if not isinstance(row, dict):
        raise Refused(422, f"row {number} is no object with the columns {', '.join(columns)}")
    found = {}
    for column in columns:
        if column not in row:
            raise Refused(422, f"row {number} has no {column!r}; expected {', '.join(columns)}")
        value = row[column]
        if isinstance(value, int | float) and not isinstance(value, bool):
            value = str(value)
        if lists and isinstance(value, list) and all(isinstance(each, str) for each in value):
            value = json.dumps(value, ensure_ascii=False)
        if not isinstance(value, str):
            raise Refused(422, f"row {number}: {column!r} is no text")
        if len(value) > limits.characters:
            most = f"at most {limits.characters:,}"
            raise Refused(413, f"row {number}: {column!r} has {len(value):,} characters; {most}")
        found[column] = value
    return found


def described(bundle: Bundle, columns: Sequence[str]) -> dict[str, Any]:
    """The body of /predict for OpenAPI."""
    row = {
        "type": "object",
        "required": list(columns),
        "properties": {column: {"type": "string"} for column in columns},
        "example": dict.fromkeys(columns, "…"),
    }
    many = {
        "type": "object",
        "required": ["rows"],
        "properties": {"rows": {"type": "array", "items": row, "minItems": 1}},
    }
    return {
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"oneOf": [row, many]}}},
        }
    }


def page_of(about: dict[str, Any]) -> tuple[str, str]:
    """The page to try it by hand, and its Content-Security-Policy: no script runs but its own, and
    nothing is asked but this server."""
    page = Path(__file__).with_name("page.html").read_text(encoding="utf-8")
    script = page[page.rindex("<script>") + len("<script>") : page.rindex("</script>")]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; "
        "img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
    return page.replace("{{ABOUT}}", json.dumps(about).replace("<", "\\u003c")), policy


def make_app(served: Served, token: str = "") -> App:
    """The application; raises what `open_bundle` and `Engine` raise."""
    folder = Path(served.folder)
    bundle = open_bundle(folder)
    files, engine, counts = Files(folder), Engine(bundle), Counts()

    def answered(rows: Sequence[Row]) -> list[dict[str, Any]]:
        return engine.answer(engine.table(rows))

    example = json.dumps(["warm", "up"]) if engine.lists else "warm up"
    answered([dict.fromkeys(engine.columns, example)])
    limits, columns = served.limits, engine.columns
    state: dict[str, Batches] = {}

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        state["batches"] = Batches(answered, limits.batch, limits.waiting, counts.batches.observe)
        state["batches"].start()
        log("ready", bundle=bundle.about["submission"], process=os.getpid())
        yield
        await state.pop("batches").stop()
        log("stopped", process=os.getpid())

    app = FastAPI(
        title=bundle.about["submission"],
        version=__version__,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json" if served.page else None,
    )
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=served.hosts)

    @app.post("/predict", openapi_extra=described(bundle, columns))
    async def predict(request: Request) -> JSONResponse:
        """Answer, how sure it is, what each member says and who disagrees, for each row."""
        rows, single = rows_of(await request.body(), columns, limits, engine.lists)
        if served.log_texts:
            log("texts", id=request.scope["request_id"], rows=rows)
        counts.waiting.set(state["batches"].rows + len(rows))
        try:
            with counts.seconds.time():
                found = await state["batches"].ask(rows, limits.seconds)
        except Full:
            waits = f"{limits.waiting:,} rows wait already"
            raise Refused(429, f"{waits}; come again in a moment") from None
        except TimeoutError:
            raise Refused(504, f"no answer within {limits.seconds:g} s") from None
        except DataError as error:
            raise Refused(422, " ".join(str(error).split())) from None
        finally:
            counts.waiting.set(state["batches"].rows)
        counts.rows.inc(len(rows))
        return JSONResponse(found[0] if single else {"rows": found})

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """The process answers."""
        return {"status": "ok"}

    @app.get("/readyz")
    async def readyz() -> dict[str, str]:
        """So do its learners, and their files are unchanged."""
        if problem := await asyncio.to_thread(files.look):
            raise Refused(503, problem)
        return {"status": "ready"}

    @app.get("/metrics")
    async def metrics() -> Response:
        """For Prometheus."""
        return Response(counts.page(), media_type=CONTENT_TYPE_LATEST)

    if served.page:
        about = {"columns": columns, "name": bundle.about["submission"], "lists": engine.lists}
        shown, policy = page_of(about)

        @app.get("/", include_in_schema=False)
        async def by_hand() -> HTMLResponse:
            return HTMLResponse(shown, headers={"content-security-policy": policy})

    _say_what_is_wrong(app)
    known = {"/predict", "/healthz", "/readyz", "/metrics", "/", "/openapi.json"}

    def counted(path: str, status: int) -> None:
        counts.requests.labels(path if path in known else "other", status).inc()

    return Guard(app, limits, hashed(token) if token else None, counted)


def _say_what_is_wrong(app: FastAPI) -> None:
    """A refused request gets its sentence; a bug its number, for the log has the rest."""

    @app.exception_handler(Refused)
    async def refused(request: Request, error: Refused) -> JSONResponse:
        said = {"error": error.sentence, "request": request.scope["request_id"]}
        again = {"retry-after": "1"} if error.status in (429, 503) else None
        return JSONResponse(said, status_code=error.status, headers=again)

    @app.exception_handler(Exception)
    async def broken(request: Request, error: Exception) -> JSONResponse:
        log("error", id=request.scope["request_id"], kind=type(error).__name__)
        said = {"error": "this went wrong here", "request": request.scope["request_id"]}
        return JSONResponse(said, status_code=500)


def of_environment() -> App:
    """The application of a worker process."""
    log_to_stderr()
    return make_app(Served.read(os.environ[SETTINGS]), os.environ.get(TOKEN, ""))
