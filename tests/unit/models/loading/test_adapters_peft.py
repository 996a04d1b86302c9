"""PEFT adapters on every kind of model: merged by the product, against weights that are merged by hand."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from flagbench import BadInput
from flagbench.models.loading.checkpoint import locate
from flagbench.models.loading.overrides import Overrides
from flagbench.models.loading.resolve import Model, resolve_model
from flagbench.models.rerankers.layerwise import LayerwiseReranker
from tests.peft_adapters import (
    CASES,
    NATIVE,
    NOTHING,
    SETTINGS,
    WEIGHTS,
    changed,
    merged_by_hand,
    pickled,
    settings_of,
    train,
    write_by_hand,
)
from tests.saying import saying

pytestmark = pytest.mark.usefixtures("one_thread")

TEXTS = ["what is time", "a longer text that a web search may retrieve, or not", "北京是中国的首都。", "x"]
PAIRS = [("what is time", text) for text in TEXTS] + [("", "a passage"), ("a query", "")]


def resolved(model: Path, asked: Overrides = NOTHING, *adapters: Path, allow_pickle: bool = True) -> Model:
    overrides = replace(asked, adapters=tuple(map(str, adapters)))
    return resolve_model(
        str(model), None, overrides, trust_remote_code=False, allow_pickle=allow_pickle, on_cpu=lambda: True
    )


def outputs(model: Path, asked: Overrides = NOTHING, *adapters: Path, allow_pickle: bool = True) -> NDArray[np.float32]:
    """All that the model gives for a few texts or pairs, as one row of numbers."""
    found = resolved(model, asked, *adapters, allow_pickle=allow_pickle)
    ready = found.load(device="cpu", batch_size=None, trust_remote_code=False, allow_pickle=allow_pickle)
    if isinstance(ready, LayerwiseReranker):
        return ready.score_layers(PAIRS).ravel()
    if found.spec.ability == "score":
        return ready.score(PAIRS)
    given = ready.encode(TEXTS, role="query", parts=ready.parts)
    rows = [given.dense.ravel()]
    rows += [given.sparse.toarray().ravel()] if given.sparse is not None else []
    rows += [given.multi_vector.values.ravel()] if given.multi_vector is not None else []
    return np.concatenate(rows)


def assert_same(found: NDArray[np.float32], wanted: NDArray[np.float32]) -> None:
    assert (np.abs(found - wanted) <= 1e-5 * np.maximum(1, np.abs(wanted))).all()


def farthest(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    return float(np.abs(one - other).max())


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A base of each kind, in ``<name>/base``."""
    folder = tmp_path_factory.mktemp("peft")
    return {name: case.build(folder / name / "base") for name, case in CASES.items()}


@pytest.fixture(scope="module")
def adapters(bases: dict[str, Path]) -> dict[str, Path]:
    """An adapter of each."""
    return {name: train(bases[name], bases[name].parent / "adapter", case) for name, case in CASES.items()}


@pytest.fixture(scope="module")
def seconds(bases: dict[str, Path]) -> dict[str, Path]:
    """A second adapter of some, of another rank and seed."""
    names = ("qwen2", "cross-encoder", "minicpm")
    return {name: train(bases[name], bases[name].parent / "second", CASES[name], seed=2, rank=2) for name in names}


@pytest.mark.parametrize("name", CASES)
def test_an_adapter_as_the_model_or_beside_its_base_equals_weights_merged_by_hand(
    name: str, bases: dict[str, Path], adapters: dict[str, Path], tmp_path: Path
) -> None:
    asked, base, adapter = CASES[name].asked, bases[name], adapters[name]
    beside = outputs(base, asked, adapter)
    assert np.array_equal(outputs(adapter, asked), beside)
    assert resolved(adapter, asked).spec == resolved(base, asked, adapter).spec
    assert_same(beside, outputs(merged_by_hand(base, tmp_path / "merged", adapter), asked))
    assert farthest(beside, outputs(base, asked)) > 0.1


def test_a_lora_on_the_heads_moves_the_scores_by_itself(bases: dict[str, Path], tmp_path: Path) -> None:
    case = replace(CASES["cost-wise-gemma"], targets=("linear_head",))
    base = bases["cost-wise-gemma"]
    adapter = write_by_hand(base, tmp_path / "heads", case)
    assert len(load_file(adapter / WEIGHTS)) == 10  # two matrices for each of five heads
    found = outputs(base, case.asked, adapter)
    assert_same(found, outputs(merged_by_hand(base, tmp_path / "merged", adapter), case.asked))
    assert farthest(found, outputs(base, case.asked)) > 0.1


def test_a_lora_on_the_one_head_of_all_layers_is_found_under_its_name(bases: dict[str, Path], tmp_path: Path) -> None:
    """Such a checkpoint (``head_multi`` is false) calls it ``lm_head.linear_head``, without a number."""
    base = shutil.copytree(bases["minicpm"], tmp_path / "base")
    weights = load_file(base / "model.safetensors")
    heads = sorted(name for name in weights if name.startswith("lm_head."))
    weights["lm_head.linear_head.weight"] = weights.pop(heads[0])
    for name in heads[1:]:
        del weights[name]
    save_file(weights, base / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((base / "config.json").read_text(encoding="utf-8"))
    (base / "config.json").write_text(json.dumps(config | {"head_multi": False}), encoding="utf-8")
    asked = saying(cutoff_layers=(2, 3))
    adapter = write_by_hand(base, tmp_path / "heads", replace(CASES["minicpm"], targets=("linear_head",)))
    assert set(load_file(adapter / WEIGHTS)) == {
        f"base_model.model.lm_head.linear_head.lora_{side}.weight" for side in "AB"
    }
    found = outputs(base, asked, adapter)
    assert_same(found, outputs(merged_by_hand(base, tmp_path / "merged", adapter), asked))
    assert farthest(found, outputs(base, asked)) > 0.1


@pytest.mark.parametrize("name", NATIVE)
def test_an_adapter_trained_for_causal_lm_as_flagembedding_trains_them(
    name: str, bases: dict[str, Path], adapters: dict[str, Path], tmp_path: Path
) -> None:
    """``TaskType.CAUSAL_LM`` in finetune/reranker/decoder_only/layerwise/load_model.py, and in Matroyshka's too."""
    asked = CASES[name].asked
    trained = changed(adapters[name], tmp_path / "trained", task_type="CAUSAL_LM")
    assert np.array_equal(outputs(bases[name], asked, trained), outputs(bases[name], asked, adapters[name]))


@pytest.mark.parametrize("name", ["qwen2", "cross-encoder", "minicpm"])
def test_two_adapters_are_merged_one_after_the_other(
    name: str, bases: dict[str, Path], adapters: dict[str, Path], seconds: dict[str, Path], tmp_path: Path
) -> None:
    asked, base, first, second = CASES[name].asked, bases[name], adapters[name], seconds[name]
    both = outputs(base, asked, first, second)
    assert_same(both, outputs(merged_by_hand(base, tmp_path / "merged", first, second), asked))
    assert min(farthest(both, outputs(base, asked, one)) for one in (first, second)) > 0.1
    assert np.array_equal(outputs(first, asked, second), both)


@pytest.fixture
def on_top(adapters: dict[str, Path], seconds: dict[str, Path], tmp_path: Path) -> Path:
    """The second adapter, as if trained on the base with the first."""
    return changed(seconds["qwen2"], tmp_path / "top", base_model_name_or_path=str(adapters["qwen2"]))


def test_an_adapter_of_an_adapter_comes_after_it(on_top: Path, adapters: dict[str, Path]) -> None:
    spec = resolved(on_top).spec
    assert spec.adapters == (label(adapters["qwen2"]), label(on_top))
    assert spec.base == resolved(adapters["qwen2"]).spec.base


def test_an_adapter_of_an_adapter_gives_what_both_give(
    on_top: Path, bases: dict[str, Path], adapters: dict[str, Path], seconds: dict[str, Path]
) -> None:
    wanted = outputs(bases["qwen2"], NOTHING, adapters["qwen2"], seconds["qwen2"])
    assert np.array_equal(outputs(on_top), wanted)


def test_the_order_of_adapters_counts_where_they_replace_weights(
    bases: dict[str, Path], adapters: dict[str, Path], seconds: dict[str, Path], tmp_path: Path
) -> None:
    """Both bring a classifier: the last one's stays."""
    base, first, second = bases["cross-encoder"], adapters["cross-encoder"], seconds["cross-encoder"]
    assert any("classifier" in key for key in load_file(first / WEIGHTS))
    backwards = outputs(base, NOTHING, second, first)
    assert_same(backwards, outputs(merged_by_hand(base, tmp_path / "merged", second, first)))
    assert farthest(backwards, outputs(base, NOTHING, first, second)) > 0.1


def label(adapter: Path) -> str:
    """``name@revision`` of an adapter, by what the checkpoint that it stands for says."""
    return locate(str(adapter), None).adapters[-1].label


@pytest.mark.parametrize("name", CASES)
def test_the_spec_says_what_was_merged_into_what(name: str, bases: dict[str, Path], adapters: dict[str, Path]) -> None:
    found = resolved(bases[name], CASES[name].asked, adapters[name])
    plain = resolved(bases[name], CASES[name].asked).spec
    spec = found.spec
    assert spec.base == f"local/base@{plain.revision}"
    assert spec.adapters == (f"local/adapter@{spec.revision}",)
    assert spec.name == plain.name.replace("local/base", "local/adapter")
    assert len(spec.revision) == 40
    assert spec.revision != plain.revision
    assert replace(spec, name=plain.name, revision=plain.revision, base="", adapters=()) == plain
    assert f"adapters: {spec.adapters[0]}, merged into {spec.base}" in found.evidence


def test_of_two_adapters_the_last_gives_name_and_revision(
    bases: dict[str, Path], adapters: dict[str, Path], seconds: dict[str, Path]
) -> None:
    spec = resolved(bases["qwen2"], NOTHING, adapters["qwen2"], seconds["qwen2"]).spec
    assert spec.adapters == (label(adapters["qwen2"]), label(seconds["qwen2"]))
    assert (spec.name, f"{spec.name}@{spec.revision}") == ("local/second", spec.adapters[1])
    alone = resolved(bases["qwen2"], NOTHING, seconds["qwen2"]).spec
    assert spec.digest() != alone.digest()


def test_a_changed_file_of_an_adapter_changes_its_revision(
    bases: dict[str, Path], adapters: dict[str, Path], tmp_path: Path
) -> None:
    adapter = changed(adapters["qwen2"], tmp_path / "adapter")
    before = resolved(bases["qwen2"], NOTHING, adapter).spec
    tensors = load_file(adapter / WEIGHTS)
    next(iter(tensors.values()))[0, 0] += 1
    save_file(tensors, adapter / WEIGHTS, metadata={"format": "pt"})
    weights_changed = resolved(bases["qwen2"], NOTHING, adapter).spec
    (adapter / SETTINGS).write_text(json.dumps(settings_of(adapter) | {"lora_alpha": 7}), encoding="utf-8")
    settings_changed = resolved(bases["qwen2"], NOTHING, adapter).spec
    specs = (before, weights_changed, settings_changed)
    assert len({spec.revision for spec in specs}) == 3
    assert len({spec.adapters for spec in specs}) == 3
    assert len({spec.digest() for spec in specs}) == 3
    assert {(spec.name, spec.base) for spec in specs} == {(before.name, before.base)}


@pytest.mark.parametrize("recorded", ["/nowhere/base", "org/name"])
def test_an_adapter_beside_its_base_may_have_been_trained_on_a_copy_elsewhere(
    recorded: str, bases: dict[str, Path], adapters: dict[str, Path], tmp_path: Path
) -> None:
    moved = changed(adapters["qwen2"], tmp_path / "moved", base_model_name_or_path=recorded)
    wanted = outputs(bases["qwen2"], NOTHING, adapters["qwen2"])
    assert np.array_equal(outputs(bases["qwen2"], NOTHING, moved), wanted)


def test_an_adapter_of_the_embeddings_is_merged_without_a_warning(bases: dict[str, Path], tmp_path: Path) -> None:
    """Nothing else of it could move the vectors."""
    adapter = train(bases["qwen2"], tmp_path / "words", replace(CASES["qwen2"], targets=("embed_tokens",)))
    assert all("embed_tokens" in key for key in load_file(adapter / WEIGHTS))
    assert farthest(outputs(bases["qwen2"], NOTHING, adapter), outputs(bases["qwen2"])) > 0.1


def test_a_pickled_adapter_with_leave_to_read_it(
    bases: dict[str, Path], adapters: dict[str, Path], tmp_path: Path
) -> None:
    found = outputs(pickled(adapters["qwen2"], tmp_path / "pickled"))
    assert np.array_equal(found, outputs(bases["qwen2"], NOTHING, adapters["qwen2"]))


def test_an_adapter_that_was_trained_without_the_pooler(bases: dict[str, Path], tmp_path: Path) -> None:
    """No vector is read from the pooler, and the base's files do not hold it either."""
    base, case = bases["bert"], replace(CASES["bert"], targets=("dense",))
    adapter = train(base, tmp_path / "adapter", case, add_pooling_layer=False)
    assert not any("pooler" in key for key in load_file(adapter / WEIGHTS))
    assert_same(outputs(base, NOTHING, adapter), outputs(merged_by_hand(base, tmp_path / "merged", adapter)))


def refused(*named: object, model: Path, adapters: tuple[Path, ...] = (), allow_pickle: bool = True) -> str:
    """The one line that a model is refused with; it names things."""
    with pytest.raises(BadInput) as caught:
        outputs(model, NOTHING, *adapters, allow_pickle=allow_pickle)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert all(str(name) in message for name in named)
    return message


@pytest.mark.parametrize(("base", "adapter"), [("bert", "qwen2"), ("qwen2", "bert"), ("qwen2", "llm-reranker")])
def test_an_adapter_of_another_architecture(
    base: str, adapter: str, bases: dict[str, Path], adapters: dict[str, Path]
) -> None:
    name = resolved(bases[base]).spec
    refused(adapters[adapter], f"{name.name}@{name.revision}", model=bases[base], adapters=(adapters[adapter],))


def test_an_adapter_of_the_same_modules_for_another_task(bases: dict[str, Path], adapters: dict[str, Path]) -> None:
    message = refused(adapters["cross-encoder"], model=bases["m3"], adapters=(adapters["cross-encoder"],))
    assert "base_model.model.classifier.dense.bias" in message
    refused(adapters["m3"], model=bases["cross-encoder"], adapters=(adapters["m3"],))


def _without_one(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return dict(sorted(tensors.items())[1:])


def _with_a_layer_more(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    more = {key.replace("layers.1.", "layers.9."): value for key, value in tensors.items() if "layers.1." in key}
    return tensors | {key: value.clone() for key, value in more.items()}


def _narrower(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {key: value[:, :16].contiguous() if "lora_A" in key else value for key, value in tensors.items()}


@pytest.mark.parametrize("mangle", [_without_one, _with_a_layer_more, _narrower])
@pytest.mark.parametrize("name", ["qwen2", "minicpm"])
def test_an_adapter_whose_weights_or_their_shapes_do_not_fit(
    name: str,
    mangle: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]],
    adapters: dict[str, Path],
    tmp_path: Path,
) -> None:
    adapter = changed(adapters[name], tmp_path / "mangled")
    save_file(mangle(load_file(adapter / WEIGHTS)), adapter / WEIGHTS, metadata={"format": "pt"})
    refused(adapter, model=adapter)


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.99])
def test_a_truncated_adapter(share: float, bases: dict[str, Path], adapters: dict[str, Path], tmp_path: Path) -> None:
    adapter = changed(adapters["qwen2"], tmp_path / "cut")
    whole = (adapter / WEIGHTS).read_bytes()
    (adapter / WEIGHTS).write_bytes(whole[: int(len(whole) * share)])
    refused(adapter / WEIGHTS, "truncated", model=adapter)
    refused(adapter / WEIGHTS, "truncated", model=bases["qwen2"], adapters=(adapter,))


@pytest.mark.parametrize("recorded", ["/nowhere/base", "org/absent", "../base", None, ""])
def test_an_adapter_whose_base_cannot_be_had(
    recorded: str | None, adapters: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = tmp_path / "empty" / "inner"
    nowhere.mkdir(parents=True)
    monkeypatch.chdir(nowhere)
    adapter = changed(adapters["qwen2"], tmp_path / "orphan", base_model_name_or_path=recorded)
    message = refused(adapter, recorded or "base_model_name_or_path", model=adapter)
    assert f"--adapter {adapter}" in message


def test_a_pickled_adapter_without_leave_to_read_it(
    bases: dict[str, Path], adapters: dict[str, Path], tmp_path: Path
) -> None:
    adapter = pickled(adapters["qwen2"], tmp_path / "pickled")
    for model, beside in ((adapter, ()), (bases["qwen2"], (adapter,))):
        refused(adapter / "adapter_model.bin", "--allow-pickle", model=model, adapters=beside, allow_pickle=False)


@pytest.mark.parametrize("content", [b"", b"no pickle"])
def test_a_pickled_adapter_that_is_none(content: bytes, adapters: dict[str, Path], tmp_path: Path) -> None:
    adapter = pickled(adapters["qwen2"], tmp_path / "pickled")
    (adapter / "adapter_model.bin").write_bytes(content)
    refused(adapter, model=adapter)


def test_an_adapter_that_cannot_be_merged(bases: dict[str, Path], tmp_path: Path) -> None:
    """Trained prompts are no change of weights."""
    adapter = train(bases["qwen2"], tmp_path / "prompt", CASES["qwen2"], prompt_tokens=3)
    refused(adapter, model=adapter)


def test_folders_that_are_no_adapters(bases: dict[str, Path], tmp_path: Path) -> None:
    refused(bases["bert"], "adapter_config.json", model=bases["qwen2"], adapters=(bases["bert"],))
    refused(tmp_path / "absent", model=bases["qwen2"], adapters=(tmp_path / "absent",))
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / SETTINGS).write_text("{}", encoding="utf-8")
    refused(tmp_path / "empty", model=bases["qwen2"], adapters=(tmp_path / "empty",))
