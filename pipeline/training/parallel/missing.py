"""Which folds are missing, as far as somebody must know who only hands them out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.base.paths import Workspace
from pipeline.models.learner import Silent
from pipeline.models.recipes import TransformerRecipe
from pipeline.training.events import Journal
from pipeline.training.job import Job, Part
from pipeline.training.parallel.errands import Errand
from pipeline.training.parallel.handing import of_fold


@dataclass(frozen=True, kw_only=True)
class Missing:
    """The parts of one run that are to be trained, without the rows and weights of its job."""

    run: str
    model: str
    """As --model names it."""
    on_gpu: bool
    """Whether it would use one."""
    workspaces: dict[Part, Workspace]
    manifests: dict[Part, Path]


def missing_of(job: Job, model: str, parts: Sequence[Part]) -> Missing:
    """*parts* of *job*, which --model calls *model*."""
    return Missing(
        run=job.run,
        model=model,
        on_gpu=isinstance(job.recipe, TransformerRecipe),
        workspaces={part: job.workspace(part) for part in parts},
        manifests={part: job.predictions(part).with_suffix(".json") for part in parts},
    )


def errands_of(missing: Missing, arguments: Sequence[str]) -> list[Errand]:
    """One for each seed and fold, in all its repeats."""
    grouped: dict[tuple[int, int], list[Part]] = {}
    for part in missing.manifests:
        grouped.setdefault((part.seed, part.fold), []).append(part)
    return [
        Errand(
            run=missing.run,
            name=f"seed-{seed}/fold-{fold} of {missing.run}",
            argv=of_fold(arguments, missing.model, seed, fold),
            manifests=[missing.manifests[part] for part in parts],
            news=News(missing, parts),
        )
        for (seed, fold), parts in grouped.items()
    ]


class News:
    """What the journals of some parts say since they were last asked, line by line."""

    def __init__(self, missing: Missing, parts: Sequence[Part]) -> None:
        self.journals = {
            f"{missing.run} {part.name}": Journal(missing.workspaces[part].events, Silent())
            for part in parts
        }
        self.told = {name: len(journal.entries()) for name, journal in self.journals.items()}

    def __call__(self) -> list[str]:
        """The lines, without those that were there when it was made."""
        lines = []
        for name, journal in self.journals.items():
            entries = journal.entries()
            for entry in entries[self.told[name] :]:
                started = "started, " if entry.get("what") == "started" else ""
                lines.append(f"  {name}: {started}{entry.get('message', '')}")
            self.told[name] = len(entries)
        return lines
