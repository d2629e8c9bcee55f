"""The registries: every name leads to something, and the parser knows every name."""

import pytest

from pipeline.base.doors import load
from pipeline.base.errors import UsageError
from pipeline.models import registry
from pipeline.models.recipes import TransformerRecipe, find
from pipeline.models.transformer.losses import Loss, loss_named
from pipeline.problems.registry import TYPES

CALLED = [registry.POOLINGS, registry.HEADS, registry.SCHEDULES, registry.TEXT_TRANSFORMS]


@pytest.mark.parametrize("place", [place for each in CALLED for place in each.values()])
def test_every_name_leads_to_something_that_can_be_called(place):
    assert callable(load(place))


@pytest.mark.parametrize("name", registry.LOSSES)
def test_every_loss_suits_a_problem(name):
    loss = loss_named(name)
    assert isinstance(loss, Loss)
    assert set(loss.suits) <= {problem.target_kind for problem in TYPES.values()}
    assert loss.suits


def test_the_loss_that_auto_means_suits_its_problem():
    for problem in TYPES.values():
        assert problem.target_kind in loss_named(problem.usual_loss).suits


@pytest.mark.parametrize("name", registry.LEARNERS)
def test_every_kind_of_learner_has_a_recipe_of_its_own_and_a_factory(name):
    kind = registry.LEARNERS[name]
    assert load(kind.recipe).learner == name
    assert callable(load(kind.factory))
    assert not kind.weights or callable(load(kind.weights))


@pytest.mark.parametrize("field", ["pooling", "head", "schedule", "loss"])
def test_a_recipe_takes_the_names_of_a_registry_and_no_other(tmp_path, field):
    names = {
        "pooling": registry.POOLINGS,
        "head": registry.HEADS,
        "schedule": registry.SCHEDULES,
        "loss": registry.LOSSES,
    }[field]
    for name in names:
        recipe = find("minilm", tmp_path, [f"{field}={name}"])
        assert isinstance(recipe, TransformerRecipe)
        assert getattr(recipe, field) == name
    with pytest.raises(UsageError, match=f"{field}: expected one of .*'{next(iter(names))}'"):
        find("minilm", tmp_path, [f"{field}=nonsense"])
