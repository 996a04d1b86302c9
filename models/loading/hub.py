"""Files from the Hugging Face hub at a pinned revision, with errors that say what to do."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from flagbench import BadInput, NoHub

RepoType = Literal["model", "dataset"]


def cached(repo: str, *, revision: str, file: str) -> Path | None:
    """A file of a model's repo in the hub cache; None where it is not there. Nothing is fetched.

    Args:
        repo: ``org/name``.
        revision: Commit.
        file: Its name.
    """
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repo, file, revision=revision)
    return Path(found) if isinstance(found, str) else None


def download(repo: str, *, repo_type: RepoType, revision: str, patterns: Sequence[str]) -> Path:
    """Bring the matching files of a repo into the hub cache and return the snapshot's folder.

    Files already in the cache are not fetched again. ``HF_ENDPOINT``, ``HF_HUB_OFFLINE``, ``HF_HOME`` and ``HF_TOKEN``
    are honoured by huggingface_hub itself. The folder's name is the commit that was resolved.

    Args:
        repo: ``org/name``.
        repo_type: ``model`` or ``dataset``.
        revision: Commit, tag or branch.
        patterns: Shell patterns of the files wanted.

    Raises:
        BadInput: The repo or revision does not exist, is gated, or is not in the cache while offline.
        NoHub: The hub cannot be reached, and the files are not in the cache.
    """
    from huggingface_hub import errors as hub
    from huggingface_hub import snapshot_download

    where = f"{repo_type} {repo} at revision {revision}"
    try:
        return Path(snapshot_download(repo, repo_type=repo_type, revision=revision, allow_patterns=list(patterns)))
    except hub.GatedRepoError as error:
        raise BadInput(f"{where}: access is gated; accept its terms on the hub and set HF_TOKEN") from error
    except hub.RevisionNotFoundError as error:
        raise BadInput(f"{where}: no such revision on the hub") from error
    except hub.RepositoryNotFoundError as error:
        raise BadInput(f"{where}: no such repository on the hub (or it is private: set HF_TOKEN)") from error
    except hub.HFValidationError as error:
        raise BadInput(f"'{repo}' is neither a folder nor a hub id of the form org/name") from error
    except PermissionError as error:
        raise BadInput(
            f"{where}: {error.filename or 'the cache of the hub'} cannot be written; set HF_HOME to a folder that can"
        ) from error
    except (hub.LocalEntryNotFoundError, hub.HfHubHTTPError, OSError) as error:
        offline = os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "TRUE", "YES", "ON"}
        local = "give local files" + (" (--data DIR)" if repo_type == "dataset" else "")
        if offline:
            reason = f"HF_HUB_OFFLINE is set and it is not in the cache; unset HF_HUB_OFFLINE or {local}"
            raise BadInput(f"{where}: {reason}") from error
        raise NoHub(
            f"{where}: the hub cannot be reached; look at the network or HF_ENDPOINT, set HF_HUB_OFFLINE=1 to read the "
            f"cache alone, or {local}"
        ) from error
