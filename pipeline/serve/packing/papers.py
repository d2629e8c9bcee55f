"""What a bundle holds for people: licences, a notebook without a network, a Dockerfile."""

import json
import re
import sys
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from pipeline.models.hub.weights import PACKAGE

UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class Backbone:
    """Where a backbone came from."""

    name: str
    """As the recipe calls it."""
    origin: str
    sha256: str
    licence: str
    said_by: str
    """Where the licence is read."""

    @classmethod
    def of(cls, name: str, origin: str, sha256: str, folder: Path) -> "Backbone":
        """A backbone whose files lie in *folder*."""
        licence, said_by = licence_of(name, folder)
        shown = Path(name).name if Path(name).is_absolute() else name
        return cls(
            name=shown,
            origin=origin.replace(name, shown),
            sha256=sha256,
            licence=licence,
            said_by=said_by,
        )

    def about(self) -> dict[str, str]:
        """For bundle.json."""
        return asdict(self)


def licence_of(name: str, folder: Path) -> tuple[str, str]:
    """The licence of a backbone, and where it is read; `UNKNOWN` where nothing here says so.

    Looked at, in this order: the front matter of the model card (README.md, as the Hugging Face
    hub has it), a file LICENSE, the metadata of the Python package it came in.
    """
    card = folder / "README.md"
    if card.is_file():
        head = card.read_text(encoding="utf-8", errors="replace")[:20_000]
        front = re.match(r"---\s*\n(.*?)\n---", head, re.DOTALL)
        found = re.search(r"^license:\s*(\S.*)$", front[1], re.MULTILINE) if front else None
        if found:
            return found[1].strip().strip("'\""), "its model card, README.md"
    for path in sorted(folder.glob("LICEN[SC]E*")):
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
        first = next((line.strip() for line in lines if line.strip()), "")
        if first:
            return first[:80], f"the first line of {path.name}"
    if name.startswith(PACKAGE):
        package = name.removeprefix(PACKAGE)
        about: Any = metadata.metadata(package)
        said = about.get("License-Expression") or about.get("License") or ""
        if said.strip():
            return said.strip().split("\n")[0][:80], f"the metadata of the package {package}"
    return UNKNOWN, "nothing on the machine that made the bundle; read it where it came from"


def licences(backbones: list[Backbone]) -> str:
    """LICENCES.md."""
    lines = [
        "# Licences of the backbones",
        "",
        "What is known of them on the machine that made the bundle. Handing the bundle on hands on",
        "weights that were trained from these.",
        "",
        "| backbone | from | licence | read in | SHA-256 |",
        "| --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {each.name} | {each.origin} | {each.licence} | {each.said_by} | `{each.sha256}` |"
        for each in backbones
    ]
    if not backbones:
        lines = [*lines[:2], "No member starts from a pretrained backbone."]
    return "\n".join([*lines, ""])


def readme(about: dict[str, Any]) -> str:
    """README.md."""
    honest = "untold" if about["honest"] is None else f"{about['honest']:.4f}"
    members = "\n".join(
        f"- {each['name']}: {len(each['parts'])} learners. Of training rows it holds: "
        f"{each['remembers']}."
        for each in about["members"]
    )
    joined = [join["file"] for join in about["config"]["data"].get("joins", ())]
    data = (
        f"`data/` has the tables that are joined to the rows to predict: {', '.join(joined)}."
        if joined
        else "No other rows of the competition are in it, but for the ids of two of the sample."
    )
    about_http = "over HTTP, with the package in wheels/ installed"
    over_http = f"    python -m pipeline.serve .         # {about_http}\n"
    return f"""# {about["submission"]}

Predicts as this submission of {about["competition"]} did: {about["method"]},
decision {about["decision"]}; honest {about["metric"]} {honest}, for rows like the competition's.

    pip install -r wheels.txt          # once; without a network see notebook.ipynb
    python predict.py test.csv -o submission.csv --sample sample_submission.csv
{over_http}
{members}

{data} `sha256sum -c SHA256SUMS` says whether all is as it was made.
"""


def notebook(about: dict[str, Any]) -> str:
    """notebook.ipynb: for a competition whose test is hidden and whose machine has no network.

    Format: https://nbformat.readthedocs.io/en/latest/format_description.html, version 4.5.
    """
    text = f"""# {about["submission"]}, without a network

Attach two data sets to this notebook: this bundle, and the wheels of `wheels.txt`, downloaded where
there is a network:

    pip download --no-deps -r wheels.txt -d more-wheels

Then set the three paths below. The test file that lies there when the notebook is scored is read,
and the sample beside it gives ids, order and header."""
    paths = (
        'BUNDLE = "/kaggle/input/bundle"\n'
        'WHEELS = "/kaggle/input/more-wheels"\n'
        'DATA = "/kaggle/input/competition"  # its test.csv and sample_submission.csv'
    )
    install = (
        "%pip install --quiet --no-index --no-deps --find-links {WHEELS} -r {BUNDLE}/wheels.txt"
    )
    predict = (
        "!HF_HUB_OFFLINE=1 python {BUNDLE}/predict.py {DATA}/test.csv -o submission.csv "
        "--sample {DATA}/sample_submission.csv"
    )
    cells = [
        {"cell_type": "markdown", "id": "about", "metadata": {}, "source": text},
        *(
            {
                "cell_type": "code",
                "id": name,
                "metadata": {},
                "execution_count": None,
                "outputs": [],
                "source": source,
            }
            for name, source in (("paths", paths), ("install", install), ("predict", predict))
        ),
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    content = {
        "cells": cells,
        "metadata": {"kernelspec": kernel},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def dockerfile() -> str:
    """Dockerfile: serves the bundle as a user without rights, on a file system nobody writes to,
    with the Python that packed it, as the versions in wheels.txt are those that run on it.

    FOLDSTACK_TOKEN has to be set when it is started, as it listens beyond the machine.
    """
    python = ".".join(map(str, sys.version_info[:2]))
    return f"""# docker build -t predictions .
# docker run --read-only --tmpfs /tmp -p 8000:8000 -e FOLDSTACK_TOKEN=... predictions
# torch is the one for CPUs; for a GPU: docker build --build-arg TORCH_INDEX= …
FROM python:{python}-slim
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN useradd --uid 10001 --create-home served
WORKDIR /bundle
COPY wheels.txt wheels-serve.txt ./
RUN pip install --no-cache-dir ${{TORCH_INDEX:+--extra-index-url $TORCH_INDEX}} \\
    -r wheels.txt -r wheels-serve.txt
COPY . .
RUN pip install --no-cache-dir --no-deps wheels/foldstack-*.whl
USER 10001
ENV HF_HUB_OFFLINE=1 HOME=/tmp
EXPOSE 8000
HEALTHCHECK --start-period=60s CMD ["python", "-c", \\
    "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/readyz')"]
CMD ["python", "-m", "pipeline.serve", "/bundle", "--host", "0.0.0.0", "--port", "8000"]
"""
