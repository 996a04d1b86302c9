"""A GGUF: a file that has config, tokenizer, chat template and quantised weights of one model, as llama.cpp reads it.

transformers takes its weights out of their quantised form when it reads it.
"""

from __future__ import annotations

import hashlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from flagbench import BadInput, first_few
from flagbench.files import open_file, user_path
from flagbench.models.loading.checkpoint import Checkpoint
from flagbench.models.loading.folder import FIX, is_there

if TYPE_CHECKING:
    from io import BufferedReader

ENDING = ".gguf"
_MAGIC = b"GGUF"
_HASHED = 40


@dataclass(frozen=True)
class GgufCheckpoint(Checkpoint):
    """A GGUF; its folder may hold others, and nothing else there is a part of the model.

    Attributes:
        file: Its name in ``directory``.
    """

    file: str = ""

    def check_unchanged(self, *, allow_pickle: bool) -> None:
        """See Checkpoint."""
        if state(self.directory / self.file) != self.states and hash_file(self.directory / self.file) != self.revision:
            raise BadInput(
                f"{self.directory / self.file} has changed since this run began, so that its scores would belong to no "
                "checkpoint: start the run again, on a copy where something writes to it"
            )

    def weights_file(self) -> Path:
        """See Checkpoint: the file itself."""
        return self.directory / self.file

    @property
    def transformer(self) -> Path:
        """See Checkpoint: the folder, whatever else is in it."""
        return self.directory

    @property
    def settings_folder(self) -> Path:
        """See Checkpoint."""
        return self.directory

    @property
    def tokenizer_folder(self) -> Path:
        """See Checkpoint."""
        return self.directory


def gguf_of(model: str) -> Path | None:
    """The GGUF that a user means by a file, or by a folder whose only weights it is; None for anything else.

    Raises:
        BadInput: A folder has several, and no other weights.
    """
    path = user_path(model)
    if path.name.endswith(ENDING) and not path.is_dir():
        return path
    if not path.is_dir() or is_there(path / "config.json") or is_there(path / "adapter_config.json"):
        return None
    found = sorted(path.glob(f"*{ENDING}"))
    if len(found) > 1:
        names = first_few(each.name for each in found)
        raise BadInput(f"{model} has several GGUF files ({names}): name the one to evaluate")
    return found[0] if found else None


def locate_gguf(path: Path, revision: str | None) -> GgufCheckpoint:
    """A GGUF as a checkpoint.

    Args:
        path: Of the file.
        revision: As given by the user; a file has none but the hash of its bytes.

    Raises:
        BadInput: It is no GGUF that can be read, or the package that reads it is missing.
    """
    if revision:
        raise BadInput(f"--revision is for models on the hub, and {path} is a local file: drop one of the two")
    if importlib.util.find_spec("gguf") is None:
        raise BadInput(f"{path} needs the package gguf: pip install 'flagbench[gguf]'")
    with open_file(path, FIX) as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise BadInput(f"{path} is no GGUF, as it does not begin with {_MAGIC.decode()}: {FIX}")
    real = path.resolve()
    before = state(real)
    name = f"local/{real.name.removesuffix(ENDING)}".replace(" ", "_")
    return GgufCheckpoint(real.parent, name, hash_file(real), local=True, states=before, file=real.name)


def hash_file(path: Path) -> str:
    """40 hex digits over the bytes of a file."""
    with open_file(path, FIX) as file:
        return hashlib.file_digest(cast("BufferedReader", file), "sha256").hexdigest()[:_HASHED]


def state(path: Path) -> tuple[tuple[str, int, int, int, int, int]]:
    """What tells without reading a file whether it may have changed since (``folder.FileStates``)."""
    try:
        found = path.stat()
    except OSError as error:
        raise BadInput(f"{path} cannot be read ({error.strerror}): {FIX}") from error
    times = (found.st_mtime_ns, found.st_ctime_ns)
    return ((str(path), found.st_dev, found.st_ino, found.st_size, *times),)
