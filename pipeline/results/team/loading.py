"""From a config to the contest that files are held against."""

from pathlib import Path

from pipeline.config import Competition
from pipeline.data.folds import read_frozen
from pipeline.data.tables import load
from pipeline.files import read_json
from pipeline.paths import Paths
from pipeline.results.metrics import get_metric
from pipeline.results.team.contest import Contest


def load_contest(competition: Competition, root: Path) -> tuple[Paths, Contest]:
    """Read tables, frozen folds and passport; see `load` and `read_frozen` for what they raise."""
    paths = Paths(root, competition.name)
    tables = load(competition, root)
    contest = Contest(
        competition=competition,
        metric=get_metric(competition.task.metric, competition.task, root),
        tables=tables,
        folds=read_frozen(competition, paths, tables.train),
        digests=read_json(paths.passport)["digests"],
    )
    return paths, contest
