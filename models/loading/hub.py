"""Files from the Hugging Face hub at a pinned revision, with errors that say what to do."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Literal

from flagbench import BadInput, NoHub

RepoType = Literal["model", "dataset"]

PROBE_SECONDS = 3.0
"""How long the hub may take to answer at all."""


def offline() -> bool:
    """Whether the user has set ``HF_HUB_OFFLINE``."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "TRUE", "YES", "ON"}


def endpoint() -> str:
    """The address of the hub, or of the mirror that ``HF_ENDPOINT`` names."""
    from huggingface_hub.constants import ENDPOINT

    return ENDPOINT


def address() -> str:
    """The same as it may be printed: without the name and password of the user, which a mirror's may hold."""
    scheme, between, rest = endpoint().partition("://")
    return f"{scheme}{between}{rest.rpartition('@')[2]}"


def answers() -> bool:
    """Whether the hub, or its mirror, answers, whatever it says: asked once a minute at most."""
    return bool(status())


def status() -> int:
    """The HTTP status of its first page, asked once a minute at most, for ``PROBE_SECONDS``; 0 for no answer."""
    return _status(endpoint(), int(time.monotonic() // 60))


@lru_cache(maxsize=1)
def _status(address: str, _: int) -> int:
    answered: list[int] = []

    def ask() -> None:
        from huggingface_hub import get_session

        with suppress(Exception):  # whatever it is, there is no answer
            answered.append(get_session().head(address, timeout=PROBE_SECONDS).status_code)

    # In a thread, as names are looked up for as long as the system's own settings say.
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(PROBE_SECONDS)
    return answered[0] if answered else 0


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
        NoHub: The hub gives no answer, or an error of its own, and the files are not in the cache.
    """
    from huggingface_hub import errors as hub
    from huggingface_hub import snapshot_download

    where = f"{repo_type} {repo} at revision {revision}"
    silent = not offline() and not answers()
    try:
        found = snapshot_download(
            repo,
            repo_type=repo_type,
            revision=revision,
            allow_patterns=list(patterns),
            local_files_only=silent,  # which has no retries to wait for
        )
        return Path(found)
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
        raise _unreached(where, repo_type, error, silent=silent) from error


def _unreached(where: str, repo_type: RepoType, error: Exception, *, silent: bool) -> BadInput:
    """What is said where the hub did not give what is not in its cache."""
    local = "give local files" + (" (--data DIR)" if repo_type == "dataset" else "")
    if offline():
        return BadInput(f"{where}: HF_HUB_OFFLINE is set and it is not in the cache; unset HF_HUB_OFFLINE or {local}")
    named = "HF_ENDPOINT" in os.environ
    mirror = "correct HF_ENDPOINT" if named else "set HF_ENDPOINT to a mirror"
    hub = f"HF_ENDPOINT={address()}" if named else address()
    if silent:
        return NoHub(f"{where} is not in the cache, and {hub} gives no answer; {mirror}, or {local}")
    status = getattr(getattr(error, "response", None), "status_code", None)
    what = f"answers with HTTP {status}" if isinstance(status, int) else "stopped answering"
    return NoHub(f"{where}: {hub} {what}; try again later, {mirror}, or {local}")
