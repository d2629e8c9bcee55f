"""The commands that the doctor names are those that bring a run back."""

from pathlib import Path

import pytest

from pipeline.base.config import as_dict
from pipeline.doctor.repair import Commands, model_options
from pipeline.models.recipes import find


@pytest.mark.parametrize(
    ("model", "overrides"),
    [
        ("linear", []),
        ("linear", ["word_ngrams=[1, 1]", "strengths=[0.5, 2]"]),
        ("klue/roberta-large", []),
        ("klue/roberta-large", ["epochs=1", "precision=fp32"]),
        ("someone/base@v2", ["learning_rate=1e-05"]),
    ],
)
def test_the_options_give_the_very_run(model, overrides):
    recipe = find(model, Path(), overrides)
    settings = {key: value for key, value in as_dict(recipe).items() if key != "source"}
    options = model_options(Path(), recipe.name, settings)
    name, sets = options[1], options[3::2]
    assert find(name, Path(), sets).name == recipe.name
    again = as_dict(find(name, Path(), sets))
    assert {key: again[key] for key in settings} == settings


def test_a_run_of_no_recipe_of_today_has_no_options():
    assert model_options(Path(), "gone", {"backbone": None}) == []
    assert model_options(Path(), "gone", None) == []


def test_the_config_is_the_one_that_names_the_competition(tmp_path):
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs/default.yaml").write_text("name: 'demo'  # built in\n")
    (tmp_path / "configs/other.yaml").write_text("task: x\nname: my comp\n")
    assert "--config" not in Commands(tmp_path, "demo").folds()
    assert (
        Commands(tmp_path, "my_comp-c4f0b6")
        .folds()
        .endswith("--config configs/my_comp-c4f0b6.yaml")
    )
    assert Commands(Path(), "x").cv(["--model", "a b"], [2, 1]) == (
        "python -m pipeline.cv --config configs/x.yaml --model 'a b' --seed 1 2"
    )
