"""`first` in a recipe: extra rows are learned before the others, the same after a kill."""

import numpy as np
import pytest

from pipeline import cv
from pipeline.base.command import run as guarded
from pipeline.base.errors import UsageError
from pipeline.base.fault_injection import Injected
from pipeline.base.paths import Workspace
from pipeline.data.table import concatenate
from pipeline.models.teaching.learner import Help, TaughtFactory
from pipeline.models.teaching.settings import First
from pipeline.models.transformer_settings import TransformerRecipe
from pipeline.training.lightning.trainer import FoldFitter
from pipeline.training.options import FailurePolicy
from tests.fitting import CPU, Listener
from tests.models.transformer.learners import backbone, factory_for, pairs
from tests.nightly import nightly
from tests.test_bad_files import Folder
from tests.training.toys import COMPETITION, inject

FIRST = First(epochs=2, learning_rate=0.002)
TEST = pairs(8, seed=2, labelled=False)


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return backbone(tmp_path_factory.mktemp("tiny"))


def rows():
    """16 rows of the competition, and below them 16 extra ones."""
    extra = pairs(16, seed=5)
    extra.ids[:] = [f"extra-{each}" for each in extra.ids]
    return concatenate(pairs(16), extra), frozenset(extra.ids.tolist())


def predicted(bert, folder, first):
    """Predictions of one learner with two stages, and what it told."""
    train, extra = rows()
    inner = factory_for(bert, epochs=1)
    fitter = FoldFitter(CPU, FailurePolicy(checkpoint_seconds=0.0))
    inner.shared = inner.shared.__class__(**{**vars(inner.shared), "fitter": fitter})
    recipe = TransformerRecipe(name="toy", backbone=str(bert), first=first)
    help_ = Help(competition=COMPETITION, recipe=recipe, extra=extra)
    learner, told = TaughtFactory(inner, help_).make(1), Listener()
    learner.fit(train, Workspace(folder, "mine"), told)
    return learner.predict(TEST, told), told, learner


@pytest.mark.parametrize(
    "point", ["micro-batch:2:raise", nightly("stage:1:raise"), nightly("micro-batch:6:raise")]
)
def test_extra_rows_come_first_and_a_killed_stage_ends_in_the_same_bytes(
    bert, tmp_path, monkeypatch, point
):
    expected, told, learner = predicted(bert, tmp_path / "whole", FIRST)
    trained = [phase[:2] for phase in told.phases if "train" in phase[0]]
    assert trained == [("first stage: train", 4), ("train", 2)]
    assert learner.facts["taught"]["first"]["rows"] == 16
    at_once, _, _ = predicted(bert, tmp_path / "at once", None)
    assert not np.array_equal(at_once, expected)
    inject(monkeypatch, point)
    with pytest.raises(Injected):
        predicted(bert, tmp_path / "killed", FIRST)
    inject(monkeypatch, "")
    again, told, _ = predicted(bert, tmp_path / "killed", FIRST)
    assert again.tobytes() == expected.tobytes()
    begun = [phase[:3] for phase in told.phases if "train" in phase[0]]
    assert begun[0] == (("first stage: train", 4, 1) if "batch:2" in point else begun[-1])


@pytest.mark.parametrize(
    ("model", "setting", "message"),
    [
        ("linear", "first={epochs: 1}", "learner linear cannot start from weights"),
        ("minilm", "first={}", "the config has no data.extra_train"),
        ("minilm", "first={epochs: 0}", "first.epochs is 0"),
    ],
)
def test_a_first_stage_that_cannot_be_is_refused(tmp_path, capsys, model, setting, message):
    folder = Folder(tmp_path)
    folder.write()
    arguments = ["--config", str(tmp_path / "configs" / "default.yaml"), "--root", str(tmp_path)]
    code = guarded(cv.main, [*arguments, "--model", model, "--set", setting])
    assert code == UsageError.exit_code
    assert message in " ".join(capsys.readouterr().err.split())
