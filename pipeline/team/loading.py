"""From a config to the contest that files are held against."""

from pathlib import Path

from pipeline.base.config import Competition
from pipeline.base.files import read_json
from pipeline.base.paths import Paths
from pipeline.data.tables import load
from pipeline.folds.frozen import read_frozen
from pipeline.metrics.metric import get_metric
from pipeline.team.competition import Contest


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
