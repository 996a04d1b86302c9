"""BGE-M3's heads: which are read, what is said of those that cannot be, and what they make of the hidden states."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from flagbench import BadInput, ModelFault
from flagbench.models.loading.overrides import Overrides
from flagbench.models.loading.resolve import resolve_model
from flagbench.runners.encoding.encode import TextEncoder
from flagbench.runners.progress import Silent
from tests.filled import write_filled_m3
from tests.saying import saying

pytestmark = pytest.mark.usefixtures("one_thread")

SPARSE, COLBERT = "sparse_linear.pt", "colbert_linear.pt"
ALL = frozenset({"dense", "sparse", "multi_vector"})
HYBRID = saying(retrieval="hybrid")
TEXTS = ["the the the 中国 the", "what is a fox", "a", "", "我们在这个国家，出来说话。", "a b c d e f g " * 20]
SPECIAL = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole checkpoint; copy it before changing it."""
    return write_filled_m3(tmp_path_factory.mktemp("m3") / "whole")


@pytest.fixture
def folder(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "m3"))


def load(folder: Path, overrides: Overrides, *, allow_pickle: bool = True) -> Any:
    options = {"trust_remote_code": False, "allow_pickle": allow_pickle}
    return resolve_model(str(folder), None, overrides, on_cpu=lambda: True, **options).load(
        device="cpu", batch_size=None, **options
    )


def refusal(folder: Path, overrides: Overrides = HYBRID, *, allow_pickle: bool = True) -> str:
    with pytest.raises(BadInput) as caught:
        load(folder, overrides, allow_pickle=allow_pickle)
    message = str(caught.value)
    assert "\n" not in message
    return message


# What cannot be read


@pytest.mark.parametrize(("head", "retrieval"), [(SPARSE, "sparse"), (COLBERT, "colbert"), (SPARSE, "hybrid")])
def test_a_missing_head_is_named(folder: Path, head: str, retrieval: Any) -> None:
    (folder / head).unlink()
    message = refusal(folder, saying(retrieval=retrieval))
    assert str(folder) in message
    assert head in message
    assert "--retrieval" in message


@pytest.mark.parametrize(("head", "retrieval"), [(SPARSE, "sparse"), (COLBERT, "colbert"), (SPARSE, "hybrid")])
def test_a_head_is_not_read_without_leave(folder: Path, head: str, retrieval: Any) -> None:
    message = refusal(folder, saying(retrieval=retrieval), allow_pickle=False)
    assert str(folder / head) in message
    assert "--allow-pickle" in message


class Evil:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self._path,)


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:200])


def text(path: Path) -> None:
    path.write_text("version https://git-lfs.github.com/spec/v1\n", encoding="utf-8")


def empty(path: Path) -> None:
    path.write_bytes(b"")


def without_bias(path: Path) -> None:
    state = torch.load(path, weights_only=True)
    torch.save({"weight": state["weight"]}, path)


def other_names(path: Path) -> None:
    state = torch.load(path, weights_only=True)
    torch.save({f"linear.{name}": tensor for name, tensor in state.items()}, path)


def a_list(path: Path) -> None:
    torch.save([1, 2, 3], path)


def one_tensor(path: Path) -> None:
    torch.save(torch.zeros(3), path)


@pytest.mark.parametrize("head", [SPARSE, COLBERT])
@pytest.mark.parametrize("damage", [truncated, text, empty, without_bias, other_names, a_list, one_tensor])
def test_a_damaged_head_is_named(folder: Path, head: str, damage: Any) -> None:
    damage(folder / head)
    assert str(folder / head) in refusal(folder)


@pytest.mark.parametrize("head", [SPARSE, COLBERT])
def test_code_in_a_head_does_not_run(folder: Path, head: str, tmp_path: Path) -> None:
    (folder / head).write_bytes(pickle.dumps({"weight": Evil(tmp_path / "ran")}))
    assert str(folder / head) in refusal(folder)
    torch.save({"weight": Evil(tmp_path / "ran"), "bias": torch.zeros(1)}, folder / head)
    assert str(folder / head) in refusal(folder)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("head", [SPARSE, COLBERT])
def test_a_head_for_other_hidden_states_is_named(folder: Path, head: str) -> None:
    width = 1 if head == SPARSE else 32
    torch.save({"weight": torch.ones(width, 16), "bias": torch.ones(width)}, folder / head)
    message = refusal(folder)
    assert str(folder / head) in message
    assert "32" in message


@pytest.mark.parametrize("width", [2, 32])
def test_a_sparse_head_that_gives_more_than_one_weight_is_named(folder: Path, width: int) -> None:
    """The two heads in each other's place, for one."""
    torch.save({"weight": torch.ones(width, 32), "bias": torch.ones(width)}, folder / SPARSE)
    assert str(folder / SPARSE) in refusal(folder, saying(retrieval="sparse"))


@pytest.mark.parametrize(("head", "part"), [(SPARSE, "sparse"), (COLBERT, "multi_vector")])
def test_a_head_of_nan_is_noticed(folder: Path, head: str, part: Any) -> None:
    state = torch.load(folder / head, weights_only=True)
    torch.save({name: torch.full_like(tensor, np.nan) for name, tensor in state.items()}, folder / head)
    encoder = TextEncoder(load(folder, HYBRID), Silent())
    with pytest.raises(ModelFault, match="NaN or infinite values"):
        encoder.encode_parts(["what is a fox"], role="query", parts=frozenset({part}))


# Which are read


@pytest.mark.parametrize(
    ("overrides", "absent"),
    [
        (saying(retrieval="sparse"), [COLBERT]),
        (saying(retrieval="colbert"), [SPARSE]),
        (saying(retrieval="hybrid", weights=(1, 0.3, 0)), [COLBERT]),
        (saying(retrieval="hybrid", weights=(1, 0, 1)), [SPARSE]),
        (Overrides(family="bge-m3"), [SPARSE, COLBERT]),
        (saying(family="bge-m3", retrieval="hybrid", weights=(1, 0, 0)), [SPARSE, COLBERT]),
    ],
)
def test_only_the_heads_that_are_needed_are_read(
    folder: Path, written: Path, overrides: Overrides, absent: list[str]
) -> None:
    for head in absent:
        (folder / head).unlink()
    encoder = load(folder, overrides, allow_pickle=len(absent) < 2)
    whole = load(written, HYBRID).encode(TEXTS, role="query", parts=ALL)
    found = encoder.encode(TEXTS, role="query", parts=encoder.parts)
    assert encoder.parts == encoder.spec.parts | {"dense"}
    if encoder.parts == {"dense"}:  # one token of the last layer is then enough
        assert np.abs(found.dense - whole.dense).max() <= 1e-6
    else:
        assert np.array_equal(found.dense, whole.dense)
    if found.sparse is not None:
        assert abs(found.sparse - whole.sparse).max() == 0
    if found.multi_vector is not None:
        assert np.array_equal(found.multi_vector.values, whole.multi_vector.values)
    assert (found.sparse is None, found.multi_vector is None) == (SPARSE in absent, COLBERT in absent)


def test_a_part_without_its_head_cannot_be_asked_for(written: Path) -> None:
    with pytest.raises(ValueError, match="--retrieval"):
        load(written, saying(retrieval="sparse")).encode(["a"], role="query", parts=ALL)


# What they make of the hidden states


@pytest.fixture(scope="module")
def truth(written: Path) -> list[dict[str, Any]]:
    """Token ids, weights and vectors of each text, one by one in double precision from transformers' hidden states."""
    tokenizer = AutoTokenizer.from_pretrained(written, local_files_only=True)
    model = AutoModel.from_pretrained(written, local_files_only=True, add_pooling_layer=False).eval().double()
    heads = {name: torch.load(written / name, weights_only=True) for name in (SPARSE, COLBERT)}
    found = []
    for text in TEXTS:
        batch = tokenizer(text, truncation=True, max_length=64, return_tensors="pt")
        with torch.inference_mode():
            hidden = model(**batch).last_hidden_state[0].numpy()
        made = {
            name: hidden @ head["weight"].double().numpy().T + head["bias"].double().numpy()
            for name, head in heads.items()
        }
        vectors = [row / np.sqrt((row**2).sum()) for row in made[COLBERT][1:]]
        found.append({"ids": batch["input_ids"][0].tolist(), "weights": made[SPARSE][:, 0], "vectors": vectors})
    return found


@pytest.fixture(scope="module")
def sparse(written: Path) -> Any:
    encoder = load(written, saying(retrieval="sparse"))
    return encoder.encode(TEXTS, role="query", parts=frozenset({"sparse"})).sparse


def test_a_weight_is_the_largest_of_the_tokens_places(sparse: Any, truth: list[dict[str, Any]]) -> None:
    assert sparse.shape[0] == len(TEXTS)
    repeated = 0
    for row, text in enumerate(truth):
        wanted: dict[int, float] = {}
        for token, weight in zip(text["ids"], text["weights"].tolist(), strict=True):
            if token not in SPECIAL.values() and weight > 0:
                repeated += wanted.get(token, weight) != weight
                wanted[token] = max(weight, wanted.get(token, 0.0))
        mine = sparse[[row]].tocoo()
        assert dict(zip(mine.col.tolist(), mine.data.tolist(), strict=True)) == pytest.approx(wanted, abs=1e-5)
    assert repeated > 3


def test_a_text_stores_each_token_once_and_none_without_weight(sparse: Any) -> None:
    assert sparse.has_canonical_format
    assert (sparse.data > 0).all()
    assert sparse.nnz > 10


def test_special_tokens_have_no_weight(written: Path, truth: list[dict[str, Any]]) -> None:
    """Also where the head would give them one, as all do here."""
    encoder = load(written, saying(retrieval="sparse"))
    with torch.no_grad():
        encoder._sparse_head.bias.fill_(1_000)
    texts = [*TEXTS, "ß ü unknown ж"]
    weights = encoder.encode(texts, role="query", parts=frozenset({"sparse"})).sparse.toarray()
    assert AutoTokenizer.from_pretrained(written, local_files_only=True).convert_tokens_to_ids("ж") == SPECIAL["<unk>"]
    for row, text in enumerate(truth):
        assert set(np.flatnonzero(weights[row])) == set(text["ids"]) - set(SPECIAL.values())
    assert (weights[-1] > 0).any()
    assert not weights[:, list(SPECIAL.values())].any()


def test_an_empty_text_has_no_weights_and_one_vector(written: Path) -> None:
    found = load(written, HYBRID).encode(["", "a"], role="query", parts=ALL)
    assert found.sparse[[0]].nnz == 0
    assert len(found.multi_vector[0]) == 1  # of </s>


def test_token_vectors_are_those_of_all_tokens_but_the_first(written: Path, truth: list[dict[str, Any]]) -> None:
    found = load(written, saying(retrieval="colbert")).encode(TEXTS, role="query", parts=frozenset({"multi_vector"}))
    for vectors, text in zip(found.multi_vector, truth, strict=True):
        assert vectors.shape == (len(text["ids"]) - 1, 32)
        assert np.abs(vectors - np.array(text["vectors"])).max() <= 1e-5


@pytest.mark.parametrize("dtype", ["fp16", "bf16"])
def test_vectors_of_half_precision_are_normalised_in_float32(written: Path, dtype: Any) -> None:
    """Their lengths would be off by a thousandth otherwise, which is more than what separates passages."""
    found = load(written, saying(retrieval="hybrid", dtype=dtype)).encode(TEXTS, role="query", parts=ALL)
    for vectors in (found.dense, found.multi_vector.values):
        assert vectors.dtype == np.float32
        assert np.abs(np.linalg.norm(vectors, axis=1) - 1).max() <= 1e-6
    exact = load(written, HYBRID).encode(TEXTS, role="query", parts=ALL)
    assert 1e-5 < np.abs(found.multi_vector.values - exact.multi_vector.values).max() < 0.1


def test_queries_and_passages_are_cut_to_the_models_length(written: Path) -> None:
    encoder = load(written, HYBRID)
    for role in ("query", "passage", "symmetric"):
        assert len(encoder.encode(["a " * 100], role=role, parts=ALL).multi_vector[0]) == 63
