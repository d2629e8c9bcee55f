"""Log-likelihoods of answers, and what is written."""

import copy

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy
from transformers import GPT2Config, GPT2LMHeadModel

from pipeline.models.generation.network import LikelihoodCodec, Together, Writer, from_nothing
from pipeline.models.generator_settings import GeneratorRecipe
from pipeline.models.transformer.heads import drawn_from
from tests.models.generation.writers import SMALL, factory_for, saved


def side(lengths, seed=0, padding=0):
    draw = torch.Generator().manual_seed(seed)
    mask = (torch.arange(max(lengths))[None] < torch.tensor(lengths)[:, None]).long()
    ids = torch.randint(2, 90, mask.shape, generator=draw) * mask + padding * (1 - mask)
    return {"input_ids": ids, "attention_mask": mask}


def cut(one, row):
    length = int(one["attention_mask"][row].sum())
    return {name: values[row : row + 1, :length] for name, values in one.items()}


@pytest.fixture(scope="module", params=["t5", "bart", "gpt2"])
def writer(request, tmp_path_factory):
    if request.param == "t5":
        model = from_nothing(GeneratorRecipe(name="x", **SMALL), 300, 0)
        return Writer(model.eval(), None, 0.1).eval()
    folder = saved(tmp_path_factory.mktemp("saved"), request.param)
    model = factory_for(backbone=folder).shared.pristine.backbone
    return Writer(model.eval(), None, 0.1).eval()


def test_padding_changes_nothing(writer):
    text, answer = side([5, 2, 7]), side([3, 6, 1], seed=1)
    with torch.no_grad():
        together = writer([text, answer])
        alone = [writer([cut(text, row), cut(answer, row)]) for row in range(3)]
    torch.testing.assert_close(together, torch.cat(alone), rtol=1e-4, atol=1e-4)


def test_it_is_the_likelihood_that_transformers_computes(writer):
    text, answer = cut(side([5, 2]), 0), cut(side([3, 6], seed=1), 0)
    model = writer.backbone
    with torch.no_grad():
        found = writer([text, answer])
        if writer.encodes:
            expected = model(**text, labels=answer["input_ids"]).loss
        else:
            line = torch.cat([text["input_ids"], answer["input_ids"]], dim=1)
            logits = model(input_ids=line).logits[0, 4:-1]
            expected = cross_entropy(logits, answer["input_ids"][0])
    torch.testing.assert_close(found[0, 0], 3 * expected, rtol=1e-4, atol=1e-4)


def test_while_it_is_trained_labels_are_smoothed_as_in_torch(writer):
    text, answer = side([5, 2]), side([3, 3], seed=1)
    writer.training = True  # itself alone: what is within drops nothing
    try:
        with torch.no_grad():
            given = answer["input_ids"], answer["attention_mask"]
            logits = writer.logits(text, *given, writer.backbone)
            found = writer([text, answer])
    finally:
        writer.training = False
    expected = cross_entropy(
        logits.flatten(0, 1), answer["input_ids"].flatten(), label_smoothing=0.1, reduction="sum"
    )
    torch.testing.assert_close(found.sum(), expected, rtol=1e-4, atol=1e-4)


def test_beams_are_as_likely_as_the_library_says(writer):
    text = side([5, 2])
    way = GeneratorRecipe(name="x", **(SMALL | {"length_penalty": 0.0, "max_answer": 6}))
    with torch.no_grad():
        ids, real = writer.write(text, way)
        logs = [
            -writer([text, {"input_ids": ids[:, place], "attention_mask": real[:, place]}])[:, 0]
            for place in range(2)
        ]
    assert ids.shape[:2] == (2, 2)
    assert (logs[0] >= logs[1] - 1e-4).all()


def test_weights_that_are_shared_are_saved_once(writer):
    own = writer.own_state()
    assert len({values.data_ptr() for values in own.values()}) == len(own)
    others = {name: values + 1 for name, values in own.items()}
    before = {name: values.clone() for name, values in own.items()}
    writer.load_own(others)
    assert all(torch.equal(writer.own_state()[name], others[name]) for name in own)
    writer.load_own(before)
    with pytest.raises(RuntimeError, match="it lacks"):
        writer.load_own(dict(list(before.items())[1:]))


def test_the_loss_of_a_step_is_the_same_however_it_is_cut():
    codec = LikelihoodCodec(problem="text", loss="cross-entropy", tokens=7.0)
    losses = torch.arange(6.0)[:, None]
    counts = torch.from_numpy(codec.encode(np.ones((6, 1))))
    parts = [(losses[:2], counts[:2]), (losses[2:], counts[2:])]
    cut_up = sum(codec.mean_loss(*each) * len(each[0]) / 6 for each in parts)
    torch.testing.assert_close(codec.mean_loss(losses, counts), cut_up)
    assert codec.from_json(codec.as_json()) == codec


@pytest.fixture(scope="module")
def together():
    """Two networks side by side."""
    recipe = GeneratorRecipe(name="x", **(SMALL | {"networks": 2}))
    return Writer(from_nothing(recipe, 300, 0).eval(), None, 0.1).eval()


@pytest.fixture
def talkative(together):
    """The same, far from where they start."""
    writer = copy.deepcopy(together)
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in writer.parameters():
            weight.add_(0.5 * torch.randn(weight.shape, generator=draw))
    return writer


def each_alone(writer):
    found = [Writer(model, None, 0.1).eval() for model in (writer.backbone, *writer.others)]
    found[0].others = []
    return found


def test_networks_side_by_side_start_unlike_and_the_first_as_one_alone(together):
    first, second = (
        dict(each.named_parameters()) for each in (together.backbone, *together.others)
    )
    alone = from_nothing(GeneratorRecipe(name="x", **SMALL), 300, 0)
    assert all(torch.equal(first[name], weight) for name, weight in alone.named_parameters())
    name = "encoder.block.0.layer.0.SelfAttention.q.weight"
    assert not torch.equal(first[name], second[name])
    held = {name for name, _ in together.named_parameters() if together.owns(name)}
    assert len(held) == 2 * len(dict(alone.named_parameters())), "all are saved, each once"


def test_an_answer_is_as_likely_as_the_mean_of_logs_says_and_each_learns_by_its_own(together):
    text, answer = side([5, 2]), side([3, 3], seed=1)
    ids = answer["input_ids"]
    with torch.no_grad():
        logs = [
            together.logits(text, ids, answer["attention_mask"], model).log_softmax(2)
            for model in (together.backbone, *together.others)
        ]
        mean = torch.stack(logs).mean(0).log_softmax(2)
        expected = -mean.gather(2, ids[..., None]).sum(dim=1)
        torch.testing.assert_close(together([text, answer]), expected)
        together.training = True  # itself alone: what is within drops nothing
        try:
            learned = together([text, answer])
        finally:
            together.training = False
        own = []
        for writer in each_alone(together):
            writer.training = True
            own.append(writer([text, answer]))
    torch.testing.assert_close(learned, torch.stack(own).mean(0))


@pytest.mark.parametrize("way", ["greedy", "beam", "sample"])
def test_networks_side_by_side_write_by_the_mean_of_their_logs(talkative, way):
    together = talkative
    recipe = GeneratorRecipe(name="x", **(SMALL | {"decode": way, "length_penalty": 0.0}))
    text = side([5, 2, 7])
    together.backbone.generation_config.eos_token_id = 1
    with torch.no_grad():
        torch.manual_seed(0)
        ids, real = together.write(text, recipe)
        lost = torch.stack(
            [
                together([text, {"input_ids": one, "attention_mask": mask}])[:, 0]
                for one, mask in zip(ids.unbind(1), real.unbind(1), strict=True)
            ],
            dim=1,
        )
        if way == "greedy":
            line = torch.zeros(3, 1, dtype=torch.long)
            for _ in range(ids.shape[2]):
                said = [
                    model(**text, decoder_input_ids=line).logits[:, -1].log_softmax(1)
                    for model in (together.backbone, *together.others)
                ]
                line = torch.cat([line, torch.stack(said).mean(0).argmax(1, keepdim=True)], dim=1)
            assert torch.equal(line[:, 1:] * real[:, 0], ids[:, 0] * real[:, 0])
        if way == "beam":
            assert (lost[:, 0] <= lost[:, 1] + 1e-4).all(), "the likeliest first, by both"
            for row in range(3):
                alone, there = together.write(cut(text, row), recipe)
                length = int(there[0, 0].sum())
                assert torch.equal(alone[0, 0, :length], ids[row, 0, :length])
        torch.manual_seed(0)
        assert torch.equal(together.write(text, recipe)[0], ids)


@pytest.mark.parametrize("way", ["greedy", "beam", "sample"])
@pytest.mark.parametrize("alone", [False, True], ids=["encoder", "decoder alone"])
def test_states_that_are_kept_change_nothing_of_what_is_written(talkative, monkeypatch, way, alone):
    """Beams that are dropped and doubled take their states along."""
    writer = two_decoders() if alone else talkative
    recipe = GeneratorRecipe(name="x", **(SMALL | {"decode": way, "beams": 4, "candidates": 4}))
    went_on, real = [], Together._origin

    def noted(self, line):
        went_on.append(real(self, line))
        return went_on[-1]

    def written():
        torch.manual_seed(0)
        with torch.no_grad():
            return writer.write(side([5, 2, 7]), recipe)[0]

    monkeypatch.setattr(Together, "_origin", noted)
    kept = written()
    monkeypatch.setattr(Together, "_origin", lambda self, line: None)
    assert torch.equal(kept, written())
    assert [each is None for each in went_on] == [True] + [False] * (len(went_on) - 1)
    assert len(went_on) > 3
    if way == "beam":
        orders = [each.tolist() for each in went_on[1:]]
        assert any(order != sorted(order) or len(set(order)) < len(order) for order in orders)


def two_decoders():
    """Two networks of a decoder alone, which write together."""
    config = GPT2Config(
        vocab_size=300, n_embd=16, n_layer=2, n_head=2, n_positions=64, eos_token_id=1
    )
    made = []
    for seed in (0, 1):
        with drawn_from(seed, "test"):
            model = GPT2LMHeadModel(config).eval()
            for weight in model.parameters():
                weight.data += 0.3 * torch.randn_like(weight)
        model.generation_config.pad_token_id = 0
        made.append(model)
    writer = Writer(made[0], None, 0.0).eval()
    writer.write_with(made[1:])
    return writer
