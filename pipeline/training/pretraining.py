"""A backbone that is trained further on a competition's texts: an artefact found by its content.

    runs/pretrained/KEY/backbone/        config.json, model.safetensors, the tokenizer
    runs/pretrained/KEY/pretrained.json  what it was made of, and the losses; written last
    runs/pretrained/KEY/checkpoints/     states to go on from; gone once it is finished

KEY is a digest of backbone, texts and settings, so the same command finds what is there, and
another backbone, text or setting is another artefact.
"""

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from pipeline.base import ArtifactError, Paths, UsageError, raise_if, read_json
from pipeline.base.cores import wait_asleep
from pipeline.base.fault_injection import reach
from pipeline.base.files import commit_json, commit_text, sha256
from pipeline.base.leases import lease
from pipeline.base.paths import Workspace, safe_name
from pipeline.data import Tables
from pipeline.models import Recipe, Watch
from pipeline.models.recipes import as_values
from pipeline.models.transformer_settings import TransformerRecipe
from pipeline.training.options import FailurePolicy

LEAST_WORDS = 200


@dataclass(frozen=True, kw_only=True)
class Pretraining:
    """How a backbone is trained on texts alone."""

    epochs: int = 3
    batch_size: int = 32
    """Texts of an optimiser step."""
    learning_rate: float = 5e-5
    mask: float = 0.15
    """Share of the tokens that an encoder has to guess."""
    new_vocabulary: int | None = None
    """Learn a tokenizer of so many tokens from the texts, and start from random weights."""
    seed: int = 42

    def __post_init__(self) -> None:
        problems = []
        for name, value in (("--epochs", self.epochs), ("--batch-size", self.batch_size)):
            if value < 1:
                problems.append(f"{name} is {value}; it must be at least 1")
        if not 0 < self.learning_rate < 1:
            problems.append(f"--learning-rate is {self.learning_rate}; expected above 0, below 1")
        if not 0 < self.mask < 1:
            problems.append(f"--mask is {self.mask}; it must be above 0 and below 1")
        if self.new_vocabulary is not None and self.new_vocabulary < LEAST_WORDS:
            problems.append(
                f"--new-vocabulary is {self.new_vocabulary}; it must be at least {LEAST_WORDS}"
            )
        raise_if(problems, UsageError)


@dataclass(frozen=True, kw_only=True)
class Pretrained:
    """A finished artefact."""

    folder: Path
    """Of the backbone."""
    record: dict[str, Any]
    """Its pretrained.json."""
    new: bool
    """Whether it was trained now."""


def texts_of(tables: Tables, with_test_texts: bool) -> list[str]:
    """The distinct texts of all labelled rows, in order; those of test where that is asked for."""
    asked = [tables.train, tables.extra, tables.holdout, tables.test if with_test_texts else None]
    texts = [text for table in asked if table is not None for text in table.texts.ravel().tolist()]
    found = list(dict.fromkeys(text for text in texts if text.strip()))
    if not found:
        raise UsageError("there is no text to train on: all are empty")
    return found


def pretrain(
    recipe: Recipe,
    texts: Sequence[str],
    settings: Pretraining,
    paths: Paths,
    policy: FailurePolicy,
    watch: Watch,
) -> Pretrained:
    """The backbone of *recipe*, trained further on *texts*; found where it is there already.

    Raises UsageError where the recipe is no transformer or its backbone predicts no words,
    DivergedError for NaN, BusyError where another process trains it, Stopped with the state saved.
    """
    if not isinstance(recipe, TransformerRecipe):
        raise UsageError(f"{recipe.name} has no backbone: pretraining is for learner transformer")
    from pipeline.models.hub.weights import fetch, locate

    wait_asleep()
    weights = fetch(locate(recipe))
    made_of = {
        "backbone": weights.digest,
        "config": sha256(Path(weights.folder_or_id) / "config.json"),
        "texts": hashlib.sha256(json.dumps(list(texts)).encode()).hexdigest(),
        "max_length": recipe.max_length,
        **asdict(settings),
    }
    key = hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()[:16]
    space = Workspace(paths.root / "runs" / "pretrained" / key, key)
    found = space.folder / "backbone"
    if record := _finished(space):
        return Pretrained(folder=found, record=record, new=False)
    with lease(space.lease, f"the pretraining {key}") as held:
        space = replace(space, check=held.check)
        if record := _finished(space):  # by another, while we waited
            return Pretrained(folder=found, record=record, new=False)
        facts = _train(recipe, weights, texts, settings, space, policy, watch)
        record = {"made_of": made_of, "from": weights.origin, "texts": len(texts), **facts}
        commit_json(space.folder / "pretrained.json", record)
        for done in (space.checkpoints, space.logs):
            shutil.rmtree(done, ignore_errors=True)
    return Pretrained(folder=found, record=record, new=True)


def _finished(space: Workspace) -> dict[str, Any]:
    """What is said of a finished artefact; {} where there is none, or it is not whole."""
    try:
        record = read_json(space.folder / "pretrained.json")
        whole = sha256(space.folder / "backbone" / "model.safetensors") == record.get("sha256")
    except (ArtifactError, OSError):
        return {}
    return record if whole else {}


def _train(
    recipe: TransformerRecipe,
    weights: Any,
    texts: Sequence[str],
    settings: Pretraining,
    space: Workspace,
    policy: FailurePolicy,
    watch: Watch,
) -> dict[str, Any]:
    """Train, write the backbone, and what is to be said of it."""
    import torch
    from transformers import DataCollatorForLanguageModeling

    from pipeline.models.hub.weights import load_tokenizer
    from pipeline.models.transformer.device import detect
    from pipeline.training.lightning import language_model as lm
    from pipeline.training.lightning.trainer import FoldFitter

    hardware = detect(recipe.precision, policy.deterministic)
    torch.set_num_threads(hardware.threads)
    tokenizer = load_tokenizer(weights)
    anew = settings.new_vocabulary is not None
    if settings.new_vocabulary is not None:
        tokenizer = lm.new_tokenizer(tokenizer, texts, settings.new_vocabulary)
    model, masked = lm.load_language_model(weights, tokenizer, settings.seed, anew)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    tokens = tokenizer(
        list(texts), truncation=True, max_length=recipe.max_length, add_special_tokens=True
    )["input_ids"]
    tokens = [each for each in tokens if len(each) > 1]
    collate = DataCollatorForLanguageModeling(
        tokenizer, mlm=masked, mlm_probability=settings.mask if masked else None
    )
    data = lm.TextSteps(tokens, collate, settings.batch_size, settings.epochs, settings.seed)
    module = lm.LanguageModel(
        model, hardware, settings.learning_rate, data.steps.total, settings.seed
    )
    FoldFitter(hardware, policy).fit(module, data, space, watch)
    module.stepper.check_finite()
    reach("trained")
    fresh, final = space.folder / "writing", space.folder / "backbone"
    for folder in (fresh, final):
        shutil.rmtree(folder, ignore_errors=True)
    space.check()
    lm.save_backbone(module.model.cpu(), tokenizer, fresh)
    fresh.rename(final)
    return {
        "objective": "masked" if masked else "causal",
        "tokens": sum(map(len, tokens)),
        "steps": data.steps.total,
        "losses": [round(each, 4) for each in module.losses],
        "sha256": sha256(final / "model.safetensors"),
    }


def recipe_name(model: str, made: Pretrained) -> str:
    """The name of the recipe that starts from it.

    >>> folder = Path("runs/pretrained/0123456789abcdef/backbone")
    >>> recipe_name("minilm", Pretrained(folder=folder, record={}, new=True))
    'minilm-pretrained-012345'
    """
    return f"{safe_name(model)}-pretrained-{made.folder.parent.name[:6]}"


def write_recipe(recipe: Recipe, made: Pretrained, root: Path, name: str) -> Path:
    """A recipe with all settings of *recipe* that starts from the artefact: its file.

    Raises UsageError where a file of that name says something else.
    """
    path = root / "configs" / "models" / f"{name}.yaml"
    values = {key: value for key, value in as_values(recipe).items() if key != "name"}
    values |= {
        "backbone": str(made.folder.resolve()),
        "revision": None,
        "sha256": made.record["sha256"],
        "source": f"{recipe.name}, its backbone trained further on texts (pretrained.json there)",
    }
    content = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
    if path.exists() and path.read_text(encoding="utf-8") != content:
        raise UsageError(f"{path} is there and says something else; give another --recipe")
    commit_text(path, content)
    return path


def told(made: Pretrained) -> Iterator[str]:
    """Lines about the artefact."""
    record, losses = made.record, made.record["losses"]
    yield f"  {record['objective']} language modelling of {record['from']}"
    yield f"  {record['texts']:,} texts, {record['tokens']:,} tokens, {record['steps']:,} steps"
    yield f"  loss {losses[0]:.3f} at first, {losses[-1]:.3f} at last"
