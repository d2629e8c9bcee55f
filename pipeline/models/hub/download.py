"""A backbone from the Hugging Face hub, through its cache.

HF_HOME, HF_HUB_OFFLINE and HF_TOKEN are obeyed. What is complete in the cache is used without any
network; a download names the exact command that does it beforehand.
"""

import hashlib
import json
import shlex
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from pipeline.base import ArtifactError, UsageError, raise_if
from pipeline.base.errors import BusyError, ResourceError
from pipeline.base.files import as_resource_error, free_bytes, sha256, size_text

# What a folder with a backbone must look like before anything is built from it.
#
# Safetensors only: no pickle is ever loaded. No code of the checkpoint's own is ever run. Reads
# nothing but JSON and the bytes that are hashed; imports nothing heavy.


SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
SETTINGS = ("config.json", "tokenizer_config.json", "processor_config.json")
ADAPTER = "adapter_config.json"
"""transformers would load another repository, and weights that no digest covers, because of it."""
LFS = b"version https://git-lfs"
"""How a file begins that Git left in place of the real one."""
WRAPPED = "module."
"""What torch's parallel wrappers put before the name of every weight."""
UNWRAP = """python - <<'END'
import safetensors.torch
old = safetensors.torch.load_file("{file}")
new = {{name.removeprefix("module."): tensor for name, tensor in old.items()}}
safetensors.torch.save_file(new, "{file}", {{"format": "pt"}})
END"""
VOCABULARIES = ("tokenizer.json", "vocab.txt", "vocab.json", "*.model")
CONVERT = """python - <<'END'
import torch, safetensors.torch
old = torch.load("{folder}/pytorch_model.bin", map_location="cpu", weights_only=True)
new = {{name: tensor.clone().contiguous() for name, tensor in old.items()}}
safetensors.torch.save_file(new, "{folder}/model.safetensors", {{"format": "pt"}})
END"""


def check(
    folder: Path, origin: str, expected_sha256: str | None, remedy: str = "", writes: bool = False
) -> str:
    """The SHA-256 of the weights in *folder*, once all that can be seen without loading is well.

    Args:
        folder: what `save_pretrained` wrote.
        origin: for messages: where the folder comes from.
        expected_sha256: what the recipe says the digest must be.
        remedy: what to do where there are no safetensors; a conversion of the folder by default.
        writes: whether it is to write texts, with its decoder.

    Raises UsageError listing all that rules it out, ArtifactError where files are not as expected.
    """
    raise_if(_left_by_git(folder), ArtifactError, origin)
    raise_if(_something_else(folder), UsageError, f"{origin} cannot be used as a backbone")
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
    if config.get("is_encoder_decoder") and not writes and not _encoder_alone(config):
        problems.append(
            "it is an encoder with a decoder, and transformers has no class of its encoder alone; "
            "expected an encoder such as BERT or T5's, or a decoder such as Qwen3"
        )
    if not has_vocabulary(folder):
        problems.append("it has no tokenizer (tokenizer.json, vocab.txt or a sentencepiece model)")
    files = weight_files(folder)
    if not files and (missing := _missing_parts(folder)):
        problems.append(
            f"{', '.join(missing)} of its weights {'is' if len(missing) == 1 else 'are'} missing, "
            f"which {INDEX} names. Get {'it' if len(missing) == 1 else 'them'} again"
        )
    elif not files:
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


def _left_by_git(folder: Path) -> list[str]:
    """The files of *folder* that are pointers of Git LFS."""
    found = []
    for file in sorted(folder.glob("*")):
        if file.suffix in (".safetensors", ".json", ".model", ".txt") and file.is_file():
            with file.open("rb") as stream:
                if stream.read(len(LFS)) == LFS:
                    found.append(file.name)
    if not found:
        return []
    return [
        f"{', '.join(found)} in {folder}: only a pointer that Git LFS left, not the file itself. "
        f"Get it: git -C {folder} lfs pull"
    ]


def _something_else(folder: Path) -> list[str]:
    """What *folder* is instead of a backbone, where that is plain to see."""
    adapters = (folder / ADAPTER, folder / "adapter_model.safetensors")
    if any(file.is_file() for file in adapters) and not weight_files(folder):
        base = _json(folder / ADAPTER).get("base_model_name_or_path")
        return [
            f"it holds adapters only ({ADAPTER}), not the backbone they belong to "
            f"({base or 'which it does not name'}). Merge them once (peft: "
            "AutoPeftModel.from_pretrained(folder).merge_and_unload().save_pretrained(new)), copy "
            "the tokenizer's files, and name the new folder"
        ]
    if (folder / "config.json").is_file() or weight_files(folder):
        return []
    inner = [
        file.parent for file in sorted(folder.glob("*/config.json")) if weight_files(file.parent)
    ]
    if not inner:
        return []
    names = ", ".join(path.name for path in inner)
    return [f"it holds no backbone itself, its folders do ({names}). Set backbone: {inner[-1]}"]


def _encoder_alone(config: dict[str, Any]) -> bool:
    """Whether transformers can load the encoder of an encoder with a decoder by itself."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_TEXT_ENCODING_MAPPING_NAMES

    known = MODEL_FOR_TEXT_ENCODING_MAPPING_NAMES.get(str(config.get("model_type")), "")
    return str(known).endswith("EncoderModel")


def _missing_parts(folder: Path) -> list[str]:
    """The parts of the weights that the index names and that are not there."""
    parts = sorted(set(_json(folder / INDEX).get("weight_map", {}).values()))
    return [Path(part).name for part in parts if not (folder / Path(part).name).is_file()]


def is_complete(folder: Path) -> bool:
    """Whether config, tokenizer and safetensors are all there."""
    return (
        (folder / "config.json").is_file() and has_vocabulary(folder) and bool(weight_files(folder))
    )


def sentence_settings(folder: Path) -> tuple[str | None, int | None]:
    """The pooling and the most tokens that a folder of sentence-transformers was trained with.

    A pooling is named as here: mean, cls, last …; None for what the folder does not say.
    """
    modules = _list(folder / "modules.json")
    paths = [str(each.get("path", "")) for each in modules if "Pooling" in str(each.get("type"))]
    said = _json(folder / Path(paths[0]).name / "config.json") if paths else {}
    old = {
        "pooling_mode_cls_token": "cls",
        "pooling_mode_mean_tokens": "mean",
        "pooling_mode_lasttoken": "last",
        "pooling_mode_max_tokens": "max",
    }
    switched = [name for key, name in old.items() if said.get(key) is True]
    named = {"lasttoken": "last"}.get(str(said.get("pooling_mode")), said.get("pooling_mode"))
    pooling = named if isinstance(named, str) else switched[0] if len(switched) == 1 else None
    most = _json(folder / "sentence_bert_config.json").get("max_seq_length") if modules else None
    return pooling, most if isinstance(most, int) else None


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
        with safe_open(file, framework="np") as content:
            names = list(content.keys())
    except SafetensorError as error:
        return f"{file} is damaged ({error}). Get the file again"
    if names and all(name.startswith(WRAPPED) for name in names):
        return (
            f"the weights in {file} are named {names[0]} …, as a parallel wrapper (DataParallel, "
            f"DDP) calls them. Save model.module instead of model, or rename them once:\n"
            f"{UNWRAP.format(file=file)}"
        )
    return ""


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


def _list(path: Path) -> list[dict[str, Any]]:
    """The objects in the list in *path*; none where there is no such file, or no such list."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return []
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


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


FILES = ["*.json", "*.txt", "*.model", "model.safetensors", "model-*.safetensors"]
REFUSED = (401, 403)
IN_FOLDERS = ["[!1]*/*"]
"""Copies for other runtimes (onnx/, openvino/) lie in folders; the backbone itself does not. What
sentence-transformers says about pooling does, in 1_Pooling/."""


def cached(repository: str, revision: str | None) -> Path | None:
    """The folder of *repository* in the cache, if everything needed is there. No network."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        folder = Path(
            snapshot_download(
                repository,
                revision=revision,
                allow_patterns=FILES,
                ignore_patterns=IN_FOLDERS,
                local_files_only=True,
            )
        )
    except LocalEntryNotFoundError:
        return None
    except HFValidationError as error:
        raise UsageError(f"{repository!r} is not a Hugging Face id: {error}") from error
    return folder if is_complete(folder) else None


def download(repository: str, revision: str | None) -> Path:
    """Fetch *repository* into the cache.

    Raises BusyError where the hub does not answer, UsageError where it has no such thing, does not
    give it away or HF_HUB_OFFLINE forbids to ask, ResourceError where the cache is too full or
    cannot be written.
    """
    from huggingface_hub import HfApi, constants, errors, is_offline_mode, snapshot_download

    what = repository if revision is None else f"{repository} at revision {revision}"
    get = command(repository, revision)
    if is_offline_mode():
        raise UsageError(
            f"{what} is not in the cache, and HF_HUB_OFFLINE is set. Where there is a network, "
            f"download it first:\n  {get}\nor unset HF_HUB_OFFLINE."
        )
    try:
        # snapshot_download asks the same first, but would wait for the answer for ever
        about = HfApi().repo_info(
            repository,
            revision=revision,
            timeout=constants.HF_HUB_ETAG_TIMEOUT,
            files_metadata=True,
        )
        _check_space(what, getattr(about, "siblings", None) or [], Path(constants.HF_HUB_CACHE))
        return Path(
            snapshot_download(
                repository, revision=revision, allow_patterns=FILES, ignore_patterns=IN_FOLDERS
            )
        )
    except errors.GatedRepoError as error:
        raise UsageError(
            f"{what} is gated. Accept its terms at https://huggingface.co/{repository}, then log "
            "in with: hf auth login (or set HF_TOKEN)."
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise UsageError(
            f"the hub has no {repository}, or it is private. Check the name; for a private one "
            "log in with: hf auth login (or set HF_TOKEN)."
        ) from error
    except errors.RevisionNotFoundError as error:
        raise UsageError(
            f"{repository} has no revision {revision}; see "
            f"https://huggingface.co/{repository}/commits/main"
        ) from error
    except (errors.HTTPError, OSError) as error:
        if resource := as_resource_error(error, Path(constants.HF_HUB_CACHE)):
            raise resource from error
        if (status := _status(error)) in REFUSED:
            raise UsageError(
                f"the hub refuses {what} (HTTP {status}): the token it was asked with is not valid "
                "here. Log in again with: hf auth login (or set or unset HF_TOKEN)."
            ) from error
        raise BusyError(
            f"cannot download {what}: {_reason(error)}. Try again later, or where there is a "
            f"network run:\n  {get}"
        ) from error


def _check_space(what: str, files: Sequence[Any], cache: Path) -> None:
    """Raise ResourceError where the *cache* cannot hold the *files* that would be downloaded."""
    need = sum(
        file.size or 0
        for file in files
        if "/" not in file.rfilename and any(fnmatch(file.rfilename, part) for part in FILES)
    )
    if need > (free := free_bytes(cache)):
        raise ResourceError(
            f"{what} takes {size_text(need)} in {cache}, {size_text(free)} are free. Free some "
            "space, or set HF_HOME to a folder on another disk."
        )


def command(repository: str, revision: str | None) -> str:
    """The shell command that puts *repository* into the cache."""
    chosen = [] if revision is None else ["--revision", revision]
    patterns = [word for pattern in FILES for word in ("--include", pattern)]
    return shlex.join(["hf", "download", repository, *chosen, *patterns])


def no_safetensors(repository: str, revision: str | None) -> str:
    """What to do about a repository that holds no safetensors."""
    there = f"https://huggingface.co/{repository}/discussions"
    tried = "" if revision is None else f" Revision {revision} was asked for."
    return (
        f"Pickles are never loaded here.{tried} The hub often keeps a converted copy as a pull "
        f"request: look at {there}, then use {repository}@refs/pr/1 (its number)."
    )


def _status(error: BaseException) -> int | None:
    """The HTTP status that is behind *error*, if there is one."""
    response = getattr(error.__cause__ or error, "response", None)
    return getattr(response, "status_code", None)


def _reason(error: BaseException) -> str:
    """The first line of what really went wrong."""
    cause = error.__cause__ or error
    lines = str(cause).strip().splitlines()
    return lines[0].rstrip(". ") if lines else type(cause).__name__
