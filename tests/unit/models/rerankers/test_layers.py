import pytest

from flagbench import BadInput
from flagbench.models.contract import Cutoff
from flagbench.models.loading.detect import detect
from flagbench.models.loading.overrides import Overrides
from flagbench.models.loading.registry import family_spec, published
from tests.saying import saying, with_settings
from tests.unit.checkpoint_files import LIGHTWEIGHT, MATROYSHKA, MINICPM, has_line, said

CONFIGS = {"layerwise-reranker": MINICPM, "lightweight-reranker": LIGHTWEIGHT, "matroyshka-reranker": MATROYSHKA}
MINICPM_ROW = published()["BAAI/bge-reranker-v2-minicpm-layerwise"]
LIGHTWEIGHT_ROW = published()["BAAI/bge-reranker-v2.5-gemma2-lightweight"]


def with_layers(spec, config, overrides):
    """What the settings make of the flags, once the config is known."""
    return spec.own.at_checkpoint(spec, config, overrides.own, overrides.cutoff)


def spec_of(family):
    return family_spec(family, name="local/tiny", revision="0" * 40)


def layers_of(family, config=None, **asked):
    return with_layers(spec_of(family), config or CONFIGS[family], saying(**asked))


def refused(family, config=None, **asked):
    """The one line with which layers are refused."""
    with pytest.raises(BadInput) as caught:
        layers_of(family, config, **asked)
    message = str(caught.value)
    assert "\n" not in message
    return message


# Cutoff layers


@pytest.mark.parametrize(
    ("family", "last", "head"),
    [("layerwise-reranker", 40, 32), ("lightweight-reranker", 42, 0), ("matroyshka-reranker", 32, 0)],
)
def test_the_last_layer_unless_asked(family, last, head):
    spec, cutoffs, evidence = layers_of(family)

    assert (spec.own.cutoff_layer, spec.own.head) == (last, head)
    assert cutoffs == (Cutoff(last, head),)
    assert spec.name == "local/tiny"
    assert has_line(evidence, f"cutoff layer: {last} of ", "the last one")
    assert not has_line(evidence, "as asked for")


@pytest.mark.parametrize(("row", "config", "head"), [(MINICPM_ROW, MINICPM, 20), (LIGHTWEIGHT_ROW, LIGHTWEIGHT, 0)])
def test_the_layer_of_a_published_row(row, config, head):
    spec, cutoffs, evidence = with_layers(row, config, Overrides())

    assert cutoffs == (Cutoff(28, head),)
    assert (spec.own.cutoff_layer, spec.own.head, spec.name) == (28, head, row.name)
    assert has_line(evidence, "cutoff layer: 28 of 8 to ", "README")


def test_a_layer_that_was_asked_for_goes_before_the_rows():
    spec, cutoffs, evidence = with_layers(MINICPM_ROW, MINICPM, saying(cutoff_layers=(12,)))

    assert cutoffs == (Cutoff(12, 4),)
    assert spec.name == f"{MINICPM_ROW.name}-layer12"
    assert has_line(evidence, "cutoff layer: 12 of 8 to 40", "as asked for")


@pytest.mark.parametrize(("row", "layer"), [(MINICPM_ROW, 28), (MINICPM_ROW, 40), (spec_of("layerwise-reranker"), 40)])
def test_the_name_says_the_layer_where_it_was_asked_for_though_it_is_the_default(row, layer):
    assert with_layers(row, MINICPM, saying(cutoff_layers=(layer,)))[0].name == f"{row.name}-layer{layer}"


@pytest.mark.parametrize(
    "asked", [(8, 24, 40), (40, 8, 24), (24, 40, 8, 24)], ids=["in order", "out of order", "twice"]
)
def test_several_layers_are_read_in_one_pass_and_each_run_is_of_one(asked):
    runs = [layers_of("layerwise-reranker", cutoff_layers=asked, cutoff=cutoff) for cutoff in range(3)]

    assert {cutoffs for _, cutoffs, _ in runs} == {(Cutoff(8, 0), Cutoff(24, 16), Cutoff(40, 32))}
    assert [(spec.own.cutoff_layer, spec.own.head) for spec, _, _ in runs] == [(8, 0), (24, 16), (40, 32)]
    assert [spec.name for spec, _, _ in runs] == [f"local/tiny-layer{layer}" for layer in (8, 24, 40)]


def test_the_runs_of_one_pass_differ_in_nothing_else():
    specs = [layers_of("matroyshka-reranker", cutoff_layers=(4, 8, 16), cutoff=cutoff)[0] for cutoff in range(3)]

    assert len({with_settings(spec, name="", cutoff_layer=0, head=0) for spec in specs}) == 1


@pytest.mark.parametrize(
    ("family", "layer", "range_"),
    [
        ("layerwise-reranker", 7, "8 to 40"),
        ("layerwise-reranker", 1, "8 to 40"),
        ("layerwise-reranker", 41, "8 to 40"),
        ("lightweight-reranker", 43, "8 to 42"),
        ("matroyshka-reranker", 3, "4 to 32, every 4"),
        ("matroyshka-reranker", 6, "4 to 32, every 4"),
        ("matroyshka-reranker", 36, "4 to 32, every 4"),
    ],
)
def test_a_layer_without_a_score(family, layer, range_):
    message = refused(family, cutoff_layers=(8, layer, 16))

    assert f"local/tiny can be read after layers {range_}, not after {layer}" in message
    assert "--cutoff-layers" in message


def test_a_last_layer_off_the_grid_is_said_to_be_none():
    config = {**MINICPM, "num_hidden_layers": 41, "layer_sep": 2}

    assert "after layers 8 to 41, every 2, not after 41" in refused("layerwise-reranker", config)
    assert layers_of("layerwise-reranker", config, cutoff_layers=(40,))[1] == (Cutoff(40, 16),)


def test_every_layer_where_the_config_names_no_first_one():
    config = {"num_hidden_layers": 4, "start_layer": 1}

    assert layers_of("layerwise-reranker", config, cutoff_layers=(1, 2, 3, 4))[1] == tuple(
        Cutoff(layer, layer - 1) for layer in (1, 2, 3, 4)
    )
    assert "after layers 1 to 4, not after 5" in refused("layerwise-reranker", config, cutoff_layers=(5,))


@pytest.mark.parametrize(
    ("key", "value"),
    [("num_hidden_layers", "many"), ("start_layer", None), ("layer_sep", 1.5), ("layer_sep", 0)],
)
def test_layers_that_make_no_sense(key, value):
    assert key in refused("layerwise-reranker", {**MINICPM, key: value})


def test_a_config_that_does_not_say_how_many_layers_there_are():
    config = {key: value for key, value in MINICPM.items() if key != "num_hidden_layers"}

    assert "num_hidden_layers" in refused("layerwise-reranker", config)


# Heads


def test_each_layer_has_its_own_head_on_the_grid_of_heads():
    cutoffs = layers_of("matroyshka-reranker", cutoff_layers=(8, 12, 32), head_index="layer")[1]

    assert cutoffs == (Cutoff(8, 1), Cutoff(12, 2), Cutoff(32, 7))


@pytest.mark.parametrize("family", ["lightweight-reranker", "matroyshka-reranker"])
def test_the_lightweight_family_takes_heads_by_place_in_the_list(family):
    spec, cutoffs, evidence = layers_of(family, cutoff_layers=(32, 8, 16), cutoff=2)

    assert cutoffs == (Cutoff(8, 0), Cutoff(16, 1), Cutoff(32, 2))
    assert (spec.own.head, spec.own.head_index) == (2, "position")
    assert has_line(evidence, "head: 2", "place", "--head-index layer")


@pytest.mark.parametrize("row", [spec_of("lightweight-reranker"), LIGHTWEIGHT_ROW])
def test_the_layers_own_head_where_it_is_asked_for(row):
    asked = saying(cutoff_layers=(8, 28), cutoff=1, head_index="layer")
    spec, cutoffs, evidence = with_layers(row, LIGHTWEIGHT, asked)

    assert cutoffs == (Cutoff(8, 0), Cutoff(28, 20))
    assert (spec.own.head, spec.own.head_index) == (20, "layer")
    assert has_line(evidence, "head: 20, the layer's own")


def test_a_head_by_position_is_not_of_the_layerwise_family():
    message = refused("layerwise-reranker", head_index="position")

    assert "--head-index position" in message
    assert "layerwise-reranker" in message
    assert message.endswith("drop it")
    assert layers_of("layerwise-reranker", head_index="layer") == layers_of("layerwise-reranker")


@pytest.mark.parametrize(
    ("family", "how"),
    [("layerwise-reranker", None), ("lightweight-reranker", "layer"), ("lightweight-reranker", "position")],
)
def test_one_head_for_all_layers(family, how):
    config = {**CONFIGS[family], "head_multi": False}
    spec, cutoffs, evidence = layers_of(family, config, cutoff_layers=(8, 20, 40), cutoff=2, head_index=how)

    assert cutoffs == (Cutoff(8, 0), Cutoff(20, 0), Cutoff(40, 0))
    assert (spec.own.cutoff_layer, spec.own.head) == (40, 0)
    assert has_line(evidence, "head: 0")


# Compression


def compression(spec):
    return spec.own.compress_ratio, spec.own.compress_layers


@pytest.mark.parametrize("ratio", [2, 4, 8])
def test_a_ratio_compresses_before_the_familys_layers(ratio):
    spec, _, evidence = layers_of("lightweight-reranker", compress_ratio=ratio)

    assert compression(spec) == (ratio, (8,))
    assert has_line(evidence, f"groups of {ratio} tokens before layers 8")


@pytest.mark.parametrize("asked", [{}, {"compress_ratio": 1}])
def test_no_compression(asked):
    spec, _, evidence = layers_of("lightweight-reranker", **asked)

    assert compression(spec) == (1, ())
    assert not has_line(evidence, "compression")


def test_what_is_shown_of_layers_and_how_many_results_a_pass_has():
    assert layers_of("lightweight-reranker", cutoff_layers=(8,), compress_ratio=2)[0].own.shown() == (
        "layer 8",
        "passages compressed 2:1",
    )
    assert layers_of("layerwise-reranker")[0].own.shown() == ("layer 40",)
    assert spec_of("layerwise-reranker").own.shown() == ()
    assert [saying(cutoff_layers=layers).results for layers in ((8, 16, 24), (8,), ())] == [3, 1, 1]
    assert Overrides(own={"compress_layers": (1, 2)}).results == 1


def test_no_compression_where_the_row_has_one():
    assert compression(with_layers(LIGHTWEIGHT_ROW, LIGHTWEIGHT, Overrides())[0]) == (2, (24, 40))

    spec, _, evidence = with_layers(LIGHTWEIGHT_ROW, LIGHTWEIGHT, saying(compress_ratio=1))
    assert compression(spec) == (1, ())
    assert not has_line(evidence, "compression")


def test_layers_of_compression_as_asked_for_in_their_order():
    spec, _, evidence = layers_of("lightweight-reranker", compress_ratio=4, compress_layers=(24, 8, 24))

    assert compression(spec) == (4, (8, 24))
    assert has_line(evidence, "groups of 4 tokens before layers 8, 24")


def test_layers_of_compression_for_the_ratio_of_the_row():
    spec = with_layers(LIGHTWEIGHT_ROW, LIGHTWEIGHT, saying(compress_layers=(16,)))[0]

    assert compression(spec) == (2, (16,))


@pytest.mark.parametrize("ratio", [3, 5, 7, 9, 16])
def test_a_ratio_that_was_not_trained(ratio):
    message = refused("lightweight-reranker", compress_ratio=ratio)

    assert message == f"--compress-ratio {ratio}: lightweight-reranker has 1, 2, 4, 8"


@pytest.mark.parametrize("layer", [0, 42, 43])
def test_a_layer_that_nothing_can_be_compressed_before(layer):
    message = refused("lightweight-reranker", compress_ratio=2, compress_layers=(8, layer))

    assert f"can compress before layers 1 to 41, not {layer}" in message
    assert "--compress-layers" in message


@pytest.mark.parametrize("layer", [1, 41])
def test_the_first_and_the_last_layer_to_compress_before(layer):
    spec = layers_of("lightweight-reranker", compress_ratio=2, compress_layers=(layer,))[0]

    assert spec.own.compress_layers == (layer,)


def test_a_model_with_fewer_layers_than_the_familys_compression():
    config = {**LIGHTWEIGHT, "num_hidden_layers": 6, "start_layer": 2}

    assert "layers 1 to 5, not 8: see --compress-layers" in refused("lightweight-reranker", config, compress_ratio=2)
    assert layers_of("lightweight-reranker", config)[0].own.compress_layers == ()


@pytest.mark.parametrize("asked", [{}, {"compress_ratio": 1}])
def test_layers_of_compression_without_a_ratio(asked):
    message = refused("lightweight-reranker", compress_layers=(8,), **asked)

    assert "--compress-layers" in message
    assert "--compress-ratio above 1" in message


# Through a checkpoint's files


@pytest.mark.parametrize(("family", "config"), CONFIGS.items(), ids=CONFIGS)
def test_a_checkpoint_is_read_at_the_layers_asked_for(checkpoint, family, config):
    found = detect(checkpoint(config), saying(cutoff_layers=(16, 8), cutoff=1))

    assert (found.spec.family, found.spec.own.cutoff_layer, found.spec.name) == (family, 16, "local/tiny-layer16")
    assert [cutoff.layer for cutoff in found.cutoffs] == [8, 16]
    assert said(found, "cutoff layer: 16", "as asked for")


def test_a_name_that_was_asked_for_says_the_layer_too(checkpoint):
    assert detect(checkpoint(MINICPM), saying(cutoff_layers=(8,), name="my/name")).spec.name == "my/name-layer8"


@pytest.mark.parametrize(("ratio", "attention"), [(1, ""), (2, "eager")])
def test_matroyshka_compresses_by_attention_weights_that_only_eager_gives(checkpoint, ratio, attention):
    found = detect(checkpoint(MATROYSHKA), saying(compress_ratio=ratio))

    assert found.spec.attention == attention
    assert said(found, "attention: eager") is bool(attention)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_the_question_after_each_pair_may_be_asked_for(checkpoint, config):
    plain = detect(checkpoint(config), Overrides())
    found = detect(checkpoint(config), saying(prompt="Is it?"))

    assert found.spec == with_settings(plain.spec, prompt="Is it?")
    assert plain.spec.own.prompt != "Is it?"
    assert said(found, "prompt: 'Is it?', as asked for")
