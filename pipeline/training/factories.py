"""From a recipe to the factory of its learners. torch is loaded only for those that need it."""

from pathlib import Path

from pipeline.base.config import Competition
from pipeline.base.cores import wait_asleep
from pipeline.models.learner import LearnerFactory
from pipeline.models.recipes import LinearRecipe, Recipe, TransformerRecipe
from pipeline.training.rules import Rules


def check_weights(recipe: Recipe) -> None:
    """Raise at once, before anything is trained, where the recipe's weights cannot be had."""
    if isinstance(recipe, TransformerRecipe):
        from pipeline.models.hub.weights import locate

        locate(recipe)


def make_factory(
    recipe: Recipe, competition: Competition, rules: Rules, tokens: Path | None = None
) -> LearnerFactory:
    """The factory for *recipe*; raises UsageError or BusyError where its weights are not there.

    *tokens* is the folder of the token stores; without it they stay in memory.
    """
    outputs = len(competition.outputs)
    match recipe:
        case LinearRecipe():
            from pipeline.models.linear.learner import LinearFactory

            grouped_by = competition.folds.group_columns
            return LinearFactory(recipe, competition.task, outputs, grouped_by)
        case TransformerRecipe():
            wait_asleep()
            from pipeline.models.transformer.device import detect
            from pipeline.models.transformer.factory import TransformerFactory
            from pipeline.training.lightning.trainer import FoldFitter

            hardware = detect(recipe.precision, rules.deterministic)
            fitter = FoldFitter(hardware, rules)
            return TransformerFactory(recipe, competition.task, outputs, hardware, fitter, tokens)
