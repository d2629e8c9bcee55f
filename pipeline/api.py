"""The commands from a notebook or a script: the same code, with DataFrames.

    import pipeline.api as fs

    fs.init("data/my-competition")
    fs.cv("linear", "klue/roberta-base", time_limit="8h")
    fs.oof()                     # label, fold and every run's prediction, by id
    fs.ensemble()
    fs.report()                  # shown in the notebook

An option of a command is a keyword here: `--only-fold 0 1` is `only_fold=[0, 1]`, a flag is `True`,
a field of the config is `**{"folds.count": 10}`. What a command prints is printed here too. A
mistake raises what ends the command (pipeline.base.errors), with the same sentence.
"""

import base64
import contextlib
import io
import json
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.base import Competition, UsageError
from pipeline.base.command import STOP
from pipeline.base.parser import Parser

if TYPE_CHECKING:
    import pandas as pd

    from pipeline.report.drawn.disk import Disk
    from pipeline.team.competition import Peer

FRAME_PIXELS = 760
Main = Callable[[Sequence[str] | None], int]


@dataclass(frozen=True, kw_only=True)
class Blend:
    """An ensemble: its scores, its members and its file."""

    metric: str
    method: str
    honest: float | None
    """None where a member's own score is in doubt."""
    in_sample: float | None
    gain: float | None
    """Over the best single run, honest."""
    gain_interval: tuple[float, float] | None
    """95 %."""
    members: "pd.DataFrame"
    """A row for each run: score, weight, cost_without (the honest score that is lost)."""
    file: Path | None
    """The submission; None for a dry run."""
    details: Mapping[str, Any] = field(repr=False)
    """All that `pipeline.ensemble --json` prints."""

    def _repr_html_(self) -> str:
        from markupsafe import escape

        members: Any = self.members  # pandas' stubs do not know how it shows itself
        honest = "–" if self.honest is None else f"{self.honest:.4f}"
        head = f"{self.method}: honest {self.metric} {honest}"
        return f"<p><b>{escape(head)}</b><br>{escape(self.file or '')}</p>{members._repr_html_()}"


@dataclass(frozen=True)
class Report:
    """The report of a competition, shown inline where HTML is."""

    path: Path

    def _repr_html_(self) -> str:
        # a document of its own: its style and script touch nothing of the notebook's
        page = base64.b64encode(self.path.read_bytes()).decode("ascii")
        return (
            f'<iframe src="data:text/html;base64,{page}" sandbox="allow-scripts" '
            f'style="width:100%;height:{FRAME_PIXELS}px;border:0"></iframe>'
        )


class Project:
    """One competition under one root; the functions of this module work on the latest one."""

    def __init__(self, config: str | Path | None = None, root: str | Path = ".") -> None:
        """*config*: a file, or the name of one in ROOT/configs; None: ROOT/configs/default.yaml."""
        self.root = Path(root)
        self._place = ["--root", str(root)]
        self._config = [] if config is None else ["--config", str(config)]
        parser = Parser("api", __doc__ or "")
        parser.add_competition()
        self.competition: Competition = parser.competition(
            parser.read([*self._place, *self._config])
        )

    def cv(self, *models: str, **options: Any) -> "pd.DataFrame":
        """Train *models* on every fold, as `pipeline.cv` does; a row for each complete run.

        Columns: pooled (all out-of-fold rows at once), one for each fold, holdout where there is
        one, seconds. A run of which folds are missing (only_fold) has no row.
        """
        import pandas as pd

        from pipeline.cv import main, parser

        answer = self._called(main, parser(), {"model": list(models), "yes": True} | options)
        rows = {name: _scores(run) for name, run in answer["runs"].items()}
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("run")

    def ensemble(self, **options: Any) -> Blend:
        """Blend the runs, score them honestly and write the file, as `pipeline.ensemble` does."""
        import pandas as pd

        from pipeline.ensemble.__main__ import main, parser

        answer = self._called(main, parser(), options)
        scores, file = answer["scores"], answer["submission"]
        columns = ["score", "weight", "cost_without"]
        members = pd.DataFrame(answer["members"]).set_index("name")[columns]
        interval = scores.get("interval_95")
        return Blend(
            metric=scores["metric"],
            method=answer["method"],
            honest=scores.get("honest"),
            in_sample=scores.get("in_sample"),
            gain=scores.get("gain_over_best_single"),
            gain_interval=None if interval is None else (interval[0], interval[1]),
            members=members,
            file=None if file is None else Path(file),
            details=answer,
        )

    def oof(self, *runs: str) -> "pd.DataFrame":
        """(n rows) the label, the fold and the out-of-fold predictions of *runs* (default: every
        complete one), by id, in the order of the fold file.

        Labels and predictions are as in docs/architecture.md: the value; P(positive); for several
        classes the class's number and a column RUN.CLASS for each; 0/1 and RUN.LABEL; of texts
        all right answers, and the best candidate.
        """
        import pandas as pd

        disk, members = self._read(runs)
        truth, ids = disk.contest.truth, disk.contest.ids["train"]
        columns = truth.T if truth.ndim == 2 else [truth]
        found: dict[str, Any] = dict(zip(self.competition.columns.targets, columns, strict=False))
        found["fold"] = disk.folds.fold_of_row[0]
        found |= self._columns({each.name: each.oof for each in members})
        return pd.DataFrame(found, index=pd.Index(ids, name=self.competition.columns.id))

    def test(self, *runs: str) -> "pd.DataFrame":
        """(m rows) the predictions of *runs* for the test rows, by id, each the mean of its folds'
        learners, or the best candidate of the first of them; columns as in `oof`."""
        import pandas as pd

        disk, members = self._read(runs)
        index = pd.Index(disk.tables.test.ids, name=self.competition.columns.id)
        found = self._columns({each.name: each.test for each in members})
        return pd.DataFrame(found, index=index)

    def report(self, lang: str = "en", quick: bool = False) -> Report:
        """Write submissions/NAME-report.html and show it."""
        from pipeline.report.drawn.pages import write

        return Report(write(self.competition, self.root, quick, lang))

    def _called(self, main: Main, parser: Parser, options: Mapping[str, Any]) -> dict[str, Any]:
        words = arguments(parser, options)
        found: dict[str, Any] = called(main, [*self._place, *self._config, *words])
        return found

    def _read(self, runs: Sequence[str]) -> "tuple[Disk, list[Peer]]":
        """The competition's files, and *runs* (none named: every complete one) beside them."""
        from pipeline.report.drawn.disk import Disk
        from pipeline.team.competition import read_named

        disk = Disk(self.competition, self.root)
        if not runs:
            disk.need_runs()
        return disk, read_named(disk.paths, disk.contest, runs or disk.complete)

    def _columns(self, predicted: Mapping[str, Any]) -> dict[str, Any]:
        outputs = self.competition.outputs
        if len(outputs) == 1:
            return {name: values.reshape(-1) for name, values in predicted.items()}
        return {
            f"{name}.{output}": values[:, place]
            for name, values in predicted.items()
            for place, output in enumerate(outputs)
        }


def _scores(run: Mapping[str, Any]) -> dict[str, Any]:
    folds = {f"fold {place}": score for place, score in enumerate(run["fold_scores"])}
    holdout = {"holdout": run["holdout_score"]} if run.get("holdout_score") is not None else {}
    return (
        {"pooled": run["oof_score"]} | holdout | folds | {"seconds": sum(run["seconds"].values())}
    )


# How a keyword becomes an option, and a command a call.


def arguments(parser: Parser, options: Mapping[str, Any]) -> list[str]:
    """The command line that *options* stand for.

    None and False leave an option out, True is a flag, a list repeats the option or gives it
    several values, whichever it takes, a mapping gives KEY=VALUE.

    >>> from pipeline.cv import parser
    >>> arguments(parser(), {"model": ["a", "b"], "seed": [1, 2], "set": {"epochs": 2}})
    ['--model', 'a', '--model', 'b', '--seed', '1', '2', '--set', 'epochs=2']
    >>> arguments(parser(), {"yes": True, "time_limit": None, "folds.count": 10})
    ['--yes', '--folds.count', '10']
    """
    several = {action.dest for action in parser._actions if action.nargs in ("+", "*")}
    words: list[str] = []
    for name, value in options.items():
        flag = f"--{name.replace('_', '-')}" if "." not in name else f"--{name}"
        if isinstance(value, Mapping):
            value = [f"{key}={each}" for key, each in value.items()]
        if value is None or value is False:
            continue
        if value is True:
            words.append(flag)
        elif not isinstance(value, list | tuple):
            words += [flag, str(value)]
        elif name in several:
            words += [flag, *map(str, value)]
        else:
            words += [word for each in value for word in (flag, str(each))]
    return words


def called(main: Main, argv: Sequence[str]) -> Any:
    """What the command *main* says with --json; what it prints for people is printed."""
    answer = io.StringIO()
    STOP.begin()
    with (
        _interruptible(),
        contextlib.redirect_stderr(sys.stdout),  # no red page in a notebook
        contextlib.redirect_stdout(answer),
    ):
        main([*argv, "--json"])
    return json.loads(answer.getvalue())


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Where signals can be listened to, the stop button saves before it ends a training."""
    if threading.current_thread() is threading.main_thread():
        with STOP.listening():
            yield
    else:
        yield


# The same without an object: on the competition that was opened last.


_latest: list[Project] = []


def use(config: str | Path | None = None, root: str | Path = ".") -> Project:
    """Work on the competition of *config* from here on."""
    _latest[:] = [Project(config, root)]
    return _latest[0]


def _project() -> Project:
    return _latest[0] if _latest else use()


def init(folder: str | Path, root: str | Path = ".", **options: Any) -> Project:
    """Look at *folder*, write its config as `pipeline.init` does, and work on it from here on.

    A config that is there already is read, not written again, unless `force=True`.
    """
    from pipeline.base.paths import safe_name
    from pipeline.init import default_name, main, parser

    name = options.get("name") or default_name(Path(folder))
    config = Path(root) / "configs" / f"{safe_name(name)}.yaml"
    if config.exists() and not options.get("force"):
        others = sorted(options.keys() - {"name", "force"})
        if others:
            raise UsageError(
                f"{config} is there already, so {', '.join(others)} would change nothing. "
                "force=True writes it anew"
            )
        print(f"{config} is there: it is read")
    else:
        words = arguments(parser(), options)
        answer = called(main, [str(folder), "--root", str(root), *words])
        config = Path(answer["config"])
        print(f"wrote {config}")
    return use(config, root)


def cv(*models: str, **options: Any) -> "pd.DataFrame":
    """See `Project.cv`."""
    return _project().cv(*models, **options)


def ensemble(**options: Any) -> Blend:
    """See `Project.ensemble`."""
    return _project().ensemble(**options)


def oof(*runs: str) -> "pd.DataFrame":
    """See `Project.oof`."""
    return _project().oof(*runs)


def test(*runs: str) -> "pd.DataFrame":
    """See `Project.test`."""
    return _project().test(*runs)


test.__test__ = False  # type: ignore[attr-defined]  # pytest: no test of ours


def report(lang: str = "en", quick: bool = False) -> Report:
    """See `Project.report`."""
    return _project().report(lang, quick)
