"""What the learners of a run share: its recipe, its backbone, its tokens, and who runs them."""

from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from pipeline.base.config import TaskConfig
from pipeline.base.paths import Workspace
from pipeline.data.tokens.data_module import FoldDataModule
from pipeline.data.tokens.store import TokenStore
from pipeline.models.kernels.cuda_graph import Graphs
from pipeline.models.kernels.packing import Packing
from pipeline.models.learner import Watch
from pipeline.models.settings import TransformerRecipe
from pipeline.models.transformer.device import Hardware
from pipeline.models.transformer.learnt import Learnt
from pipeline.models.transformer.module import TextModule
from pipeline.models.transformer.network import Pristine


class Fitter(Protocol):
    """Runs a module over its data: pipeline.training.trainer.FoldFitter."""

    def fit(
        self, module: TextModule, data: FoldDataModule, workspace: Workspace, watch: Watch
    ) -> None:
        """Take all steps, going on from what the workspace holds."""

    def predict(self, module: TextModule, data: FoldDataModule, watch: Watch) -> Any:
        """Rows and values, batch by batch."""


@dataclass(frozen=True, kw_only=True)
class Shared:
    """What all learners of a run work with."""

    recipe: TransformerRecipe
    task: TaskConfig
    outputs: int
    """Prediction columns."""
    hardware: Hardware
    fitter: Fitter
    store: TokenStore
    pristine: Pristine
    packing: Packing | None = None
    """How the backbone runs texts without padding; None where it cannot."""
    graphs: Graphs | None = None
    """Where the recipe asks for CUDA graphs, and can have them."""
    no_graphs: str | None = None
    """Why it cannot."""
    learnt: Learnt = field(default_factory=Learnt)
    """Of the machine, by the folds before."""

    @property
    def batching(self) -> TransformerRecipe:
        """The settings of batches: what is packed need not be cut by length."""
        return self.recipe if self.packing is None else replace(self.recipe, length_groups=1)
