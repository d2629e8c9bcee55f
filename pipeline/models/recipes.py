"""Find a recipe: a name on the command line -> the frozen settings of one model.

`--model` takes, in this order:

1. a recipe's name: ROOT/configs/models/NAME.yaml, else the one shipped with the package;
2. a local folder with a saved backbone (it holds config.json);
3. a Hugging Face id, org/name or org/name@revision. Where a shipped recipe uses that backbone, it
   is the recipe; otherwise settings by size.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from pipeline.base import UsageError
from pipeline.base.config import as_dict
from pipeline.base.doors import load
from pipeline.base.parser import read_section
from pipeline.base.paths import SAFE, safe_name
from pipeline.models.registry import LEARNERS
from pipeline.models.settings import LinearRecipe, Recipe, RowStep
from pipeline.models.teaching.settings import TEACHING
from pipeline.models.transformer_settings import TransformerRecipe

__all__ = [
    "LinearRecipe",
    "Recipe",
    "TransformerRecipe",
    "as_values",
    "available",
    "find",
    "run_name",
]

HUB_ID = re.compile(r"(?P<id>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(@(?P<revision>[\w./-]+))?")
NOT_SETTINGS = ("name", "learner")
YOUNGER: dict[str, Any] = {
    "clean": [],
    "template": [],
    "rows": [],
    "tta": [],
    "head": "linear",
    "subwords": "first",
    "loss_options": {},
    "class_weights": None,
    "auxiliary": {},
    "contrast": None,
    "r_drop": 0.0,
    "fgm": 0.0,
    "awp": None,
    "average": {},
    "reinit_layers": 0,
    "freeze": None,
    "lora": None,
    "prefix": "",
    "class_fit": "squares",
    "within_words": False,
    "pair_order": "ordered",
    "noise": None,
    "distil": None,
    "pseudo": None,
    "first": None,
}
"""Settings that came with a later release, and what they are where they are not set. Then they
stand in no manifest, so folds that were trained before go together with those of today."""
BY_SIZE = {
    "small": ["learning_rate=5e-5", "epochs=4"],
    "base": ["learning_rate=3e-5", "epochs=4"],
    "large": ["learning_rate=1e-5", "epochs=4"],
}
"""For a backbone nobody wrote a recipe for: within the grids of the BERT and RoBERTa papers
(2e-5 to 5e-5, large models 1e-5 to 3e-5; 2 to 4 epochs), longer rather than shorter for the
thousands of rows a competition has."""


def find(name: str, root: Path, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe that *name* means, with KEY=VALUE *overrides*, named after its run (`run_name`).

    Raises UsageError for an unknown name, an unknown key or a value that does not fit.
    """
    origin = _origin(name, root)
    shipped = _read(name, origin, root, ())
    if not overrides:
        return replace(shipped, name=run_name(shipped, shipped))
    _check_keys(overrides, type(shipped), name)
    recipe = _read(name, origin, root, overrides)
    return replace(recipe, name=run_name(recipe, shipped))


def run_name(recipe: Recipe, shipped: Recipe) -> str:
    """*shipped*'s name as a file name; where *recipe* differs, with six hex digits of how."""
    own, theirs = as_dict(recipe), as_dict(shipped)
    changed = {key: value for key, value in own.items() if value != theirs.get(key)}
    for key in ("name", "source"):
        changed.pop(key, None)
    if not changed:
        return safe_name(shipped.name)
    text = json.dumps(changed, sort_keys=True, ensure_ascii=False)
    return f"{safe_name(shipped.name)}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"


def as_values(recipe: Recipe) -> dict[str, Any]:
    """The settings of *recipe* as plain values, as manifests hold them."""
    settings = as_dict(recipe)
    unset = {key for key, value in YOUNGER.items() if settings.get(key) == value}
    return {key: value for key, value in settings.items() if key not in unset}


def as_begun(recipe: Recipe, before: dict[str, Any]) -> Recipe:
    """*recipe*, with what a later release does by itself left out where a run was begun without it.

    *before*: the settings of a fold that the run has. What a person has set stays as it is.
    """
    usual = {each.name: each.default for each in fields(recipe)}
    old = {
        key: value
        for key, value in YOUNGER.items()
        if key in usual and key not in before and getattr(recipe, key) == usual[key]
    }
    return replace(recipe, **old)


def further_columns(recipe: Recipe) -> list[str]:
    """Columns of the training rows that *recipe* learns from beside texts and targets."""
    if not isinstance(recipe, TransformerRecipe):
        return []
    contrast = [] if recipe.contrast is None else [recipe.contrast.column]
    return list(dict.fromkeys([*recipe.auxiliary, *contrast]))


def template_of(recipe: Recipe) -> list[str]:
    """The sides of a template that *recipe* sets; none where its kind knows no templates."""
    return list(getattr(recipe, "template", ()))


def row_steps_of(recipe: Recipe) -> list[RowStep]:
    """What *recipe* makes of training rows; nothing where its kind knows no such setting."""
    return list(getattr(recipe, "rows", ()))


def tta_steps_of(recipe: Recipe) -> list[RowStep]:
    """The other wordings of a row that *recipe* asks about; likewise."""
    return list(getattr(recipe, "tta", ()))


def saw_held_out(recipe: Recipe) -> bool:
    """Whether the saved learners have seen the rows that their folds hold out, which others
    answered (`AveragedRecipe.across_folds`)."""
    return bool(getattr(recipe, "across_folds", False))


def one_for_all(recipe: Recipe) -> bool:
    """Whether the saved learners of all folds are one and the same, and answer alike."""
    return saw_held_out(recipe) and not getattr(recipe, "draws", True)


def available(root: Path) -> list[str]:
    """Names of the recipes in ROOT/configs/models and of those shipped, sorted."""
    folders = (root / "configs" / "models", shipped_folder())
    return sorted({file.stem for folder in folders for file in folder.glob("*.yaml")})


def shipped_folder() -> Path:
    """Where the recipes lie that come with the package: inside a wheel, else in the checkout."""
    package = Path(__file__).parents[1]
    installed = package / "configs" / "models"
    return installed if installed.is_dir() else package.parent / "configs" / "models"


def _origin(name: str, root: Path) -> Path | re.Match[str]:
    """A recipe's YAML file, a backbone's folder or a hub id; UsageError for anything else."""
    if file := _recipe_file(name, root):
        return file
    folder = Path(name).expanduser()
    if (folder / "config.json").is_file():
        return folder
    if folder.is_dir():
        raise UsageError(
            f"--model {name} is a folder without config.json. Expected a backbone as "
            "save_pretrained writes it: config.json, model.safetensors and the tokenizer's files."
        )
    if match := HUB_ID.fullmatch(name):
        return _shipped_for(match, root) or match
    close = get_close_matches(name.lower(), available(root), n=3, cutoff=0.4)
    hint = f"did you mean {' or '.join(close)}? " if close else ""
    raise UsageError(
        f"there is no model {name!r}; {hint}--model takes a recipe "
        f"({', '.join(available(root)) or 'none is there'}), a Hugging Face id such as "
        "klue/roberta-base (a revision may follow an @), or a local folder with config.json."
    )


def _recipe_file(name: str, root: Path) -> Path | None:
    if not SAFE.fullmatch(name):
        return None
    folders = (root / "configs" / "models", shipped_folder())
    candidates = (folder / f"{name}.yaml" for folder in folders)
    return next((file for file in candidates if file.is_file()), None)


def _shipped_for(match: re.Match[str], root: Path) -> Path | None:
    """The recipe shipped for a hub id, unless another revision than its own is asked for."""
    if match["revision"] is not None:
        return None
    return _recipe_with_backbone(match["id"], root)


def _recipe_with_backbone(backbone: str, root: Path, others: bool = True) -> Path | None:
    """The recipe shipped for *backbone*, of a transformer before those of *others* learners."""
    files = sorted(shipped_folder().glob("*.yaml"))
    kinds = [lambda learner: learner == "transformer", lambda learner: others]
    for fits in kinds:
        for file in files:
            content = _load(file)
            if content.get("backbone") == backbone and fits(content.get("learner")):
                return _recipe_file(file.stem, root)
    return None


def _read(name: str, origin: Path | re.Match[str], root: Path, overrides: Sequence[str]) -> Recipe:
    """The recipe at *origin*, overrides last."""
    if isinstance(origin, re.Match):
        id_, revision = origin["id"], origin["revision"]
        own = [f"name={name}", f"backbone={id_}", f"revision={revision or 'null'}", "sha256=null"]
        if base := _recipe_with_backbone(id_, root, others=False):
            return read_section(TransformerRecipe, base, [*own, *overrides])
        size = _size_of_name(id_)
    elif origin.is_dir():
        folder = origin.resolve()
        place = hashlib.sha256(str(folder).encode()).hexdigest()[:6]
        own = [f"name={folder.name}-{place}", f"backbone={folder}"]
        size = _size_of_config(folder)
    else:
        return _read_file(origin, overrides)
    source = f"source=settings for a {size} backbone, by its size; not tuned for it"
    return read_section(TransformerRecipe, None, [*own, source, *BY_SIZE[size], *overrides])


def _read_file(file: Path, overrides: Sequence[str]) -> Recipe:
    learner = _load(file).get("learner")
    if learner not in LEARNERS:
        raise UsageError(f"{file}: learner is {learner!r}; expected one of: {', '.join(LEARNERS)}")
    kind: type[Recipe] = load(LEARNERS[learner].recipe)
    recipe = read_section(kind, file, [f"name={file.stem}", *overrides])
    if (written := _load(file).get("name", file.stem)) != file.stem:
        raise UsageError(
            f"{file}: name is {written!r}, but a recipe is named after its file. "
            "Rename the file or delete the line."
        )
    return recipe


def _load(file: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} is not a YAML file: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise UsageError(f"{file} holds no settings; expected lines such as 'learner: transformer'")
    return values


def _check_keys(overrides: Sequence[str], kind: type[Recipe], name: str) -> None:
    known = [field.name for field in fields(kind) if field.name not in NOT_SETTINGS]
    known.sort(key=lambda name: name in TEACHING)  # a learner's own settings first
    for override in overrides:
        key, equals, _ = override.partition("=")
        if not equals:
            raise UsageError(f"{override!r} is not a setting; expected KEY=VALUE, such as epochs=1")
        if key not in known:
            close = get_close_matches(key, known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}"
            raise UsageError(f"the model {name} has no setting {key!r}; {hint}")


def _size_of_name(id_: str) -> str:
    """small, base or large, read from a hub id: nothing is downloaded to name a run."""
    words = re.split(r"[^a-z0-9]+", id_.lower())
    if any(word in ("large", "xl", "xlarge", "xxl", "xxlarge") for word in words):
        return "large"
    small = ("small", "mini", "tiny", "xsmall", "minilm", "distil", "distilbert", "distilroberta")
    return "small" if any(word in small for word in words) else "base"


def _size_of_config(folder: Path) -> str:
    """small, base or large from the width that config.json states."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        hidden = int(config.get("hidden_size", config.get("dim", 768)))
    except (ValueError, TypeError, AttributeError) as error:
        raise UsageError(f"{folder / 'config.json'} is not a backbone's config: {error}") from error
    return "large" if hidden >= 1024 else "small" if hidden <= 512 else "base"
