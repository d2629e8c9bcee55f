"""What happened to a fold, a JSON object a line, kept through every kill of its process."""

import contextlib
import json
from pathlib import Path
from typing import Any

from pipeline.base.fault_injection import reach
from pipeline.base.files import raise_resource_error
from pipeline.models import Watch


class Journal:
    """A Watch that hands everything on to another and writes the events down."""

    def __init__(self, path: Path, watch: Watch) -> None:
        self.path, self.watch = path, watch

    def phase(self, name: str, total: int, done: int = 0, per_epoch: int = 0) -> None:
        """Hand on."""
        self.watch.phase(name, total, done, per_epoch)

    def advance(self, steps: int = 1, rows: int = 0, tokens: int = 0) -> None:
        """Hand on."""
        self.watch.advance(steps, rows, tokens)

    def event(self, what: str, message: str, **facts: Any) -> None:
        """Write it down, then hand on."""
        self.record(what, message, **facts)
        self.watch.event(what, message, **facts)

    def record(self, what: str, message: str, **facts: Any) -> None:
        """Write it down without a word. A line is appended whole or torn, never in between."""
        line = json.dumps({"what": what, "message": message, **facts}, ensure_ascii=False) + "\n"
        reach("event")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            before = self.path.read_bytes() if self.path.exists() else b""
            torn = before != b"" and not before.endswith(b"\n")
            with self.path.open("ab") as stream:
                stream.write(("\n" + line if torn else line).encode())
        except OSError as error:
            raise_resource_error(error, self.path)
            raise

    def entries(self) -> list[dict[str, Any]]:
        """Every event so far; a line that is torn, or could not go into a manifest, is left out."""
        if not self.path.exists():
            return []
        found = []
        # not splitlines: a message may hold other line separators, such as U+2028
        for line in self.path.read_text(encoding="utf-8", errors="replace").split("\n"):
            with contextlib.suppress(ValueError, RecursionError):
                entry = json.loads(line)
                json.dumps(entry, ensure_ascii=False, allow_nan=False).encode()
                if isinstance(entry, dict):
                    found.append(entry)
        return found
