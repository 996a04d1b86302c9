"""Adapters for workers: importable, so that another process can load them, and with texts that make trouble."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flagbench import BadInput
from flagbench.models.baselines.random import FakeEncoder, FakeScorer
from flagbench.models.embeddings import Embeddings
from flagbench.models.loading.registry import published
from flagbench.models.rerankers.settings import CompressionSettings
from flagbench.models.spec import ModelSpec

ENCODER = published()["flagbench/random"]
SCORER = published()["flagbench/random-reranker"]
LAYERED = replace(SCORER, own=CompressionSettings())


class Troubled(FakeEncoder):
    """The random vectors, after what the first text tells it to do.

    ``die once`` and ``hang once`` do so in the first process that gets them; ``read`` and ``write`` wait for one
    another, so both end only where two processes have them at the same time.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(ENCODER)
        self._folder = folder

    def encode(self, texts: Sequence[str], **asked: Any) -> Embeddings:
        match texts[0].split(" "):
            case ["die", "once"] if self._first("died"):
                os.kill(os.getpid(), signal.SIGKILL)
            case ["die", "always"]:
                self._note("attempts")
                os._exit(7)
            case ["hang", "once"] if self._first("hung"):
                threading.Event().wait()
            case ["hang", "always"]:
                self._note("attempts")
                threading.Event().wait()
            case ["raise"]:
                self._note("attempts")
                raise ZeroDivisionError("the text said so")
            case ["refuse"]:
                raise BadInput("this text is not for me")
            case ["read" | "write" as what]:
                with (self._folder / "meeting").open("rb" if what == "read" else "wb"):
                    pass
        return super().encode(texts, **asked)

    def _first(self, name: str) -> bool:
        path = self._folder / name
        if path.exists():
            return False
        path.touch()
        return True

    def _note(self, name: str) -> None:
        with (self._folder / name).open("a", encoding="utf-8") as file:
            file.write(f"{os.getpid()}\n")


class Layered(FakeScorer):
    """A pair's score is the layer at which the model is read."""

    def reading(self, spec: ModelSpec) -> Layered:
        return Layered(spec)

    def score(self, pairs: Sequence[tuple[str, str]], *, instruction: str = "") -> NDArray[np.float32]:
        return np.full(len(pairs), self.spec.own.cutoff_layer, dtype=np.float32)


def load_plain(*, device: str) -> FakeEncoder:
    return FakeEncoder(ENCODER)


def load_scorer(*, device: str) -> FakeScorer:
    return FakeScorer(SCORER)


def load_layered(*, device: str) -> Layered:
    return Layered(LAYERED)


def load_troubled(folder: Path, *, device: str) -> Troubled:
    """Each loading leaves a line in ``loaded``."""
    with (folder / "loaded").open("a", encoding="utf-8") as file:
        file.write(f"{os.getpid()}\n")
    return Troubled(folder)


def load_but_once(folder: Path, *, device: str) -> Troubled:
    """Fails with an error of its own from the third loading on."""
    adapter = load_troubled(folder, device=device)
    if len((folder / "loaded").read_text(encoding="utf-8").split()) > 2:
        raise MemoryError("no room for one more")
    return adapter


def load_refused(*, device: str) -> FakeEncoder:
    raise BadInput("the weights are not there: see --model")


def load_broken(*, device: str) -> FakeEncoder:
    raise ArithmeticError("the weights make no sense")


def load_dying(*, device: str) -> FakeEncoder:
    os._exit(9)
