import os
import shutil
import warnings
from dataclasses import replace

import numpy as np
import peft
import pytest
from transformers import AutoModel

from flagbench import BadInput
from flagbench.models.contract import Cutoff
from flagbench.models.loading.overrides import Overrides
from flagbench.models.loading.registry import family_spec
from flagbench.models.loading.resolve import LoadedModels, Model, has_files, resolve_model
from tests.checkpoints import add_sentence_transformers, write_bert, write_json
from tests.filled import write_filled_gemma_reranker, write_filled_m3, write_filled_minicpm, write_filled_mistral
from tests.saying import saying, with_settings
from tests.unit.checkpoint_files import has_line

pytestmark = pytest.mark.usefixtures("one_thread")

OPTIONS = {"trust_remote_code": False, "allow_pickle": False}
SPEC = family_spec("bge-zh", name="org/model", revision="0" * 40)
LAYER = with_settings(family_spec("layerwise-reranker", name="org/layers", revision="1" * 40), cutoff_layer=8, head=0)


def model_of(spec):
    return Model(spec, (), None)


class Plain:
    def __init__(self, spec):
        self.spec = spec


class Layered(Plain):
    def __init__(self, spec):
        super().__init__(spec)
        self.read = []

    def reading(self, spec):
        self.read.append(spec)
        return Plain(spec)


class Loads:
    """Loads adapters of a class, and counts."""

    def __init__(self, kind=Plain):
        self._kind = kind
        self.loaded = []

    def take(self, loaded, spec):
        def load():
            self.loaded.append(spec)
            return self._kind(spec)

        return loaded.take(model_of(spec), load)


# The shelf


def test_the_same_spec_is_loaded_once():
    loaded, loads = LoadedModels(), Loads()
    first, second = (loads.take(loaded, replace(SPEC)) for _ in range(2))

    assert first is second
    assert loads.loaded == [SPEC]


@pytest.mark.parametrize(
    "change",
    [
        {"name": "org/other"},
        {"revision": "2" * 40},
        {"dtype": "bf16"},
        {"query_max_length": 8},
        {"prompts": (("query", "q: "),)},
        {"adapters": ("local/mine@1",)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_another_spec_is_another_model(change):
    loaded, loads = LoadedModels(), Loads()
    other = replace(SPEC, **change)

    assert loads.take(loaded, SPEC).spec == SPEC
    assert loads.take(loaded, other).spec == other
    assert loads.loaded == [SPEC, other]


def test_an_encoder_and_its_reranker_stay_side_by_side():
    loaded, loads = LoadedModels(), Loads()
    other = replace(SPEC, revision="2" * 40)
    for spec in (SPEC, LAYER, SPEC, LAYER, other, LAYER):
        assert loads.take(loaded, spec).spec == spec

    assert loads.loaded == [SPEC, LAYER, other]


def test_what_is_not_kept_is_let_go():
    loaded, loads = LoadedModels(), Loads()
    for spec in (SPEC, LAYER):
        loads.take(loaded, spec)
    loaded.keep_only([model_of(LAYER)])
    for spec in (LAYER, SPEC):
        loads.take(loaded, spec)

    assert loads.loaded == [SPEC, LAYER, SPEC]


class Closing(Plain):
    def __init__(self, spec):
        super().__init__(spec)
        self.closed = 0

    def close(self):
        self.closed += 1


def test_what_is_let_go_is_closed_and_the_rest_when_the_shelf_is():
    loads = Loads(Closing)
    with LoadedModels() as loaded:
        one, other = loads.take(loaded, SPEC), loads.take(loaded, LAYER)
        loaded.keep_only([model_of(LAYER)])
        assert (one.closed, other.closed) == (1, 0)

    assert (one.closed, other.closed) == (1, 1)


def test_all_are_closed_though_one_cannot_be():
    class Failing(Closing):
        def close(self):
            super().close()
            raise OSError(self.spec.name)

    loads = Loads(Failing)
    with pytest.raises(OSError, match="org/"), LoadedModels() as loaded:
        models = [loads.take(loaded, spec) for spec in (SPEC, LAYER)]
    assert [each.closed for each in models] == [1, 1]


def test_nothing_is_kept_for_nobody():
    loaded, loads = LoadedModels(), Loads()
    loads.take(loaded, SPEC)
    loaded.keep_only([])
    loads.take(loaded, SPEC)

    assert loads.loaded == [SPEC, SPEC]


def test_a_layered_scorer_is_read_anew_for_another_layer_and_not_loaded_again():
    loaded, loads = LoadedModels(), Loads(Layered)
    first = loads.take(loaded, LAYER)
    deeper = with_settings(LAYER, name="org/layers-layer16", cutoff_layer=16, head=8)
    loaded.keep_only([model_of(deeper)])
    reading = loads.take(loaded, deeper)

    assert loads.loaded == [LAYER]
    assert first.read == [deeper]
    assert reading.spec == deeper
    assert loads.take(loaded, LAYER) is first


@pytest.mark.parametrize(
    "change", [{"revision": "2" * 40}, {"prompt": "Is it?"}, {"compress_ratio": 2}, {"head_index": "position"}]
)
def test_a_layered_scorer_of_other_settings_is_loaded(change):
    loaded, loads = LoadedModels(), Loads(Layered)
    other = with_settings(LAYER, cutoff_layer=16, head=8, **change)
    for spec in (LAYER, other):
        loads.take(loaded, spec)

    assert loads.loaded == [LAYER, other]


def test_a_model_of_one_layer_is_loaded_for_each():
    loaded, loads = LoadedModels(), Loads(Plain)
    other = with_settings(LAYER, cutoff_layer=16, head=8)
    for spec in (LAYER, other):
        assert loads.take(loaded, spec).spec == spec

    assert loads.loaded == [LAYER, other]


PAIRS = [("what is time", "time is long"), ("a", "long passages that answer"), ("", ""), ("what is time", "中文")]


def test_two_layers_of_one_load_score_as_two_loads_do(tmp_path):
    folder = str(write_filled_minicpm(tmp_path / "minicpm"))
    loaded, loads, scores = LoadedModels(), [], []

    def load(model):
        loads.append(model.spec.own.cutoff_layer)
        return model.load(device="cpu", batch_size=None, **OPTIONS)

    for cutoff, layer in enumerate((2, 4)):
        model = resolve_model(folder, None, saying(cutoff_layers=(4, 2), cutoff=cutoff), **OPTIONS)
        assert model.cutoffs == (Cutoff(2, 0), Cutoff(4, 2))
        scorer = loaded.take(model, lambda model=model: load(model))
        assert scorer.spec == model.spec
        alone = resolve_model(folder, None, saying(cutoff_layers=(layer,)), **OPTIONS)
        expected = alone.load(device="cpu", batch_size=None, **OPTIONS).score(PAIRS)
        scores.append(scorer.score(PAIRS))
        assert np.abs(scores[-1] - expected).max() <= 1e-5

    assert loads == [2]
    assert np.abs(scores[0] - scores[1]).max() > 1e-2


# Models


def test_the_fake_models_have_no_files():
    model = resolve_model("flagbench/random", None, Overrides(max_length=8), **OPTIONS)

    assert model.checkpoint is None
    assert (model.spec.name, model.spec.passage_max_length) == ("flagbench/random", 8)
    assert has_line(model.evidence, "models.toml, flagbench/random")
    assert has_line(model.evidence, "passage_max_length: 8, as asked for")
    assert not has_files("flagbench/random")
    assert has_files("BAAI/bge-small-zh-v1.5")
    assert has_files("./random")


@pytest.mark.parametrize("overrides", [Overrides(adapters=("somewhere",)), Overrides(family="bge-zh")])
def test_a_fake_model_takes_no_flags_for_files(overrides):
    with pytest.raises(BadInput, match="flagbench/random"):
        resolve_model("flagbench/random", None, overrides, **OPTIONS)


@pytest.mark.parametrize("name", ["flagbench/random", "flagbench/random-reranker", "flagbench/bm25"])
def test_a_model_without_files_has_no_other_revision(name):
    assert resolve_model(name, None, Overrides(), **OPTIONS).checkpoint is None
    with pytest.raises(BadInput, match=f"--revision is for models .* and {name} is not: drop it"):
        resolve_model(name, "0" * 40, Overrides(), **OPTIONS)


@pytest.mark.parametrize("on_cpu", [True, False])
def test_the_device_reaches_the_detection(tmp_path, on_cpu):
    folder = str(write_filled_minicpm(tmp_path / "minicpm"))

    assert resolve_model(folder, None, Overrides(), **OPTIONS, on_cpu=lambda: on_cpu).spec.dtype == (
        "fp32" if on_cpu else "fp16"
    )


def test_that_it_is_a_reranker_reaches_the_detection(tmp_path):
    folder = str(write_filled_gemma_reranker(tmp_path / "gemma"))

    assert resolve_model(folder, None, Overrides(), **OPTIONS, as_reranker=True).spec.family == "llm-reranker"
    with pytest.raises(BadInput, match="--family llm-reranker"):
        resolve_model(folder, None, Overrides(), **OPTIONS)


def vectors(folder, asked=None):
    model = resolve_model(str(folder), None, asked or Overrides(), **OPTIONS)
    return model.load(device="cpu", batch_size=None, **OPTIONS).encode(["Two Words", "abc"], role="query").dense


@pytest.fixture
def adapter(tmp_path):
    """A PEFT adapter of the BERT in ``base``, as PEFT saves it."""
    base = AutoModel.from_pretrained(write_bert(tmp_path / "base"), add_pooling_layer=False)
    config = peft.LoraConfig(r=2, target_modules=["query", "value"], init_lora_weights=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # peft asks transformers for what it renames
        peft.get_peft_model(base, config).save_pretrained(tmp_path / "adapter")
    return tmp_path / "adapter"


def test_adapters_by_flag_reach_the_spec_and_the_weights(tmp_path, adapter):
    model = resolve_model(str(tmp_path / "base"), None, Overrides(adapters=(str(adapter),)), **OPTIONS)

    assert [name.split("@")[0] for name in model.spec.adapters] == ["local/adapter"]
    merged = vectors(tmp_path / "base", Overrides(adapters=(str(adapter),)))
    assert np.abs(merged - vectors(tmp_path / "base")).max() > 1e-2


def test_an_adapter_beside_a_whole_models_files_is_refused(tmp_path, adapter):
    both = shutil.copytree(tmp_path / "base", tmp_path / "both")
    shutil.copytree(adapter, both, dirs_exist_ok=True)

    with pytest.raises(BadInput, match=r"holds a whole model \(model.safetensors\) and a PEFT adapter"):
        resolve_model(str(both), None, Overrides(), **OPTIONS)


@pytest.mark.parametrize("pooling", ["mean", "lasttoken"])
def test_the_pooling_that_sentence_transformers_saves_beside_an_adapter_is_its_own(tmp_path, adapter, pooling):
    """sentence-transformers saves an adapter's modules.json and pooling beside it."""
    write_json(adapter / "config.json", {"hidden_size": 32})
    add_sentence_transformers(adapter, pooling=pooling)
    (adapter / "config.json").unlink()

    assert resolve_model(str(adapter), None, Overrides(), **OPTIONS).spec.pooling == pooling
    merged = vectors(tmp_path / "base", Overrides(adapters=(str(adapter),), pooling=pooling))
    assert np.abs(vectors(adapter) - merged).max() <= 1e-6
    others = vectors(tmp_path / "base", Overrides(adapters=(str(adapter),), pooling="cls"))
    assert np.abs(merged - others).max() > 1e-2


@pytest.mark.parametrize(
    ("write", "overrides"),
    [
        (write_bert, Overrides(pooling="mean")),
        (write_bert, Overrides(lowercase=True)),
        (write_bert, Overrides(normalize=False)),
        (write_filled_m3, Overrides(pooling="mean")),
        (write_filled_m3, Overrides(lowercase=True)),
        (write_filled_m3, Overrides(normalize=False)),
        (write_filled_mistral, Overrides(family="bge-en-icl", pooling="mean")),
        (write_filled_mistral, Overrides(family="bge-en-icl", lowercase=True)),
        (write_filled_mistral, Overrides(family="llara", pooling="mean")),
        (write_filled_mistral, Overrides(family="llara", lowercase=True)),
        (write_filled_mistral, Overrides(family="pseudo-moe", lowercase=True)),
    ],
    ids=[
        *("bert pooling", "bert lowercase", "bert normalize"),
        *("m3 pooling", "m3 lowercase", "m3 normalize"),
        *("icl pooling", "icl lowercase", "llara pooling", "llara lowercase", "moe lowercase"),
    ],
)
def test_a_flag_moves_the_vectors(tmp_path, write, overrides):
    """What the spec says and the model does not do would be in every result."""
    folder = write(tmp_path / "model")
    plain = vectors(folder, Overrides(family=overrides.family))

    assert np.abs(vectors(folder, overrides) - plain).max() > 1e-2


def test_a_checkpoint_that_changes_before_it_is_loaded_is_refused(tiny_bert, tmp_path):
    """Its vectors would be kept under the hash of files that are no longer there; a new date alone changes nothing."""
    weights = tiny_bert / "model.safetensors"
    model = resolve_model(str(tiny_bert), None, Overrides(), **OPTIONS)
    weights.touch()
    assert model.load(device="cpu", batch_size=None, **OPTIONS).spec == model.spec
    state, content = weights.stat(), bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    os.utime(weights, ns=(state.st_atime_ns, state.st_mtime_ns))  # the same size and date
    with pytest.raises(BadInput, match="has changed since this run began"):
        model.load(device="cpu", batch_size=None, **OPTIONS)
