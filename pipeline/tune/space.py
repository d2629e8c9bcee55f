"""The space file: which settings of a recipe are searched, and where.

    learning_rate: {type: float, low: 1.0e-5, high: 1.0e-4, log: true}
    epochs: {type: int, low: 2, high: 5}
    pooling: {type: categorical, choices: [mean, cls, attention]}

Types, bounds, `log` and `step` are those of Optuna's distributions (Akiba et al., "Optuna: A
Next-generation Hyperparameter Optimization Framework", KDD 2019). The whole file is checked against
the recipe before anything is trained.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from pipeline.base import UsageError, raise_if
from pipeline.base.config import as_dict
from pipeline.models.recipes import NOT_SETTINGS, Recipe, find, shipped_folder

KEYS = {
    "float": ("low", "high", "log", "step"),
    "int": ("low", "high", "log", "step"),
    "categorical": ("choices",),
}
FORM = "{type: float, low: 1.0e-5, high: 1.0e-4, log: true}"


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Where one setting is looked for."""

    type: str
    """float, int or categorical."""
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    step: float | None = None
    choices: tuple[Any, ...] = ()
    """Values as a recipe holds them."""

    @property
    def ends(self) -> list[Any]:
        """Values that must be possible: both bounds, or every choice."""
        return list(self.choices) if self.type == "categorical" else [self.low, self.high]

    def distribution(self) -> Any:
        """As Optuna has it. Choices that are no plain value are known there by their JSON."""
        from optuna.distributions import (
            CategoricalDistribution,
            FloatDistribution,
            IntDistribution,
        )

        if self.type == "categorical":
            return CategoricalDistribution([shown(choice) for choice in self.choices])
        if self.type == "int":
            step = 1 if self.step is None else int(self.step)
            return IntDistribution(int(self.low), int(self.high), log=self.log, step=step)
        return FloatDistribution(self.low, self.high, log=self.log, step=self.step)

    def as_value(self, suggested: Any) -> Any:
        """The recipe's value for what Optuna *suggested*."""
        if self.type == "float" and self.step is None:
            return float(f"{suggested:.4g}")  # as a person would write it
        if self.type != "categorical":
            return suggested
        return next(choice for choice in self.choices if shown(choice) == suggested)


def shown(value: Any) -> bool | int | float | str | None:
    """A value that Optuna's storage takes: itself, or its JSON.

    >>> shown(0.1), shown(None), shown([1, 4])
    (0.1, None, '[1, 4]')
    """
    return value if isinstance(value, bool | int | float | str | None) else json.dumps(value)


def as_override(key: str, value: Any) -> str:
    """As --set takes it.

    >>> as_override("char_ngrams", [1, 4]), as_override("pooling", "cls")
    ('char_ngrams=[1, 4]', 'pooling=cls')
    """
    return f"{key}={value if isinstance(value, str) else json.dumps(value)}"


@dataclass(frozen=True, kw_only=True)
class Space:
    """What is searched, for one recipe."""

    model: str
    """As --model names it."""
    fixed: tuple[str, ...]
    """KEY=VALUE of all trials, as --set gives them."""
    root: Path
    default: Recipe
    """What the search starts from, and is held against."""
    settings: Mapping[str, Setting]
    _recipes: dict[tuple[str, ...], Recipe] = field(default_factory=dict, repr=False)

    def overrides(self, params: Mapping[str, Any]) -> tuple[str, ...]:
        """The KEY=VALUE that make the recipe of *params*, setting -> as Optuna suggested it; a
        value that the default has already changes nothing and is left out."""
        own = as_dict(self.default)
        values = {key: self.settings[key].as_value(params[key]) for key in self.settings}
        changed = {key: value for key, value in values.items() if value != own[key]}
        return (*self.fixed, *(as_override(key, value) for key, value in changed.items()))

    def recipe(self, params: Mapping[str, Any]) -> Recipe:
        """The recipe of *params*; UsageError where its settings do not go together."""
        overrides = self.overrides(params)
        if overrides not in self._recipes:
            self._recipes[overrides] = find(self.model, self.root, overrides)
        return self._recipes[overrides]

    def default_params(self) -> dict[str, Any] | None:
        """The default as Optuna would suggest it; None where it is not in the space."""
        own, found = as_dict(self.default), {}
        for key, setting in self.settings.items():
            value = own[key]
            if setting.type == "categorical" and value not in setting.choices:
                return None
            if setting.type != "categorical" and not (
                isinstance(value, int | float) and setting.low <= value <= setting.high
            ):
                return None
            found[key] = shown(value)
        return found


def shipped(learner: str) -> Path | None:
    """The space that comes with the package for a kind of learner; None where none does."""
    file = shipped_folder().parent / "spaces" / f"{learner}.yaml"
    return file if file.is_file() else None


def read_space(file: str | None, model: str, root: Path, fixed: tuple[str, ...]) -> Space:
    """The space in *file* (a path, or a name of ROOT/configs/spaces or of those shipped; None: the
    name of the recipe's kind of learner) for the recipe that --model and --set name.

    UsageError naming everything that is wrong with it: unknown settings, types, bounds, and values
    that the recipe refuses.
    """
    default = find(model, root, fixed)
    known = [each.name for each in fields(default) if each.name not in (*NOT_SETTINGS, "source")]
    path = _path_of(file, root, default, known)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not a YAML file: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict) or not content:
        raise UsageError(f"{path} holds no settings; expected lines such as learning_rate: {FORM}")
    problems, settings = [], {}
    for key, value in content.items():
        found = _setting(str(key), value, known, fixed)
        if isinstance(found, Setting):
            settings[str(key)] = found
            problems += _refused(str(key), found, model, root, fixed)
        else:
            problems += found
    raise_if(problems, UsageError, f"the space {path} does not fit the recipe {model}")
    return Space(model=model, fixed=fixed, root=root, default=default, settings=settings)


def _example(default: Recipe, known: Sequence[str]) -> str:
    """A line of a space, of the recipe's first whole number: from half of it to twice as much."""
    for name in known:
        value = as_dict(default)[name]
        if type(value) is int and value > 0:
            return f"{name}: {{type: int, low: {max(value // 2, 1)}, high: {2 * value}}}"
    return f"learning_rate: {FORM}"


def _path_of(file: str | None, root: Path, default: Recipe, known: Sequence[str]) -> Path:
    if file is None:
        learner = default.learner
        own = root / "configs" / "spaces" / f"{learner}.yaml"
        if found := own if own.is_file() else shipped(learner):
            return found
        raise UsageError(
            f"--space is missing: no space is shipped for learner {learner}. Write a file with a "
            f"line for each setting that is searched, such as {_example(default, known)}\nThe "
            f"recipe has the settings {', '.join(known)}"
        )
    folders = (root / "configs" / "spaces", shipped_folder().parent / "spaces")
    candidates = [Path(file), root / file, *(folder / f"{file}.yaml" for folder in folders)]
    for path in candidates:
        if path.is_file():
            return path
    there = sorted({path.stem for folder in folders for path in folder.glob("*.yaml")})
    raise UsageError(
        f"--space {file}: there is no such file, and no space of that name; there are: "
        + ", ".join(there)
    )


def _setting(key: str, value: Any, known: list[str], fixed: tuple[str, ...]) -> Setting | list[str]:
    """The setting that *value* describes, or what is wrong with it."""
    if key not in known:
        close = get_close_matches(key, known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}"
        return [f"{key}: the recipe has no such setting; {hint}"]
    if any(override.partition("=")[0] == key for override in fixed):
        return [f"{key}: is in the space and in --set; leave one of them out"]
    kind = value.get("type") if isinstance(value, dict) else None
    if kind not in KEYS:
        return [f"{key}: expected a type ({', '.join(KEYS)}), such as {FORM}; found {value!r:.60}"]
    if unknown := [name for name in value if name not in ("type", *KEYS[kind])]:
        allowed = ", ".join(KEYS[kind])
        return [f"{key}: {kind} has no {', '.join(map(str, unknown))}; it has: {allowed}"]
    return _categorical(key, value) if kind == "categorical" else _numeric(key, kind, value)


def _categorical(key: str, value: Mapping[str, Any]) -> Setting | list[str]:
    choices = value.get("choices")
    if not isinstance(choices, list) or len(choices) < 2:
        return [f"{key}: choices is {choices!r}; expected a list of two values or more"]
    if len({json.dumps(choice, sort_keys=True) for choice in choices}) < len(choices):
        return [f"{key}: choices holds a value twice: {choices}"]
    return Setting(type="categorical", choices=tuple(choices))


def _numeric(key: str, kind: str, value: Mapping[str, Any]) -> Setting | list[str]:
    wrong = []
    found: dict[str, float | None] = {}
    for name in ("low", "high", "step"):
        number = _number(value[name]) if name in value else None
        if number is None and (name in value or name != "step"):
            wrong.append(f"{key}: {name} is {value.get(name)!r}; expected a number")
        elif number is not None and kind == "int" and number != int(number):
            wrong.append(f"{key}: {name} is {value[name]!r}; expected a whole number")
        found[name] = int(number) if number is not None and kind == "int" else number
    log, low, high, step = value.get("log", False), found["low"], found["high"], found["step"]
    if not isinstance(log, bool):
        wrong.append(f"{key}: log is {log!r}; expected true or false")
    if wrong or low is None or high is None:
        return wrong
    if not low < high:
        wrong.append(f"{key}: low is {low:g} and high {high:g}; low must be below high")
    if log is True and low <= 0:
        wrong.append(f"{key}: low is {low:g}; with log it must be above 0")
    if log is True and step is not None:
        wrong.append(f"{key}: has log and step; leave one of them out")
    if step is not None and not 0 < step <= high - low:
        wrong.append(f"{key}: step is {step:g}; expected more than 0, at most high - low")
    return wrong or Setting(type=kind, low=low, high=high, log=log, step=step)


def _number(value: Any) -> float | None:
    """A number; YAML takes 1e-5 for a text, people do not."""
    try:
        return None if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        return None


def _refused(
    key: str, setting: Setting, model: str, root: Path, fixed: tuple[str, ...]
) -> list[str]:
    """What the recipe says to each end of the setting, the other settings as they are."""
    said = []
    for value in setting.ends:
        try:
            find(model, root, [*fixed, as_override(key, value)])
        except UsageError as error:
            words = " ".join(str(error).split())
            said.append(f"{key} {shown(value)}: {words.partition('.yaml: ')[2] or words}")
    return said
