"""Answer rows over HTTP from a bundle.

    python -m pipeline.serve bundle
    FOLDSTACK_TOKEN=… python -m pipeline.serve bundle --host 0.0.0.0 --workers 4

Listens on this machine alone unless told otherwise; beyond it a token is needed (32 characters or
more, in FOLDSTACK_TOKEN or a file, never on the command line), or --insecure. Ctrl-C and SIGTERM
end it once requests that are being answered are done.
"""

import os
import sys
import tempfile
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from pipeline.base.command import run
from pipeline.base.errors import UsageError
from pipeline.base.parser import Parser

LOCAL = ("127.0.0.1", "localhost", "::1")
SHORTEST = 32
"""Characters of a token."""


@cache
def parser() -> Parser:
    """The command's options; --help needs no heavy import."""
    options = Parser("serve", __doc__ or "")
    options.add_argument("bundle", metavar="BUNDLE", help="a folder that pipeline.bundle made")
    options.add_argument("--host", default="127.0.0.1", help="address to listen on")
    options.add_argument("--port", type=int, default=8000, help="0: any that is free")
    options.add_argument(
        "--workers", type=int, default=1, metavar="N", help="processes, each with all learners"
    )
    options.add_argument("--token-file", metavar="PATH", help="instead of FOLDSTACK_TOKEN")
    options.add_argument("--insecure", action="store_true", help="beyond this machine untokened")
    options.add_argument(
        "--allow-host", nargs="+", default=[], metavar="NAME", help="names clients may call it by"
    )
    options.add_argument("--page", action="store_true", help="the page, beyond this machine too")
    options.add_argument("--log-texts", action="store_true", help="texts of requests in the log")
    options.add_argument("--max-body", type=int, default=1_000_000, help="bytes of a request")
    options.add_argument("--max-rows", type=int, default=256, help="rows of a request")
    options.add_argument("--max-characters", type=int, default=20_000, help="of one text")
    options.add_argument("--max-waiting", type=int, default=1024, help="rows in the queue")
    options.add_argument("--max-batch", type=int, default=64, help="rows predicted together")
    options.add_argument("--timeout", type=float, default=30.0, help="seconds until the answer")
    options.add_argument("--body-timeout", type=float, default=10.0, help="until a body is there")
    return options


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    args = parser().read(argv)
    local = args.host in LOCAL
    token = _token(args.token_file)
    if not (local or token or args.insecure):
        raise UsageError(
            f"--host {args.host} listens beyond this machine, and everybody could ask. Set "
            f"FOLDSTACK_TOKEN to {SHORTEST} characters or more (python -c 'import secrets; "
            "print(secrets.token_urlsafe(32))'), or say --insecure"
        )
    for library in ("fastapi", "uvicorn", "prometheus_client"):
        if find_spec(library) is None:
            raise UsageError(
                f'{library} is not installed. Install it: pip install "foldstack[serve]"'
            )
    import uvicorn

    from pipeline.serve.app import SETTINGS, SEVERAL, TOKEN, Served, make_app
    from pipeline.serve.bundle import open_bundle
    from pipeline.serve.guard import Limits, log_to_stderr

    limits = Limits(
        body=args.max_body,
        body_seconds=args.body_timeout,
        rows=args.max_rows,
        characters=args.max_characters,
        seconds=args.timeout,
        waiting=args.max_waiting,
        batch=args.max_batch,
    )
    served = Served(
        folder=str(Path(args.bundle).absolute()),
        limits=limits,
        hosts=[*LOCAL, "[::1]", *args.allow_host] if local else args.allow_host or ["*"],
        page=local or args.page,
        log_texts=args.log_texts,
    )
    os.environ[SETTINGS] = served.written()
    if token:
        os.environ[TOKEN] = token
    settings = {
        "host": args.host,
        "port": args.port,
        "access_log": False,
        "log_level": "warning",
        "server_header": False,
        "timeout_keep_alive": 5,
        "timeout_graceful_shutdown": int(args.timeout) + 5,
        "limit_concurrency": 4 * args.max_waiting,
        "h11_max_incomplete_event_size": 16_384,
    }
    if args.workers == 1:
        log_to_stderr()
        app = make_app(served, token)
        print(f"serving {args.bundle} on http://{args.host}:{args.port}", file=sys.stderr)
        uvicorn.run(app, **settings)
        return 0
    open_bundle(Path(args.bundle))  # a worker that cannot start would be started again and again
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // args.workers)))
    with tempfile.TemporaryDirectory() as counts:
        os.environ[SEVERAL] = counts
        print(f"serving {args.bundle} on http://{args.host}:{args.port}", file=sys.stderr)
        uvicorn.run(
            "pipeline.serve.app:of_environment", factory=True, workers=args.workers, **settings
        )
    return 0


def _token(file: str | None) -> str:
    """The token, or an empty text; UsageError where it is short or cannot be read."""
    token = os.environ.get("FOLDSTACK_TOKEN", "")
    if file is not None:
        try:
            token = Path(file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"--token-file {file} cannot be read: {error}") from error
    if (token or file) and len(token) < SHORTEST:
        raise UsageError(
            f"the token has {len(token)} characters, expected {SHORTEST} or more: python -c "
            "'import secrets; print(secrets.token_urlsafe(32))'"
        )
    return token


if __name__ == "__main__":
    raise SystemExit(run(main))
