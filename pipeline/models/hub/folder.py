"""What a folder with a backbone must look like before anything is built from it.

Safetensors only: no pickle is ever loaded. No code of the checkpoint's own is ever run. Reads
nothing but JSON and the bytes that are hashed; imports nothing heavy.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from pipeline.base.errors import ArtifactError, UsageError, raise_if
from pipeline.base.files import sha256

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
SETTINGS = ("config.json", "tokenizer_config.json", "processor_config.json")
ADAPTER = "adapter_config.json"
"""transformers would load another repository, and weights that no digest covers, because of it."""
VOCABULARIES = ("tokenizer.json", "vocab.txt", "vocab.json", "*.model")
CONVERT = """python - <<'END'
import torch, safetensors.torch
old = torch.load("{folder}/pytorch_model.bin", map_location="cpu", weights_only=True)
new = {{name: tensor.clone().contiguous() for name, tensor in old.items()}}
safetensors.torch.save_file(new, "{folder}/model.safetensors", {{"format": "pt"}})
END"""


def check(folder: Path, origin: str, expected_sha256: str | None, remedy: str = "") -> str:
    """The SHA-256 of the weights in *folder*, once all that can be seen without loading is well.

    Args:
        folder: what `save_pretrained` wrote.
        origin: for messages: where the folder comes from.
        expected_sha256: what the recipe says the digest must be.
        remedy: what to do where there are no safetensors; a conversion of the folder by default.

    Raises UsageError listing everything that rules the backbone out, ArtifactError where its files
    are damaged or are not those the recipe names.
    """
    config = _json(folder / "config.json")
    problems = [
        f"it needs code of its own ({name} has {key}), which is never run; "
        "choose a backbone that transformers knows by itself"
        for name in SETTINGS
        for key in _code(_json(folder / name))
    ]
    if (folder / ADAPTER).is_file():
        problems.append(f"it is an adapter ({ADAPTER}); merge it into its backbone first")
    if not config:
        problems.append(f"{folder / 'config.json'} is missing")
    if config.get("is_encoder_decoder"):
        problems.append("it is an encoder with a decoder; expected an encoder such as BERT")
    if not has_vocabulary(folder):
        problems.append("it has no tokenizer (tokenizer.json, vocab.txt or a sentencepiece model)")
    files = weight_files(folder)
    if not files:
        problems.append(f"it has no {SINGLE}. {remedy or _conversion(folder)}".rstrip())
    raise_if(problems, UsageError, f"{origin} cannot be used as a backbone")
    raise_if([problem for file in files if (problem := _damage(file))], ArtifactError, origin)
    digest = _digest(files)
    if expected_sha256 not in (None, digest):
        raise ArtifactError(
            f"{origin} does not hold the weights that the recipe names: the SHA-256 of "
            f"{files[0]} is {digest}, expected {expected_sha256}. Get the files again; if the "
            "change is meant, write the new value into the recipe."
        )
    return digest


def is_complete(folder: Path) -> bool:
    """Whether config, tokenizer and safetensors are all there."""
    return (
        (folder / "config.json").is_file() and has_vocabulary(folder) and bool(weight_files(folder))
    )


def has_vocabulary(folder: Path) -> bool:
    """Whether a tokenizer can be read from *folder*."""
    return any(any(folder.glob(pattern)) for pattern in VOCABULARIES)


def weight_files(folder: Path) -> list[Path]:
    """The safetensors that make up the weights; none unless every part is there."""
    if (folder / SINGLE).is_file():
        return [folder / SINGLE]
    parts = sorted(set(_json(folder / INDEX).get("weight_map", {}).values()))
    files = [folder / Path(part).name for part in parts]
    return files if all(file.is_file() for file in files) else []


def _damage(file: Path) -> str:
    """What is wrong with a safetensors file, or nothing: its header must cover it exactly."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="np"):
            return ""
    except SafetensorError as error:
        return f"{file} is damaged ({error}). Get the file again"


def _digest(files: list[Path]) -> str:
    """SHA-256 of the only file, or of the digests of several in the order of their names."""
    digests = [sha256(file) for file in files]
    if len(digests) == 1:
        return digests[0]
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def _code(settings: Any) -> list[str]:
    """The keys in *settings*, however deep, that make transformers load code from elsewhere."""
    if isinstance(settings, list):
        return [key for inner in settings for key in _code(inner)]
    if not isinstance(settings, dict):
        return []
    found = ["auto_map"] if "auto_map" in settings else []
    found += [
        key
        for key in ("attn_implementation", "_attn_implementation", "experts_implementation")
        if "/" in str(settings.get(key, ""))  # the name of a compiled kernel on the hub
    ]
    return found + [key for inner in settings.values() for key in _code(inner)]


def _conversion(folder: Path) -> str:
    if not (folder / "pytorch_model.bin").is_file():
        return (
            f"Expected what save_pretrained writes: config.json, {SINGLE}, the tokenizer's files."
        )
    return (
        "pytorch_model.bin is a pickle, and pickles are never loaded here. "
        f"Convert it once:\n{CONVERT.format(folder=folder)}"
    )


def _json(path: Path) -> dict[str, Any]:
    """The object in *path*; empty where there is no such file."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"{path} is damaged: {error}") from error
    if not isinstance(value, dict):
        raise ArtifactError(f"{path} is damaged: it holds no JSON object")
    return value
