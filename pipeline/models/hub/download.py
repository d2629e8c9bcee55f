"""A backbone from the Hugging Face hub, through its cache.

HF_HOME, HF_HUB_OFFLINE and HF_TOKEN are obeyed. What is complete in the cache is used without any
network; a download names the exact command that does it beforehand.
"""

import shlex
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from pipeline.base.errors import BusyError, ResourceError, UsageError
from pipeline.base.files import as_resource_error, free_bytes, size_text
from pipeline.models.hub.folder import is_complete

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
