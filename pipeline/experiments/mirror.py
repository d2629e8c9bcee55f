"""Keep the records of a tracker as the disk has them: send what it lacks, remember what it has.

The files are the truth and the tracker mirrors them, so nothing is lost while a server is away, and
a training that was stopped goes on in the record it began. What was sent is kept account of below
runs/COMP/.tracked/; without that account records are begun anew.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

from pipeline.base.errors import BusyError, PipelineError, ResourceError
from pipeline.base.files import commit_json, free_bytes, size_text
from pipeline.base.leases import lease
from pipeline.base.paths import Paths
from pipeline.experiments.records import (
    SUBMISSIONS,
    Artifact,
    Record,
    read_or_none,
    records_of_run,
    records_of_submissions,
)
from pipeline.experiments.services import Change, service_of


class Mirror:
    """The records of one competition at one service."""

    def __init__(
        self,
        name: str,
        paths: Paths,
        min_free_bytes: int = 0,
        trials_of: str = "",
    ) -> None:
        """Nothing is written where less than *min_free_bytes* of the disk are left; *trials_of*
        names the search whose trials the runs are, which end without all folds."""
        self.name, self.paths, self.min_free_bytes = name, paths, min_free_bytes
        self.trials_of = trials_of
        self.service = service_of(name)(paths)
        self.sent: dict[str, str] = {}
        """Key -> state of each record that was begun or added to here."""
        self._claims: dict[str, AbstractContextManager[Any]] = {}
        self._accounts: dict[str, dict[str, Any]] = {}

    def sync(self, runs: Iterable[str], following: bool = False) -> None:
        """Send what is new of *runs*, and of all submissions; raises whatever the service does.

        *following*: a command is at work on them, between two folds too.
        """
        if (free := free_bytes(self.paths.workspaces.parent)) < self.min_free_bytes:
            raise ResourceError(
                f"{size_text(free)} of the disk are free, fewer than the "
                f"{size_text(self.min_free_bytes)} to be left: nothing is written"
            )
        groups = chain(
            ((run, records_of_run(self.paths, run)) for run in runs),
            [(SUBMISSIONS, records_of_submissions(self.paths))],
        )
        for group, records in groups:
            if self._claimed(group):
                for record in records:
                    self._bring(self._seen(record, following))

    def _seen(self, record: Record, following: bool) -> Record:
        """*record* between two folds goes on, and a trial is over with its last."""
        state = record.state
        if record.kind == "run" and state == "stopped" and (following or self.trials_of):
            state = "running" if following else "finished"
        trial = {"trial_of": self.trials_of} if self.trials_of else {}
        return replace(record, state=state, facts={**record.facts, **trial})

    def close(self) -> None:
        """Let go of everything."""
        try:
            self.service.close()
        finally:
            for claim in self._claims.values():
                claim.__exit__(None, None, None)
            self._claims.clear()

    def _claimed(self, group: str) -> bool:
        """Whether this process may write the group's records; another may have claimed them."""
        if group in self._claims:
            return True
        folder = self.paths.tracked(group)
        folder.mkdir(parents=True, exist_ok=True)
        claim = lease(folder / f"{self.name}.lease", f"{group} at {self.name}")
        try:
            claim.__enter__()
        except BusyError:
            return False
        self._claims[group] = claim
        kept = read_or_none(self._account_of(group)) or {}
        mine = kept.get("where") == self.service.where
        self._accounts[group] = kept.get("records", {}) if mine else {}
        return True

    def _bring(self, record: Record) -> None:
        account = self._accounts[record.group]
        entry = account.get(record.key) or {}
        before, now = entry.get("settings"), plain(record.settings)
        if before and now and before != now:
            entry = {}  # trained anew under other settings: another record
        change, whole = difference(entry, record), self.service.whole
        if change is None or (whole and record.state == "running"):
            return
        parent = (account.get(record.group) or {}).get("id") if record.kind == "fold" else None
        identity = self.service.begin(record, entry.get("id"), parent)
        if whole or identity != entry.get("id"):
            entry = account[record.key] = {"id": identity}
            self._commit(record.group)  # first: a record that is not known of is begun twice
            change = difference(entry, record)
            assert change is not None, "of a new record everything is new"
        self.service.take(identity, record, change)
        self.sent[record.key] = record.state
        points = entry.setdefault("points", {})
        for tag, step, value in change.points:
            points.setdefault(tag, {})[str(step)] = value
        entry["settings"] = entry.get("settings") or now
        for name in ("facts", "numbers"):
            entry[name] = entry.get(name, {}) | getattr(change, name)
        signatures = {name: each.signature for name, each in change.artifacts.items()}
        entry["artifacts"] = entry.get("artifacts", {}) | signatures
        entry["state"] = record.state
        self._commit(record.group)

    def _account_of(self, group: str) -> Path:
        return self.paths.tracked(group) / f"{self.name}.json"

    def _commit(self, group: str) -> None:
        content = {"where": self.service.where, "records": self._accounts[group]}
        commit_json(self._account_of(group), content)


def plain(value: Any) -> Any:
    """*value* as JSON gives it back."""
    return json.loads(json.dumps(value, default=str))


def difference(entry: Mapping[str, Any], record: Record) -> Change | None:
    """What *record* has beyond the account *entry* of what was sent; None for nothing."""
    points = [
        (tag, step, value)
        for tag, of_tag in record.curves.items()
        for step, value in of_tag.items()
        if entry.get("points", {}).get(tag, {}).get(str(step)) != value
    ]
    facts, numbers = entry.get("facts", {}), entry.get("numbers", {})
    kept = entry.get("artifacts", {})
    artifacts: Mapping[str, Artifact] = {} if record.state == "running" else record.artifacts
    if all(kept.get(name) == each.signature for name, each in artifacts.items()):
        artifacts = {}
    change = Change(
        settings={} if entry.get("settings") else record.settings,
        facts={name: text for name, text in record.facts.items() if facts.get(name) != text},
        points=sorted(points, key=lambda point: point[1]),
        numbers={name: n for name, n in record.numbers.items() if numbers.get(name) != n},
        artifacts=artifacts,
        state=record.state,
    )
    same = entry.get("state") == record.state
    parts = (change.settings, change.facts, change.points, change.numbers, change.artifacts)
    return None if same and not any(parts) else change


def told(error: BaseException) -> str:
    """What went wrong, on one line: services raise whole pages."""
    text = " ".join(str(error).split()) or type(error).__name__
    text = text if isinstance(error, PipelineError) else f"{type(error).__name__}: {text}"
    return text if len(text) <= 300 else f"{text[:299]}…"


class Attempts:
    """Mirrors that may fail as often as they like, one for each folder that holds runs."""

    def __init__(self, make: Callable[[str], Mirror]) -> None:
        """*make*: the mirror of a folder of the root."""
        self._make = make
        self._mirrors: dict[str, Mirror] = {}
        self.trouble = ""
        """What went wrong last; empty since all went well."""

    def sync(self, runs: Iterable[str], following: bool) -> bool:
        """Whether all of it was sent; *runs* stand below their folders, ./linear."""
        below: dict[str, list[str]] = {".": []}
        for run in list(runs):
            folder, _, name = run.rpartition("/")
            below.setdefault(folder, []).append(name)
        try:
            for folder, names in below.items():
                if folder not in self._mirrors:
                    self._mirrors[folder] = self._make(folder)
                self._mirrors[folder].sync(names, following)
        except Exception as error:  # whatever a service raises, it is tried again
            self.trouble = told(error)
            return False
        self.trouble = ""
        return True

    def close(self) -> None:
        """Let go of the service."""
        for mirror in self._mirrors.values():
            try:
                mirror.close()
            except Exception as error:
                self.trouble = self.trouble or told(error)

    def answer(self) -> dict[str, Any]:
        """How many records were sent, where they are, and what is wrong."""
        mirrors = list(self._mirrors.values())
        return {
            "records": sum(len(mirror.sent) for mirror in mirrors),
            "link": mirrors[0].service.link if mirrors else "",
            "trouble": self.trouble,
        }
