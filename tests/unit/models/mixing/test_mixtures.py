"""Mixtures: sums of weights compared with sums by hand, and what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from flagbench import BadInput
from flagbench.files import cache_folder
from flagbench.models.contract import Loading
from flagbench.models.loading.overrides import Overrides
from flagbench.models.loading.resolve import Model, resolve_model
from flagbench.models.mixing.folder import mixed_folder
from flagbench.models.mixing.save import save_mixture
from flagbench.models.prompts import Window
from flagbench.models.text_models import resolve_text_generator
from tests import filled, peft_adapters
from tests.checkpoints import add_sentence_transformers
from tests.cocktail_models import write_bert, write_llama, write_reranker

TEXTS = ["w1 w2 w3", "w40", "w7 w8 w9 w10 w11"]
PAIRS = [("w1 w2", "w3"), ("w1 w2", "w50 w51"), ("w7", "w8 w9")]


def found(*terms: tuple[float, Path], pickles: bool = False, rerank: bool = False, **said: Any) -> Model:
    name = "cocktail:" + "+".join(f'{weight}*"{folder}"' for weight, folder in terms)
    return resolve_model(
        name, None, Overrides(**said), as_reranker=rerank, trust_remote_code=False, allow_pickle=pickles
    )


def tensors(model: Model, *, pickles: bool = False) -> dict[str, torch.Tensor]:
    """The weights of a mixture, as they are read."""
    assert model.checkpoint is not None
    with mixed_folder(model.checkpoint, model.spec, Loading("cpu", allow_pickle=pickles)) as folder:  # type: ignore[arg-type]
        return load_file(folder / "model.safetensors")


def loaded(model: Model, *, pickles: bool = False) -> Any:
    return model.load(device="cpu", batch_size=None, trust_remote_code=False, allow_pickle=pickles, backend="torch")


def plain(folder: Path, **said: Any) -> Any:
    return loaded(resolve_model(str(folder), None, Overrides(**said), trust_remote_code=False, allow_pickle=False))


@pytest.fixture
def berts(tmp_path: Path) -> tuple[Path, Path]:
    one, two = (write_bert(tmp_path / name, seed) for seed, name in ((1, "one"), (2, "two")))
    return add_sentence_transformers(one, pooling="mean"), add_sentence_transformers(two, pooling="mean")


def change(folder: Path, edit: Callable[[dict[str, torch.Tensor]], None]) -> Path:
    """Change the weights of a folder."""
    weights = load_file(folder / "model.safetensors")
    edit(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def add_to(weights: dict[str, torch.Tensor], *, weight: float, other: dict[str, torch.Tensor]) -> None:
    for key, value in weights.items():
        value.mul_(weight).add_(other[key], alpha=1 - weight)


def test_a_large_mixture_is_read_from_several_files_and_saved_as_one(
    berts: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = found((0.6, berts[0]), (0.4, berts[1]))
    whole, vectors = tensors(model), loaded(model).encode(TEXTS, role="query").dense
    monkeypatch.setattr("flagbench.models.mixing.tensors._SMALLEST_FILE", 8_000)
    assert model.checkpoint is not None
    with mixed_folder(model.checkpoint, model.spec, Loading("cpu")) as folder:  # type: ignore[arg-type]
        files = sorted(folder.glob("model*.safetensors"))
        parts = [load_file(path) for path in files]
        assert len(parts) > 3
        assert files[0].name == f"model-00001-of-{len(parts):05}.safetensors"
        index = json.loads((folder / "model.safetensors.index.json").read_text(encoding="utf-8"))
    assert index["weight_map"] == {key: path.name for path, part in zip(files, parts, strict=True) for key in part}
    assert index["metadata"]["total_size"] == sum(each.nbytes for each in whole.values())
    assert all(each.ndim < 2 for each in parts[0].values())
    assert all(each.ndim == 2 for each in parts[1].values())
    merged = {key: value for part in parts for key, value in part.items()}
    assert merged.keys() == whole.keys()
    assert all(torch.equal(merged[key], whole[key]) for key in whole)
    np.testing.assert_array_equal(loaded(model).encode(TEXTS, role="query").dense, vectors)
    save_mixture(model, tmp_path / "saved", Loading("cpu"))
    assert [path.name for path in (tmp_path / "saved").glob("*.safetensors*")] == ["model.safetensors"]


def test_a_mixture_is_the_sum_of_the_weights(berts: tuple[Path, Path]) -> None:
    one, two = (load_file(folder / "model.safetensors") for folder in berts)
    made = tensors(found((0.6, berts[0]), (0.4, berts[1])))
    assert made.keys() == one.keys()
    for key, value in made.items():
        torch.testing.assert_close(
            value, (0.6 * one[key].double() + 0.4 * two[key].double()).float(), rtol=0, atol=2e-7
        )


def test_a_model_mixed_with_itself_is_itself(berts: tuple[Path, Path]) -> None:
    model = found((0.3, berts[0]), (0.7, berts[0]))
    assert any("in it more than once" in line for line in model.evidence)
    given, own = (each.encode(TEXTS, role="symmetric").dense for each in (loaded(model), plain(berts[0])))
    np.testing.assert_allclose(given, own, rtol=0, atol=1e-6)


def test_identity_is_of_weights_order_and_files(berts: tuple[Path, Path]) -> None:
    one, two = berts
    specs = [
        found(*terms).spec
        for terms in (
            ((0.6, one), (0.4, two)),
            ((0.4, one), (0.6, two)),
            ((0.4, two), (0.6, one)),
        )
    ]
    assert len({spec.revision for spec in specs}) == 3
    assert specs[0].name == "cocktail/0.6-one_0.4-two"
    assert [weight for weight, _ in specs[0].mixture] == [0.6, 0.4]
    assert specs[0].as_dict()["mixture"][1][1].startswith("local/two@")
    change(two, lambda weights: weights["embeddings.LayerNorm.bias"].add_(1))
    assert found((0.6, one), (0.4, two)).spec.revision != specs[0].revision
    assert "mixture" not in resolve_spec(one)


def resolve_spec(folder: Path) -> dict[str, Any]:
    return resolve_model(str(folder), None, Overrides(), trust_remote_code=False, allow_pickle=False).spec.as_dict()


def test_the_first_models_number_format_is_kept(berts: tuple[Path, Path]) -> None:
    one, two = berts
    halves = {key: value.half() for key, value in load_file(one / "model.safetensors").items()}
    save_file(halves, one / "model.safetensors", metadata={"format": "pt"})
    made = tensors(found((0.5, one), (0.5, two)))
    other = load_file(two / "model.safetensors")
    key = "encoder.layer.0.output.dense.weight"
    assert made[key].dtype == torch.float16
    assert torch.equal(made[key], (0.5 * halves[key].float() + 0.5 * other[key]).half())
    change(one, lambda weights: weights[key].fill_(6e4))
    change(two, lambda weights: weights[key].fill_(9e4))
    with pytest.raises(BadInput, match="too large for F16"):
        tensors(found((0.5, one), (0.5, two)))


def test_a_sum_that_the_number_format_cannot_hold_is_refused(berts: tuple[Path, Path]) -> None:
    """In fp32 as well, whatever the order; what is not finite in a model stays so."""
    one, two = berts
    for weights in ((1e39, 0.5), (0.5, 1e39), (0.5, -1e300)):
        with pytest.raises(BadInput, match="too large for F32"):
            tensors(found(*zip(weights, berts, strict=True), any_weights=True))
    key = "encoder.layer.0.output.dense.weight"
    change(one, lambda weights: weights[key].fill_(-torch.inf))
    assert torch.isneginf(tensors(found((0.5, one), (0.5, two)))[key]).all()


def test_shards_and_pickles_are_read(berts: tuple[Path, Path], tmp_path: Path) -> None:
    one, two = (load_file(folder / "model.safetensors") for folder in berts)
    keys = sorted(one)
    for number, part in enumerate((keys[:10], keys[10:]), 1):
        name = f"model-0000{number}-of-00002.safetensors"
        save_file({key: one[key] for key in part}, berts[0] / name, metadata={"format": "pt"})
    index = {key: f"model-0000{1 if key in keys[:10] else 2}-of-00002.safetensors" for key in keys}
    (berts[0] / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))
    (berts[0] / "model.safetensors").unlink()
    (berts[1] / "model.safetensors").unlink()
    torch.save(two, berts[1] / "pytorch_model.bin")
    with pytest.raises(BadInput, match="pickle"):
        found((0.6, berts[0]), (0.4, berts[1]))
    made = tensors(found((0.6, berts[0]), (0.4, berts[1]), pickles=True), pickles=True)
    for key in keys:
        torch.testing.assert_close(made[key], 0.6 * one[key] + 0.4 * two[key], rtol=0, atol=2e-7)


def test_whole_numbers_must_be_the_same_and_marks_are_copied(berts: tuple[Path, Path]) -> None:
    def positions(weights: dict[str, torch.Tensor]) -> None:
        weights["embeddings.position_ids"] = torch.arange(64)[None]
        weights["embeddings.seen"] = torch.tensor([True, False])

    change(berts[0], positions)
    made = tensors(found((0.5, berts[0]), (0.5, berts[1])))  # newer transformers does not save positions
    assert torch.equal(made["embeddings.position_ids"], torch.arange(64)[None])
    assert made["embeddings.seen"].tolist() == [True, False]
    change(berts[1], positions)
    change(berts[1], lambda weights: weights["embeddings.position_ids"].add_(1))
    with pytest.raises(BadInput, match=r"embeddings\.position_ids holds whole numbers that are others in"):
        tensors(found((0.5, berts[0]), (0.5, berts[1])))


def test_prefixes_poolers_and_heads_beside_are_as_the_loader_has_them(tmp_path: Path) -> None:
    masked = write_bert(tmp_path / "masked", 1, kind="BertForMaskedLM")
    bare = write_bert(tmp_path / "bare", 2)
    one, two = (load_file(folder / "model.safetensors") for folder in (masked, bare))
    assert "bert.embeddings.word_embeddings.weight" in one
    model = found((0.5, bare), (0.5, masked))
    made = tensors(model)
    key = "encoder.layer.1.output.dense.weight"
    torch.testing.assert_close(made[key], 0.5 * two[key] + 0.5 * one[f"bert.{key}"], rtol=0, atol=2e-7)
    assert not any(name.startswith("pooler.") for name in made)
    lines = "\n".join(model.evidence)
    assert "without pooler.dense" in lines
    assert "that the first model lacks (cls." in lines
    with pytest.raises(BadInput, match=r"has no tensor cls\."):
        found((0.5, masked), (0.5, bare))


def test_tied_weights_are_summed_once(tmp_path: Path) -> None:
    one, two = (write_llama(tmp_path / str(seed), seed, tie_word_embeddings=True) for seed in (1, 2))
    first, second = (load_file(folder / "model.safetensors") for folder in (one, two))
    name = f'cocktail:0.25*"{one}"+0.75*"{two}"'
    model = resolve_text_generator(name, None, Overrides(), trust_remote_code=False, allow_pickle=False)
    embedded = "model.embed_tokens.weight"
    made = tensors(model)
    torch.testing.assert_close(made[embedded], 0.25 * first[embedded] + 0.75 * second[embedded], rtol=0, atol=2e-7)
    assert "lm_head.weight" not in made
    (one / "model.safetensors").unlink()
    torch.save(first | {"lm_head.weight": first[embedded]}, one / "pytorch_model.bin")
    model = resolve_text_generator(name, None, Overrides(), trust_remote_code=False, allow_pickle=True)
    made = tensors(model, pickles=True)
    assert torch.equal(made["lm_head.weight"], made[embedded])


def test_a_language_model_answers_as_the_sum_does(tmp_path: Path) -> None:
    one, two = (write_llama(tmp_path / str(seed), seed) for seed in (1, 2))
    by_hand = shutil.copytree(one, tmp_path / "by-hand")
    change(by_hand, partial(add_to, weight=0.5, other=load_file(two / "model.safetensors")))
    allowed = {"trust_remote_code": False, "allow_pickle": False}
    models = [
        resolve_text_generator(name, None, Overrides(dtype="fp32"), **allowed)
        for name in (f'cocktail:0.5*"{one}"+0.5*"{two}"', str(by_hand))
    ]
    windows = [Window((4, 10, 11, 12, 13, 14), 5)]
    given, wanted = ([loss for _, loss in loaded(model).losses(windows)] for model in models)
    assert given[0].nats == pytest.approx(wanted[0].nats, abs=1e-5)


def test_a_reranker_scores_as_the_sum_does(tmp_path: Path) -> None:
    one, two = (write_reranker(tmp_path / str(seed), seed) for seed in (1, 2))
    by_hand = shutil.copytree(one, tmp_path / "by-hand")
    change(by_hand, partial(add_to, weight=0.2, other=load_file(two / "model.safetensors")))
    given = loaded(found((0.2, one), (0.8, two), rerank=True)).score(PAIRS)
    np.testing.assert_allclose(given, plain(by_hand).score(PAIRS), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["bert", "cross-encoder", "llm-reranker"])
def test_adapters_are_merged_before_they_are_mixed(name: str, tmp_path: Path) -> None:
    case = peft_adapters.CASES[name]
    base = case.build(tmp_path / "base")
    adapter = peft_adapters.train(base, tmp_path / "adapter", case)
    merged = peft_adapters.merged_by_hand(base, tmp_path / "merged", adapter)
    said = {"family": case.asked.family} if case.asked.family else {}
    mixtures = [found((0.5, base), (0.5, folder), rerank=name != "bert", **said) for folder in (adapter, merged)]
    mixtures.append(found((0.5, adapter), (0.5, base), rerank=name != "bert", **said))
    made = [tensors(model) for model in mixtures]
    for key, value in made[0].items():
        torch.testing.assert_close(value, made[1][key], rtol=0, atol=1e-6)
        if key in made[2]:
            torch.testing.assert_close(value, made[2][key], rtol=0, atol=1e-6)
    assert not mixtures[2].spec.adapters
    assert "+" in mixtures[2].spec.mixture[0][1]


def test_heads_of_m3_are_mixed_where_all_have_them(tmp_path: Path) -> None:
    one, two = (filled.write_filled_m3(tmp_path / str(seed), seed=seed) for seed in (1, 2))
    from tests.saying import saying

    name = f'cocktail:0.5*"{one}"+0.5*"{two}"'
    model = resolve_model(name, None, saying(retrieval="hybrid"), trust_remote_code=False, allow_pickle=True)
    assert model.checkpoint is not None
    with mixed_folder(model.checkpoint, model.spec, Loading("cpu", allow_pickle=True)) as folder:  # type: ignore[arg-type]
        heads = [torch.load(each / "sparse_linear.pt", weights_only=True) for each in (folder, one, two)]
    torch.testing.assert_close(heads[0]["weight"], 0.5 * heads[1]["weight"] + 0.5 * heads[2]["weight"])
    (two / "sparse_linear.pt").unlink()
    with pytest.raises(BadInput, match=r"has no sparse_linear\.pt"):
        resolve_model(name, None, saying(retrieval="hybrid"), trust_remote_code=False, allow_pickle=True)
    dense = resolve_model(name, None, Overrides(), trust_remote_code=False, allow_pickle=True)
    assert any("without sparse_linear.pt, which local/2 lacks" in line for line in dense.evidence)


def test_dense_modules_are_mixed_and_may_not_lack(berts: tuple[Path, Path]) -> None:
    for number, folder in enumerate(berts, 1):
        rows = json.loads((folder / "modules.json").read_text())
        kind = "sentence_transformers.models.Dense"
        rows.insert(2, {"idx": 2, "name": "dense", "path": "2_Dense", "type": kind})
        (folder / "modules.json").write_text(json.dumps(rows))
        (folder / "2_Dense").mkdir()
        sizes = {
            "in_features": 32,
            "out_features": 8,
            "bias": True,
            "activation_function": "torch.nn.modules.linear.Identity",
        }
        (folder / "2_Dense" / "config.json").write_text(json.dumps(sizes))
        weights = {"linear.weight": torch.full((8, 32), float(number)), "linear.bias": torch.zeros(8)}
        save_file(weights, folder / "2_Dense" / "model.safetensors", metadata={"format": "pt"})
    model = found((0.25, berts[0]), (0.75, berts[1]))
    assert model.checkpoint is not None
    with mixed_folder(model.checkpoint, model.spec, Loading("cpu")) as folder:  # type: ignore[arg-type]
        assert load_file(folder / "2_Dense" / "model.safetensors")["linear.weight"].unique().tolist() == [1.75]
    (berts[1] / "2_Dense" / "model.safetensors").unlink()
    with pytest.raises(BadInput, match=r"2_Dense has no model\.safetensors"):
        found((0.25, berts[0]), (0.75, berts[1]))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"hidden_size": 16}, r"hidden_size = 16, and that of the first 32"),
        ({"num_attention_heads": 4}, r"num_attention_heads = 4"),
        ({"vocab_size": 70}, "vocab_size = 70"),
        ({"num_hidden_layers": 1}, "num_hidden_layers = 1"),
        ({"max_position_embeddings": 32}, r"\[32, 32\] in local/other"),
    ],
)
def test_other_architectures_are_refused(tmp_path: Path, changed: dict[str, int], said: str) -> None:
    one, other = write_bert(tmp_path / "one", 1), write_bert(tmp_path / "other", 2, **changed)
    with pytest.raises(BadInput, match=said):
        found((0.5, one), (0.5, other))


def test_another_kind_of_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="model_type = llama, and that of the first bert"):
        found((0.5, write_bert(tmp_path / "one", 1)), (0.5, write_llama(tmp_path / "other", 2)))


def test_another_vocabulary_of_the_same_size_is_refused(berts: tuple[Path, Path]) -> None:
    path = berts[1] / "tokenizer.json"
    tokenizer = json.loads(path.read_text())
    vocab = tokenizer["model"]["vocab"]
    vocab["w1"], vocab["w2"] = vocab["w2"], vocab["w1"]
    path.write_text(json.dumps(tokenizer))
    with pytest.raises(BadInput, match=r"the id 8 is 'w1' in its vocabulary, and 'w2' in the first one's"):
        found((0.5, berts[0]), (0.5, berts[1]))


def test_missing_weights_are_named(berts: tuple[Path, Path]) -> None:
    change(berts[1], lambda weights: weights.__delitem__("encoder.layer.1.output.dense.bias"))
    with pytest.raises(BadInput, match=r"local/two@\w+ has no tensor encoder\.layer\.1\.output\.dense\.bias"):
        found((0.5, berts[0]), (0.5, berts[1]))


def test_quantised_models_are_refused(berts: tuple[Path, Path]) -> None:
    config = json.loads((berts[1] / "config.json").read_text())
    (berts[1] / "config.json").write_text(json.dumps(config | {"quantization_config": {"quant_method": "fp8"}}))
    with pytest.raises(BadInput, match="quantised"):
        found((0.5, berts[0]), (0.5, berts[1]))


def test_a_weight_of_nothing_takes_nothing(berts: tuple[Path, Path]) -> None:
    change(berts[1], lambda weights: weights["embeddings.LayerNorm.bias"].fill_(torch.nan))
    made = tensors(found((1.0, berts[0]), (0.0, berts[1])))
    one = load_file(berts[0] / "model.safetensors")
    assert all(torch.equal(value, one[key]) for key, value in made.items())


def test_a_hundred_models_are_mixed_under_a_short_name(berts: tuple[Path, Path]) -> None:
    model = found(*[(0.01, folder) for folder in (*berts * 50,)])
    assert model.spec.name.endswith("-more")
    assert len(model.spec.name) < 200
    one, two = (load_file(folder / "model.safetensors") for folder in berts)
    made = tensors(model)
    key = "embeddings.word_embeddings.weight"
    torch.testing.assert_close(made[key], 0.5 * one[key] + 0.5 * two[key], rtol=0, atol=1e-6)


def test_the_folder_is_shared_removed_and_cleared_after_a_kill(berts: tuple[Path, Path]) -> None:
    model = found((0.5, berts[0]), (0.5, berts[1]))
    root = cache_folder() / "mixtures"
    root.mkdir(parents=True, exist_ok=True)
    for name in ("dead", "dead.part", ".dead.part-merged-x1"):
        (root / name).mkdir()
    (root / "dead.lock").touch()
    assert model.checkpoint is not None
    with mixed_folder(model.checkpoint, model.spec, Loading("cpu")) as folder:  # type: ignore[arg-type]
        assert [path for path in root.iterdir() if "dead" in path.name] == []
        with mixed_folder(model.checkpoint, model.spec, Loading("cpu")) as other:  # type: ignore[arg-type]
            assert other == folder
        assert (folder / "config.json").is_file()
    assert list(root.iterdir()) == []


def test_what_changes_in_between_is_refused(berts: tuple[Path, Path]) -> None:
    model = found((0.5, berts[0]), (0.5, berts[1]))
    change(berts[1], lambda weights: weights["embeddings.LayerNorm.bias"].add_(1))
    with pytest.raises(BadInput, match="has changed since this run began"):
        loaded(model)


def test_a_mixture_is_saved_as_a_checkpoint(berts: tuple[Path, Path], tmp_path: Path) -> None:
    model = found((0.6, berts[0]), (0.4, berts[1]))
    save_mixture(model, tmp_path / "saved", Loading("cpu"))
    given, own = (each.encode(TEXTS, role="symmetric").dense for each in (plain(tmp_path / "saved"), loaded(model)))
    np.testing.assert_array_equal(given, own)
    card = (tmp_path / "saved" / "README.md").read_text()
    assert f"| 0.6 | {model.spec.mixture[0][1]} |" in card
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "saved", "two"]
    with pytest.raises(BadInput, match="not empty"):
        save_mixture(model, tmp_path / "saved", Loading("cpu"))
