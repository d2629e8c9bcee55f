"""Records at Weights & Biases: a project a competition, a group a run, a job a record.

With a key (WANDB_API_KEY, or what `wandb login` left) records go to the server as they grow;
without one, or with WANDB_MODE=offline, each is written to the disk once it has ended, for
`wandb sync`. W&B cannot go on with a record that was written offline
(github.com/wandb/wandb/issues/2423), and of two with the same id the one sent last replaces the
other: so it is written as a whole again, and the one before is deleted.
"""

import contextlib
import netrc
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pipeline.base.errors import UsageError
from pipeline.base.paths import Paths, safe_name
from pipeline.experiments.services import Change

if TYPE_CHECKING:
    from pipeline.experiments.records import Record

INSTALL = 'pip install "foldstack[wandb]"'
SERVER = "https://api.wandb.ai"
KINDS = {"fold": "fold", "run": "pooled", "submission": "ensemble"}
"""What the job of a record is called."""
STEP = "step"
"""The column that curves are drawn over: W&B's own counter goes up with each call."""
INIT_SECONDS = 30.0


class WeightsAndBiases:
    """See `pipeline.experiments.services.Service`."""

    @staticmethod
    def check() -> None:
        """The client; it needs no server."""
        if find_spec("wandb") is None:
            raise UsageError(f"wandb is not installed. Install it: {INSTALL}")
        if mode() not in ("online", "offline"):
            raise UsageError(
                f"WANDB_MODE is {mode()}: nothing would be recorded. Expected online or offline"
            )

    def __init__(self, paths: Paths) -> None:
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        os.environ.setdefault("WANDB_SILENT", "true")
        self._paths, self._project = paths, safe_name(paths.competition)
        self.whole = mode() == "offline"
        entity = os.environ.get("WANDB_ENTITY", "")
        folder = paths.tracked("wandb").parent
        if self.whole:
            self.where, self.link = "offline", f"wandb sync {folder}/*/wandb/offline-run-*"
        else:
            self.where = f"{server()} {entity}".strip()
            self.link = f"project {self._project} of {self.where}"
        self._open: dict[str, Any] = {}

    def begin(self, record: "Record", known: str | None, parent: str | None) -> str:
        """See Service.begin; one that was deleted at the server is made anew under its id."""
        identity = known or secrets.token_hex(4)
        if not self.whole:
            self._run(identity, record)
        return identity

    def _run(self, identity: str, record: "Record") -> Any:
        """W&B's own run, open from here on."""
        if identity in self._open:
            return self._open[identity]
        import wandb

        folder = self._paths.tracked(record.group)
        # of what this process is, W&B shall know nothing: it is not the training
        quiet = wandb.Settings(
            console="off",
            host="",
            init_timeout=INIT_SECONDS,
            disable_git=True,
            disable_code=True,
            x_disable_machine_info=True,
            x_disable_meta=True,
            x_disable_stats=True,
            x_save_requirements=False,
        )
        run = wandb.init(
            project=self._project,
            group=record.group,
            job_type=KINDS[record.kind],
            name=record.key,
            id=identity,
            resume=None if self.whole else "allow",
            dir=str(folder),
            mode="offline" if self.whole else "online",
            reinit="create_new",
            settings=quiet,
        )
        run.define_metric(STEP, hidden=True)
        run.define_metric("*", step_metric=STEP)
        self._open[identity] = run
        return run

    def take(self, identity: str, record: "Record", change: Change) -> None:
        """See Service.take."""
        folder = self._paths.tracked(record.group) / "wandb"
        before = list(folder.glob(f"offline-run-*-{identity}")) if self.whole else []
        with _data_below(folder / f"files-{identity}", self.whole):
            run = self._run(identity, record)
            run.config.update({**change.settings, **change.facts}, allow_val_change=True)
            rows: dict[int, dict[str, float]] = {}
            for tag, step, value in change.points:
                rows.setdefault(step, {})[tag] = value
            for step, values in rows.items():
                run.log({STEP: step, **values})
            run.summary.update(dict(change.numbers))
            if change.artifacts:
                self._log_artifacts(run, record, change)
            if change.state != "running":
                run.summary.update({"state": change.state})
                run.finish(exit_code=0 if change.state == "finished" else 1)
                del self._open[identity]
        for path in before:
            shutil.rmtree(path, ignore_errors=True)

    def _log_artifacts(self, run: Any, record: "Record", change: Change) -> None:
        import wandb

        from pipeline.experiments.records import SUBMISSIONS

        plain = record.key.replace(SUBMISSIONS, "submission").replace("/", "-")
        made = wandb.Artifact(safe_name(plain), type=record.kind)
        with tempfile.TemporaryDirectory() as folder:
            for name, artifact in change.artifacts.items():
                path = Path(folder) / name
                artifact.write(path)
                made.add_file(str(path))  # copied
        run.log_artifact(made)

    def close(self) -> None:
        """See Service.close."""
        for run in self._open.values():
            run.finish()
        self._open.clear()


def mode() -> str:
    """online or offline: what WANDB_MODE says; else online where there is a key."""
    if asked := os.environ.get("WANDB_MODE"):
        return asked
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return "online"
    with contextlib.suppress(OSError, netrc.NetrcParseError):
        if netrc.netrc(os.environ.get("NETRC")).authenticators(urlsplit(server()).hostname or ""):
            return "online"
    return "offline"


def server() -> str:
    """The address of the server."""
    return os.environ.get("WANDB_BASE_URL", SERVER)


@contextlib.contextmanager
def _data_below(folder: Path, whole: bool) -> Iterator[None]:
    """Inside, W&B copies what belongs to a record there, not into the home folder; of a *whole*
    record the copies of the one before are deleted first."""
    if whole:
        shutil.rmtree(folder, ignore_errors=True)
    kept = {name: os.environ.get(name) for name in ("WANDB_DATA_DIR", "WANDB_CACHE_DIR")}
    os.environ |= {name: value or str(folder) for name, value in kept.items()}
    try:
        yield
    finally:
        for name, value in kept.items():
            if value is None:
                del os.environ[name]
