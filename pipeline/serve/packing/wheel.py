"""This package as a wheel, made from the files that are running.

A wheel is a zip with three files about itself (the binary distribution format,
https://packaging.python.org/en/latest/specifications/binary-distribution-format/). The package
is plain Python, so its files as they are make one. A build tool would need the checkout, and an
installed package has none.
"""

import base64
import hashlib
import io
import re
import tomllib
import zipfile
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from pipeline import __version__

NAME = "foldstack"
NEVER = (1980, 1, 1, 0, 0, 0)
"""The date of every file: the same code gives the same bytes."""


def wheel_name() -> str:
    """The wheel's file name."""
    return f"{NAME}-{__version__}-py3-none-any.whl"


def wheel() -> bytes:
    """The wheel of the running package, with the recipes it ships."""
    package = Path(__file__).resolve().parents[2]
    files = {
        f"{package.name}/{path.relative_to(package).as_posix()}": path.read_bytes()
        for path in sorted(package.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }
    recipes = package.parent / "configs" / "models"
    if not (package / "configs").is_dir() and recipes.is_dir():
        for path in sorted(recipes.glob("*.yaml")):
            files[f"{package.name}/configs/models/{path.name}"] = path.read_bytes()
    about = f"{NAME}-{__version__}.dist-info"
    said = ["Metadata-Version: 2.1", f"Name: {NAME}", f"Version: {__version__}"]
    said += [f"Requires-Dist: {each}" for each in requirements()]
    files[f"{about}/METADATA"] = "\n".join([*said, ""]).encode()
    files[f"{about}/WHEEL"] = (
        b"Wheel-Version: 1.0\nGenerator: foldstack\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    )
    lines = [f"{name},sha256={_digest(content)},{len(content)}" for name, content in files.items()]
    files[f"{about}/RECORD"] = "\n".join([*lines, f"{about}/RECORD,,", ""]).encode()
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, NEVER), content, zipfile.ZIP_DEFLATED)
    return stream.getvalue()


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


def requirements() -> list[str]:
    """What the package needs, as its own metadata say: extras are left out."""
    project = Path(__file__).resolve().parents[3] / "pyproject.toml"
    if project.is_file():
        table = tomllib.loads(project.read_text(encoding="utf-8"))["project"]
        return [str(each) for each in table["dependencies"]]
    try:
        listed = distribution(NAME).requires or []
    except PackageNotFoundError:
        return []
    return [each for each in listed if "extra ==" not in each]


def pinned(names: list[str]) -> list[str]:
    """NAME==VERSION of the installed packages *names* and of all that they need in turn, sorted.

    What is not installed here is left out: it is not needed here.
    """
    found: dict[str, str] = {}
    waiting, seen = list(names), set()
    while waiting:
        asked = waiting.pop()
        name, extras = _plain(asked), _extras(asked)
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        try:
            package = distribution(name)
        except PackageNotFoundError:
            continue
        found[name] = package.version.partition("+")[0]
        waiting += [each for each in package.requires or [] if _is_asked(each, extras)]
    return sorted(f"{name}=={version}" for name, version in found.items())


def _extras(requirement: str) -> frozenset[str]:
    """Those that *requirement* asks for.

    >>> sorted(_extras("jsonargparse[signatures,urls]>=4; python_version > '3'")), len(_extras("a"))
    (['signatures', 'urls'], 0)
    """
    found = re.match(r"\s*[\w.-]+\s*\[([^\]]*)\]", requirement)
    return frozenset(map(_plain, found[1].split(","))) if found else frozenset()


def _is_asked(requirement: str, extras: frozenset[str]) -> bool:
    """Whether a package that was asked for with these *extras* needs it."""
    of = re.findall(r"extra\s*==\s*[\"']([^\"']+)", requirement)
    return not of or bool({*map(_plain, of)} & extras)


def _plain(requirement: str) -> str:
    name = re.split(r"[^\w.-]", requirement.strip(), maxsplit=1)[0]
    return re.sub(r"[-_.]+", "-", name).lower()
