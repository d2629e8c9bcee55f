"""A tiny transformer trained for real, in this process.

job = fitting_job(tmp_path, backbone)          six steps a fold: two epochs of three
bench = Bench(tmp_path, backbone, rows=6)      one training without a job around it
"""

from pathlib import Path

from pipeline.base.command import Stop
from pipeline.base.paths import Workspace
from pipeline.models.transformer.factory import TransformerFactory
from pipeline.models.transformer_settings import TransformerRecipe
from pipeline.training.jobs import Job
from pipeline.training.lightning.trainer import FoldFitter
from pipeline.training.options import FailurePolicy
from tests.fitting import CPU
from tests.tiny import tiny_backbone
from tests.training.toys import COMPETITION, Told, make_job, table

SETTINGS = {"epochs": 2, "batch_size": 8, "learning_rate": 0.001, "max_length": 32}


def make_backbone(folder: Path) -> Path:
    return tiny_backbone(folder, table(31, "tr").texts[:, 0].tolist())


class Listener(Told):
    """A Watch that keeps all it is told; *at* is called after every step."""

    def __init__(self, at=lambda step: None):
        super().__init__()
        self.heard: list[tuple] = []
        self.at = at

    def phase(self, name, total, done=0, per_epoch=0):
        self.heard.append((name, total, done, per_epoch))

    def advance(self, steps=1, rows=0, tokens=0):
        self.heard.append((steps, rows, tokens))
        self.at(sum(len(one) == 3 for one in self.heard))


class Bench:
    """One training, which can be begun again in the same workspace."""

    def __init__(self, folder: Path, backbone: Path, rows=31, policy=None, **changes) -> None:
        self.policy = policy or FailurePolicy(stop=Stop())
        recipe = TransformerRecipe(name="t", backbone=str(backbone), **(SETTINGS | changes))
        fitter = FoldFitter(CPU, self.policy)
        self.factory = TransformerFactory(recipe, COMPETITION.task, 1, CPU, fitter)
        self.train, self.test = table(rows, "tr"), table(6, "te", labelled=False)
        self.workspace = Workspace(folder / "fold-0", "mine")

    def fit(self, watch=None):
        """The learner, fitted."""
        learner = self.factory.make(7)
        learner.fit(self.train, self.workspace, watch or Listener())
        return learner

    def predictions(self, watch=None):
        """Of a learner that is fitted now."""
        return self.fit(watch).predict(self.test, Listener()).tolist()


def fitting_job(root: Path, backbone: Path, **policy) -> Job:
    """A job whose folds take six steps each."""
    recipe = TransformerRecipe(name="t", backbone=str(backbone), **SETTINGS)
    bound = FailurePolicy(**{"stop": Stop(), "checkpoint_seconds": 0.0, **policy})
    factory = TransformerFactory(recipe, COMPETITION.task, 1, CPU, FoldFitter(CPU, bound))
    return make_job(root, recipe=recipe, factory=factory, policy=bound)
