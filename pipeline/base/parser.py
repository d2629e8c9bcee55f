"""Dataclasses filled from a YAML file, each of their fields also a command-line option.

The file is read whole and checked whole before anything runs. An unknown key is refused with the
nearest known one.
"""

import re
import sys
from argparse import RawDescriptionHelpFormatter
from collections.abc import Mapping, Sequence
from dataclasses import fields
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar

from jsonargparse import ArgumentParser, DefaultHelpFormatter, Namespace, set_parsing_settings

from pipeline import __version__
from pipeline.base.config import Competition
from pipeline.base.errors import UsageError

# What jsonargparse complains of, in words for people.


KINDS = {
    "float": "a number",
    "int": "a whole number",
    "str": "text",
    "bool": "true or false",
    "list": "a list",
    "tuple[float, float]": "two numbers",
    "NoneType": "null",
}
"""Types as a person calls them."""


def explained(message: str, flags: Sequence[str], program: str) -> str:
    """*message* in words, with the nearest of the known *flags* (--name) for each unknown one."""
    if inner := of_group(" ".join(message.split())):
        return inner
    known = [flag.lstrip("-") for flag in flags]
    plain = re.sub(r"Problem with given class_path '[\w.]+': ", "", " ".join(message.split()))
    lines = [in_words(plain, flags)]
    unknown = re.findall(r"--([\w.-]+)", message) if "unrecognized" in message else []
    unknown += re.findall(r"[Oo]ption '([\w.-]+)' is not accepted", message)
    nested = re.findall(r"Group '([\w.-]+)' does not accept option '([\w.-]+)'", message)
    unknown += [".".join(pair) for pair in nested]
    if "Expected a <class 'str'>" in message:
        lines.append("text that looks like a number or a date needs quotes in YAML")
    for name in unknown:
        close = get_close_matches(name, known, n=1)
        lines.append(f"did you mean {close[0]!r}?" if close else f"see {program} --help")
    return "; ".join(lines)


def of_group(message: str) -> str:
    """What is said of a value that is a group of settings by itself, for people; else empty."""
    key, of_class = r'Parser key "([\w.]+)": .*', r"Problem with given class_path '([\w.]+)': (.*?)"
    found = re.search(f"{key}{of_class} - Expected a ", message)
    if found is None:
        plain = re.search(rf"{key}Expected a dot import path string: (.*?) -", message)
        expected = "expected settings such as {key: value}"
        return f"{plain[1]}: {expected}, found {plain[2]!r}" if plain else ""
    name, kind, said = found.groups()
    module, _, cls = kind.rpartition(".")
    known = ", ".join(getattr(import_module(module), cls).__dataclass_fields__)
    if option := re.search(r"Option '([\w.-]+)' is not accepted", said):
        return f"{name} has no setting {option[1]!r}; it has: {known}"
    if missing := re.search(r"arguments are required: (.*?) *$", said):
        return f"{name} needs {missing[1]}, such as {{{missing[1]}: …}}; it has: {known}"
    return f"{name}.{in_words(said, [])}"


def in_words(message: str, flags: Sequence[str]) -> str:
    """What is said of a value of another type, for people; else *message* as it is."""
    found = re.search(
        r"""Parser key "([\w.]+)": (?:Expected an? |.*?Subtypes: \[)(.+?)(?:\] Errors: .*)?"""
        r"""(?:\. Got value|Given value): (.*)$""",
        message,
    )
    expected = expected_words(found[2]) if found else ""
    if found is None or not expected:
        return message
    name = found[1] if f"--{found[1]}" in flags else found[1].replace("_", "-")
    return f"{name}: expected {expected}, found {found[3].strip()!r}"


def expected_words(kinds: str) -> str:
    """The parser's name of a type in words; empty where there are none for it.

    >>> expected_words("<class 'int'>, <class 'NoneType'>"), expected_words("Literal['a', 'b']")
    ('a whole number or null', "one of 'a', 'b'")
    """
    known = re.findall(r"<class '(\w+)'>|(tuple\[float, float\])|Literal\[(.+?)\]", kinds)
    words = [
        f"one of {choices}" if choices else KINDS.get(name or pair, "")
        for name, pair, choices in known
    ]
    return " or ".join(words) if all(words) else ""


set_parsing_settings(docstring_parse_attribute_docstrings=True)

Section = TypeVar("Section")
DEFAULT_CONFIG = "configs/default.yaml"


class _Help(RawDescriptionHelpFormatter, DefaultHelpFormatter):
    """Keep the lines of a description, such as examples, as they are."""


class Parser(ArgumentParser):
    """A command's parser: --root, --json, its own options, and where asked a competition's."""

    def __init__(self, command: str = "", description: str = "", **more: Any) -> None:
        if not command:  # jsonargparse makes one for each entry of a list of sections
            super().__init__(**more)
            return
        super().__init__(
            prog=f"python -m pipeline.{command}",
            usage="%(prog)s [options]",
            description=description,
            formatter_class=_Help,
            version=__version__,
            exit_on_error=False,
            allow_abbrev=False,
            **more,
        )
        self.add_argument(
            "--root", default=".", help="configs/, folds/, oof/, runs/, submissions/ lie under it"
        )
        self.add_argument("--json", action="store_true", help="print one JSON object on stdout")

    def add_competition(self) -> None:
        """Add --config and every field of a `Competition`."""
        self.add_argument("--config", action="config", help=f"default: ROOT/{DEFAULT_CONFIG}")
        self.add_class_arguments(Competition, None)

    def add_afterwards(self) -> None:
        """Add what is done once the command has ended: --report and --notify."""
        self.add_argument(
            "--report",
            action="store_true",
            help="then write submissions/NAME-report.html anew, as pipeline.report does",
        )
        self.add_argument(
            "--notify",
            metavar="COMMAND",
            help="run COMMAND when this ends or fails; FOLDSTACK_STATUS and other variables tell "
            "it what happened (docs/how-to-watch.md)",
        )

    def read(self, argv: Sequence[str] | None = None) -> Namespace:
        """Parse *argv* (default: this process's); UsageError, with the nearest known name, for
        anything unknown."""
        arguments = list(sys.argv[1:] if argv is None else argv)
        if any(action.dest == "config" for action in self._actions):
            arguments = _with_config_file(arguments)
        try:
            return self.parse_args(arguments)
        except (Exception, SystemExit) as error:
            if isinstance(error, SystemExit) and error.code in (0, None):  # --help, --version
                raise
            raise UsageError(explained(str(error), self.flags, self.prog)) from error

    @property
    def flags(self) -> list[str]:
        """Every option there is, as it is typed."""
        return [flag for action in self._actions for flag in action.option_strings]

    def parse_path(self, path: str | PathLike[str], *args: Any, **more: Any) -> Namespace:
        """Parse a config file; jsonargparse itself would read it in the locale's encoding."""
        return self.parse_string(_text_of(Path(path)), Path(path).name, *args, **more)

    def competition(self, namespace: Namespace) -> Competition:
        """The frozen competition of a namespace that `read` returned."""
        return build(self, namespace, Competition)


def build(parser: ArgumentParser, namespace: Namespace, kind: type[Section]) -> Section:
    """Instantiate the dataclass *kind* from the parsed fields of *namespace*."""
    try:
        values = parser.instantiate(namespace)
    except UsageError:
        raise
    except (TypeError, ValueError) as error:
        if isinstance(error.__cause__, UsageError):
            raise error.__cause__ from None
        raise UsageError(str(error)) from error
    names = [each.name for each in fields(kind)]  # type: ignore[arg-type]  # a dataclass
    return kind(**{name: values[name] for name in names})


def read_section(kind: type[Section], path: Path | None, overrides: Sequence[str] = ()) -> Section:
    """Build the dataclass *kind* from a YAML file (or none) and KEY=VALUE *overrides*.

    Raises UsageError naming the file and, for an unknown key, the nearest known one.
    """
    parser = _parser_of(kind, from_file=path is not None)  # type: ignore[arg-type]
    options = [f"--{override}" for override in overrides]
    if path is not None:
        options = ["--config", str(path), *options]
    try:
        return build(parser, parser.read(options), kind)
    except UsageError as error:
        raise UsageError(f"{path}: {error}" if path else str(error)) from error


@cache
def _parser_of(kind: type[Any], from_file: bool) -> Parser:
    """Of the fields of *kind*, made once: that takes longer than to read with it."""
    parser = Parser("config", "")
    if from_file:
        parser.add_argument("--config", action="config")
    parser.add_class_arguments(kind, None)
    return parser


def from_dict(kind: type[Section], values: Mapping[str, Any]) -> Section:
    """Build the dataclass *kind* from plain values, as `as_dict` gives them; UsageError where they
    do not fit."""
    parser = _parser_of(kind, from_file=False)  # type: ignore[arg-type]  # a class has a hash
    try:
        namespace = parser.parse_object(dict(values))
    except Exception as error:
        raise UsageError(" ".join(str(error).split())) from error
    return build(parser, namespace, kind)


def _with_config_file(argv: list[str]) -> list[str]:
    """Resolve --config below --root, or put the default in front."""
    if {"-h", "--help"} & set(argv):
        return argv
    root = Path(_value_of("--root", argv) or ".")
    given = _value_of("--config", argv)
    wanted = given or DEFAULT_CONFIG
    candidates = [Path(wanted), root / wanted, root / "configs" / f"{wanted}.yaml"]
    found = next((path for path in candidates[0 if given else 1 :] if path.is_file()), None)
    if found is None:
        there = sorted(path.stem for path in (root / "configs").glob("*.yaml"))
        hint = (
            f"There are: {', '.join(there)}. Name one: --config {there[0]}"
            if there
            else "Write one: python -m pipeline.init"
        )
        raise UsageError(f"there is no config {wanted} under {root.resolve()}. {hint}")
    return ["--config", str(found), *_without("--config", argv)]


def _text_of(path: Path) -> str:
    """A config's text, which is UTF-8 whatever the locale says."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise UsageError(
            f"the config {path} is not UTF-8 (line {line}). Save it as UTF-8 in your editor."
        ) from error


def _value_of(option: str, argv: Sequence[str]) -> str | None:
    for position, argument in enumerate(argv):
        if argument == option and position + 1 < len(argv):
            return argv[position + 1]
        if argument.startswith(f"{option}="):
            return argument.partition("=")[2]
    return None


def _without(option: str, argv: Sequence[str]) -> list[str]:
    kept, skip = [], False
    for argument in argv:
        if skip or argument.startswith(f"{option}="):
            skip = False
        elif argument == option:
            skip = True
        else:
            kept.append(argument)
    return kept
