"""Training the words that occur, and no others, gives what training the whole table gives."""

from contextlib import nullcontext

import pytest
import torch
from torch import nn
from torch.optim import AdamW
from transformers import AutoModel

from pipeline.models.transformer import fine_tuning as finetune
from pipeline.models.transformer.optimiser import UsedWords, follow, only_used
from tests.models.transformer.learners import WATCH, backbone, factory_for, fitted, pairs

USED = torch.tensor([0, 2, 3, 7, 9])
KINDS = ["bert", "roberta", "electra", "deberta-v2"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("tiny")
    return {kind: backbone(root, kind) for kind in KINDS}


def train(model, decay, steps=6):
    """Some steps of AdamW on texts of the words USED, at a rate that changes."""
    optimizer = AdamW(model.parameters(), lr=0.01, weight_decay=decay, fused=True)
    follow(model, optimizer)
    draw = torch.Generator().manual_seed(0)
    for step in range(steps):
        ids = USED[torch.randint(len(USED), (4, 6), generator=draw)]
        optimizer.zero_grad()
        states = model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
        states[..., 0].square().mean().backward()
        optimizer.param_groups[0]["lr"] = 0.01 / (step + 1)
        optimizer.step()


def load(folder):
    model = AutoModel.from_pretrained(folder)
    for part in model.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0
    return model.train()


@pytest.mark.parametrize("decay", [0.0, 0.3])
@pytest.mark.parametrize("kind", KINDS)
def test_the_weights_are_those_of_training_the_whole_table(folders, kind, decay):
    start, whole, part = (load(folders[kind]) for _ in range(3))
    train(whole, decay)
    names, table = list(part.state_dict()), part.get_input_embeddings()
    with only_used(part, USED) as words:
        train(part, decay)
    assert words == len(USED)
    assert part.get_input_embeddings() is table
    assert list(part.state_dict()) == names
    for mine, theirs in zip(part.parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, atol=2e-6, rtol=2e-5)
    before, after = (m.get_input_embeddings().weight.detach() for m in (start, part))
    others = [word for word in range(len(before)) if word not in USED]
    assert torch.equal(before[others], after[others]) == (decay == 0)
    moved = (before[USED] != after[USED]).any(dim=1)
    assert moved.tolist() == [int(word) != table.padding_idx for word in USED]  # which is 0


def test_words_that_are_not_trained_can_be_read_in_the_middle_of_training(folders):
    whole, part = (load(folders["bert"]) for _ in range(2))
    every = torch.arange(len(whole.get_input_embeddings().weight))[None, :12]
    train(whole, 0.3)
    with only_used(part, USED), torch.no_grad():
        with torch.enable_grad():
            train(part, 0.3)
        found = part.eval()(input_ids=every).last_hidden_state
    expected = whole.eval()(input_ids=every).last_hidden_state.detach()
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_a_word_that_was_not_announced_is_no_silent_gap(folders):
    model = load(folders["bert"])
    with only_used(model, USED), pytest.raises(IndexError):
        model(input_ids=torch.tensor([[1]]))


def test_a_checkpoint_holds_how_far_the_others_have_decayed(folders):
    first, second = (load(folders["bert"]) for _ in range(2))
    with only_used(first, USED):
        train(first, 0.3, steps=3)
        saved = first.state_dict()
        assert 0.99 < first.get_input_embeddings().decayed < 1
        with only_used(second, USED):
            second.load_state_dict(saved)
    for mine, theirs in zip(second.parameters(), first.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def broken_off(model):
    assert isinstance(model.get_input_embeddings(), UsedWords)
    raise IndexError("out of luck")


def test_the_table_is_put_back_when_training_breaks_off(folders):
    model = load(folders["bert"])
    table = model.get_input_embeddings()
    with pytest.raises(IndexError), only_used(model, USED):
        broken_off(model)
    assert model.get_input_embeddings() is table


class Scaled(nn.Embedding):
    """Some models multiply what they look up."""


def own_table(model):
    words = model.get_input_embeddings()
    model.set_input_embeddings(Scaled(*words.weight.shape))


def tied_table(model):
    model.head = nn.Linear(1, 1)
    model.head.weight = model.get_input_embeddings().weight


def largest_norm(model):
    model.get_input_embeddings().max_norm = 1.0


@pytest.mark.parametrize("change", [own_table, tied_table, largest_norm])
def test_a_table_with_a_life_of_its_own_is_trained_as_it_is(folders, change):
    model = load(folders["bert"])
    change(model)
    table = model.get_input_embeddings()
    with only_used(model, USED) as words:
        assert model.get_input_embeddings() is table
    assert words == 0


def test_a_learner_predicts_the_same_as_with_the_whole_table(folders, tmp_path, monkeypatch):
    train_rows, unseen = pairs(40), pairs(20, seed=2, labelled=False)
    factory = factory_for(folders["bert"], weight_decay=0.1)
    learner = fitted(factory, train_rows, tmp_path / "a")
    found = learner.predict(unseen, WATCH)
    known = factory.shared.pristine.backbone.get_input_embeddings().num_embeddings
    assert 5 < learner.facts["trained_words"] < known
    monkeypatch.setattr(finetune, "only_used", lambda *_: nullcontext(0))
    whole = fitted(factory_for(folders["bert"], weight_decay=0.1), train_rows, tmp_path / "b")
    torch.testing.assert_close(
        torch.from_numpy(found), torch.from_numpy(whole.predict(unseen, WATCH)), atol=1e-4, rtol=0
    )
