"""The strategy that leaves a module on its device."""

from dataclasses import replace

import pytest
import pytorch_lightning as pl
import torch

from pipeline.training.lightning import trainer as trainer_file
from pipeline.training.lightning.trainer import DeviceStrategy
from tests.fitting import CPU, advice_ignored, as_loader


class Module(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)
        self.carried = 0

    def cpu(self):
        self.carried += 1
        return super().cpu()

    def training_step(self, batch, batch_idx):
        return self.layer(batch["x"]).sum()

    def predict_step(self, batch, batch_idx):
        return self.layer(batch["x"])

    def configure_optimizers(self):
        self.optimizer = torch.optim.AdamW(self.parameters())
        return self.optimizer


def trainer(strategy):
    return pl.Trainer(
        accelerator="cpu", devices=1, strategy=strategy, max_epochs=1, logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip


def run(strategy):
    module, loader = Module(), as_loader([{"x": torch.ones(3, 2)}] * 2)
    with advice_ignored():
        trainer(strategy()).fit(module, loader)
        (predicted, _) = trainer(strategy()).predict(module, loader)
    return module, predicted


def test_nothing_is_carried_away_and_the_moments_are_gone():
    before = torch.random.get_rng_state()
    module, predicted = run(lambda: DeviceStrategy(torch.device("cpu")))
    assert module.carried == 0
    assert not module.optimizer.state
    torch.random.set_rng_state(before)
    plain, expected = run(lambda: "auto")
    assert plain.carried == 2, "what Lightning does, and this strategy is for"
    assert torch.equal(predicted, expected)


@pytest.mark.parametrize(("accelerator", "stays"), [("cpu", False), ("mps", False), ("cuda", True)])
def test_it_is_for_cuda_only(monkeypatch, accelerator, stays):
    asked = {}
    monkeypatch.setattr(trainer_file, "FoldTrainer", lambda **settings: asked.update(settings))
    hardware = replace(CPU, accelerator=accelerator, deterministic=False)
    trainer_file.FoldFitter(hardware, None)._trainer([])
    assert isinstance(asked["strategy"], DeviceStrategy) == stays
    assert stays or asked["strategy"] == "auto"
