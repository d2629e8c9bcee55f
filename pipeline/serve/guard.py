"""What a request has to pass before anything reads it: token, size, time; and the log line of it.

An ASGI middleware (https://asgi.readthedocs.io/en/latest/specs/www.html), so that a body is never
held whole before it is measured.
"""

import asyncio
import hashlib
import hmac
import json
import logging
import sys
import time
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
LOG = logging.getLogger("pipeline.serve")
OPEN = ("/healthz", "/readyz", "/")
"""Paths that need no token: they hold nothing of the model."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one request may cost."""

    body: int = 1_000_000
    """Bytes."""
    body_seconds: float = 10.0
    """Until the body is there."""
    rows: int = 256
    characters: int = 20_000
    """Of one text."""
    seconds: float = 30.0
    """Until the answer."""
    waiting: int = 1024
    """Rows in the queue."""
    batch: int = 64
    """Rows that are predicted together."""


class Refused(Exception):
    """A request that is answered with a status and a sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status, self.sentence = status, sentence


def hashed(token: str) -> bytes:
    """What is kept of a token."""
    return hashlib.sha256(token.encode()).digest()


class Guard:
    """Wraps an app."""

    def __init__(
        self, app: App, limits: Limits, token: bytes | None, counted: Callable[[str, int], None]
    ) -> None:
        """*token* as `hashed` gives it; None: everybody may ask. *counted*: path and status."""
        self.app, self.limits, self.token, self.counted = app, limits, token, counted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the ASGI specification."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status = time.monotonic(), 500
        scope["request_id"] = uuid.uuid4().hex[:12]

        async def sending(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            self._check(scope)
            body = await self._body(receive)
            replayed = False

            async def once() -> MutableMapping[str, Any]:
                nonlocal replayed
                if replayed:
                    return await receive()
                replayed = True
                return {"type": "http.request", "body": body, "more_body": False}

            await self.app(scope, once, sending)
        except Refused as refused:
            await refuse(refused, str(scope["request_id"]), sending)
        finally:
            self.counted(scope["path"], status)
            log(
                "request",
                id=scope["request_id"],
                method=scope["method"],
                path=scope["path"],
                status=status,
                ms=round((time.monotonic() - began) * 1000, 1),
            )

    def _check(self, scope: Scope) -> None:
        """Token and stated length, before a byte of the body is read."""
        headers = {name.lower(): value for name, value in scope["headers"]}
        if self.token is not None and scope["path"] not in OPEN:
            given = headers.get(b"authorization", b"").decode("latin-1")
            known = hashed(given.removeprefix("Bearer "))
            if not given.startswith("Bearer ") or not hmac.compare_digest(known, self.token):
                raise Refused(401, "send the token: Authorization: Bearer TOKEN")
        stated = headers.get(b"content-length", b"0")
        if stated.isdigit() and int(stated) > self.limits.body:
            raise Refused(413, self._too_large())

    async def _body(self, receive: Receive) -> bytes:
        found = bytearray()
        try:
            async with asyncio.timeout(self.limits.body_seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise Refused(499, "the client went away")
                    found += message.get("body", b"")
                    if len(found) > self.limits.body:
                        raise Refused(413, self._too_large())
                    if not message.get("more_body"):
                        return bytes(found)
        except TimeoutError:
            wait = f"{self.limits.body_seconds:g} s"
            raise Refused(408, f"the body was not there within {wait}; send it at once") from None

    def _too_large(self) -> str:
        return f"the body may have {self.limits.body:,} bytes; send fewer rows at a time"


async def refuse(refused: Refused, request: str, send: Send) -> None:
    """Answer with the sentence; the connection ends, as its body may not have been read."""
    content = json.dumps({"error": refused.sentence, "request": request}).encode()
    headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
    if refused.status in (429, 503):
        headers.append((b"retry-after", b"1"))
    if refused.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "http.response.body", "body": content})


def log_to_stderr() -> None:
    """Have this process write its lines to stderr: every worker does so for itself."""
    LOG.setLevel(logging.INFO)
    LOG.propagate = False
    if not any(isinstance(each, logging.StreamHandler) for each in LOG.handlers):
        LOG.addHandler(logging.StreamHandler(sys.stderr))


def log(event: str, **facts: Any) -> None:
    """One line of JSON; texts are never among the *facts* unless they were asked for."""
    LOG.info(json.dumps({"event": event, "time": round(time.time(), 3), **facts}))
