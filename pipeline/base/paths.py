"""Where every artefact lives. Pure: nothing here touches the disk.

Names that come from people (competitions, models, hub ids) are mapped to safe file names, so no
name can lead outside its folder.
"""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

SAFE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,78}[A-Za-z0-9_-])?")  # Windows drops a last dot
RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)
"""Device names on Windows, whatever their suffix."""
RACE = "race.jsonl"
"""Beside the runs of a competition: what pipeline.race has bought."""
TUNE, STUDIES = "tune", "studies.db"
"""The folder in runs/ that holds the trials of pipeline.tune; the studies in its folders."""


def safe_name(name: str) -> str:
    """*name* if it is a safe file name, else a safe form of it with a hash that keeps it unique.

    >>> safe_name("minilm"), safe_name("klue/roberta-large")
    ('minilm', 'klue_roberta-large-d67e9a')
    """
    if SAFE.fullmatch(name) and not RESERVED.fullmatch(name) and ".." not in name:
        return name
    cleaned = re.sub(r"\.\.+|[^A-Za-z0-9._-]", "_", name).strip("._-")[:60] or "run"
    if RESERVED.fullmatch(cleaned):
        cleaned = f"run_{cleaned}"
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{cleaned}-{digest[:6]}"


class Part(NamedTuple):
    """One training: a seed, a repeat and the fold held out."""

    seed: int
    repeat: int
    fold: int

    @property
    def name(self) -> str:
        """Names its files below the run's folder, and the part in run.json.

        >>> Part(42, 0, 3).name, Part(42, 1, 3).name
        ('seed-42/fold-3', 'seed-42/repeat-1-fold-3')
        """
        return f"seed-{self.seed}/{part_name(self.repeat, self.fold)}"

    @property
    def said(self) -> str:
        """For a sentence.

        >>> Part(42, 0, 3).said, Part(42, 1, 3).said
        ('fold 3 (seed 42)', 'fold 3 (seed 42, repeat 1)')
        """
        repeat = f", repeat {self.repeat}" if self.repeat else ""
        return f"fold {self.fold} (seed {self.seed}{repeat})"


@dataclass(frozen=True)
class Paths:
    """The files of one competition under one root."""

    root: Path
    competition: str
    """The competition's name, as in its config."""

    @property
    def _name(self) -> str:
        return safe_name(self.competition)

    @property
    def folds_csv(self) -> Path:
        """The frozen folds: id, fold, group."""
        return self.root / "folds" / f"{self._name}.csv"

    @property
    def passport(self) -> Path:
        """What the frozen folds were made from."""
        return self.root / "folds" / f"{self._name}.json"

    @property
    def runs(self) -> Path:
        """Folder of this competition's runs: predictions only, small enough to share."""
        return self.root / "oof" / self._name

    def run(self, run: str) -> Path:
        """Folder of one run's predictions."""
        return self.runs / safe_name(run)

    def run_manifest(self, run: str) -> Path:
        """Written last: it exists only when the run is complete."""
        return self.run(run) / "run.json"

    def fold_predictions(self, run: str, seed: int, repeat: int, fold: int) -> Path:
        """The .npz of one fold; its manifest lies beside it as .json."""
        return self.run(run) / f"seed-{seed}" / f"{part_name(repeat, fold)}.npz"

    @property
    def workspaces(self) -> Path:
        """Folder of this competition's weights and logs."""
        return self.root / "runs" / self._name

    def fold_workspace(self, run: str, seed: int, repeat: int, fold: int) -> Path:
        """Folder of one fold's `Workspace`: large, private to a machine, not in git."""
        return self.workspaces / safe_name(run) / f"seed-{seed}" / part_name(repeat, fold)

    def tracked(self, group: str) -> Path:
        """Where account is kept of what a tracker was told of a run: not the run's own folder, so
        that training it anew does not forget it."""
        return self.workspaces / ".tracked" / safe_name(group)

    @property
    def tokens(self) -> Path:
        """Folder of the token stores, which all competitions of the root share."""
        return self.root / "runs" / "tokens"

    @property
    def submissions(self) -> Path:
        """Folder of leaderboard files."""
        return self.root / "submissions"


def _nothing() -> None:
    """Nobody else can hold the workspace."""


@dataclass(frozen=True)
class Workspace:
    """Where one fold is trained."""

    folder: Path
    fingerprint: str = ""
    """A digest of all that the training depends on: nothing made under another is taken up."""
    check: Callable[[], None] = _nothing
    """Raises BusyError where the claim on the folder was lost: then nothing may be written."""

    @property
    def logs(self) -> Path:
        """TensorBoard events."""
        return self.folder / "logs"

    @property
    def checkpoints(self) -> Path:
        """States to go on from; empty once the fold is finished."""
        return self.folder / "checkpoints"

    @property
    def answers(self) -> Path:
        """What was predicted so far, where that takes long; gone once the fold is finished."""
        return self.folder / "answers"

    @property
    def weights(self) -> Path:
        """The trained learner."""
        return self.folder / "weights"

    @property
    def trained(self) -> Path:
        """Written after the weights: says what they were trained under."""
        return self.folder / "trained.json"

    @property
    def events(self) -> Path:
        """What happened, a JSON object a line."""
        return self.folder / "events.jsonl"

    @property
    def progress(self) -> Path:
        """How far the training is, replaced every few seconds; gone once the fold is finished."""
        return self.folder / "progress.json"

    @property
    def stages(self) -> Path:
        """Trainings that come before the fold's own; gone once the fold is finished."""
        return self.folder / "stages"

    def stage(self, name: str) -> "Workspace":
        """Where one of them is trained."""
        digest = hashlib.sha256(f"{self.fingerprint} {name}".encode()).hexdigest()
        return Workspace(self.stages / name, digest, self.check)

    @property
    def lease(self) -> Path:
        """The claim of whoever trains the fold."""
        return self.folder / "fold.lease"


def part_name(repeat: int, fold: int) -> str:
    """The file stem of one fold of one repeat.

    >>> part_name(0, 3), part_name(1, 3)
    ('fold-3', 'repeat-1-fold-3')
    """
    return f"fold-{fold}" if repeat == 0 else f"repeat-{repeat}-fold-{fold}"
