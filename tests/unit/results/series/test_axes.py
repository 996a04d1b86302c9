"""Which runs are a series, over which axis, in which order, and why others are on no curve."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from flagbench.results.runs import Run, find_all
from flagbench.results.series.axes import Layout, find_series
from tests.unit.series_runs import REVISION, dims_run, series_run, spec_of

_VALUES = {"A": [0.25, 0.75]}
_OTHER = "fedcba9876543210fedcba9876543210fedcba98"


def laid(tmp_path: Path, *runs: tuple[str, Mapping[str, Any]], **options: Any) -> tuple[Layout, list[Run]]:
    """The series of runs of given names and settings, which are found in another order."""
    folders = [series_run(tmp_path / str(at), name, spec, _VALUES, **options) for at, (name, spec) in enumerate(runs)]
    random.Random(0).shuffle(folders)
    found = find_all(folders)
    return find_series(found), found


def values_by_name(layout: Layout, runs: Sequence[Run]) -> dict[str, Any]:
    """Places of the runs of the only series, by their names."""
    (series,) = layout.series
    return {runs[at].record.model: place for at, place in series.places.items()}


def test_dimensions_and_precisions_are_curves_over_dimensions(tmp_path: Path) -> None:
    for dims in (None, 64, 256, 1024):
        for vectors in ("int8", "fp32", "binary"):
            dims_run(tmp_path, dims, vectors, {"A": 0.5})
    runs = find_all([tmp_path])
    layout = find_series(runs)
    (series,) = layout.series
    assert (series.axis.key, series.axis.values, series.axis.counted) == ("dims", (64, 256, 1024, "full"), False)
    assert series.other is not None
    assert (series.other.key, series.other.values) == ("vectors", ("binary", "int8", "fp32"))
    places = values_by_name(layout, runs)
    assert places["org/model"] == ("full", "fp32")
    assert places["org/model-dims64-int8"] == (64, "int8")
    assert len(places) == 12
    assert (layout.left_out, layout.undrawn) == ((), ())


def test_precisions_alone_are_words_by_what_they_cost(tmp_path: Path) -> None:
    for vectors in ("fp32", "int8", "binary+rescore", "binary"):
        view = {"dims": "full", "vectors": vectors} | ({"rescore_multiplier": 4} if vectors.endswith("rescore") else {})
        series_run(tmp_path, f"org/model-{vectors}", spec_of(view=view), _VALUES)
    (series,) = find_series(find_all([tmp_path])).series
    assert series.axis.values == ("binary", "binary+rescore", "int8", "fp32")
    assert (series.other, series.axis.counted) == (None, False)


def test_steps_of_a_training_run_are_in_order_of_numbers(tmp_path: Path) -> None:
    steps = (1000, 200, 30)
    specs = [(f"run/checkpoint-{step}", spec_of(revision=f"{step:016x}")) for step in steps]
    layout, runs = laid(tmp_path, *specs, ("other/checkpoint-5", spec_of(revision=_OTHER)))
    (series,) = layout.series
    assert (series.axis.key, series.axis.values, series.axis.counted) == ("step", (30, 200, 1000), True)
    assert values_by_name(layout, runs)["run/checkpoint-200"] == (200, None)
    assert layout.left_out == (("other/checkpoint-5", "it is of another model"),)


def test_steps_and_dimensions_are_two_axes(tmp_path: Path) -> None:
    specs = [
        (f"run/checkpoint-{step}-dims{dims}", spec_of(revision=f"{step:016x}", view={"dims": dims, "vectors": "fp32"}))
        for step in (1, 2, 3)
        for dims in (8, 16)
    ]
    layout, runs = laid(tmp_path, *specs)
    assert values_by_name(layout, runs)["run/checkpoint-2-dims16"] == (2, 16)


def test_cutoff_layers_have_heads_of_their_own(tmp_path: Path) -> None:
    specs = [(f"org/model-layer{layer}", spec_of(cutoff_layer=layer, head=layer - 8)) for layer in (8, 16, 28)]
    layout, runs = laid(tmp_path, *specs)
    assert values_by_name(layout, runs) == {f"org/model-layer{layer}": (layer, None) for layer in (8, 16, 28)}
    assert layout.series[0].axis.name == "cutoff layer"


def test_settings_of_a_reranker_are_axes_too(tmp_path: Path) -> None:
    folders = [
        series_run(
            tmp_path / str(at),
            f"org/model+reranker-layer{layer}",
            spec_of(),
            _VALUES,
            reranker={"name": f"org/reranker-layer{layer}", "revision": _OTHER, "cutoff_layer": layer, "top_k": 100},
        )
        for at, layer in enumerate((8, 24))
    ]
    (series,) = find_series(find_all(folders)).series
    assert (series.axis.name, series.axis.values) == ("cutoff layer of the reranker", (8, 24))


@pytest.mark.parametrize(
    ("changes", "name", "unit", "values"),
    [
        ([{"query_max_length": n, "passage_max_length": n} for n in (64, 512)], "max length", "tokens", (64, 512)),
        ([{"query_max_length": 48, "passage_max_length": 64}, {}], "max length", "tokens", (64, 512)),
        ([{"passage_max_length": 64}, {}], "passage max length", "tokens", (64, 512)),
        ([{"query_max_length": 64}, {}], "query max length", "tokens", (64, 512)),
        ([{"compress_ratio": n} for n in (8, 1, 2)], "compress ratio", "", (1, 2, 8)),
        ([{"temperature": n} for n in (0.02, 0.5)], "temperature", "", (0.02, 0.5)),
    ],
)
def test_any_number_is_an_axis(
    tmp_path: Path, changes: list[dict[str, Any]], name: str, unit: str, values: tuple[float, ...]
) -> None:
    layout, _ = laid(tmp_path, *((f"org/m{at}", spec_of(**each)) for at, each in enumerate(changes)))
    (series,) = layout.series
    assert (series.axis.name, series.axis.unit, series.axis.values) == (name, unit, values)


def test_lengths_that_do_not_go_together_are_two_axes(tmp_path: Path) -> None:
    specs = [
        (f"org/m{q}-{p}", spec_of(query_max_length=q, passage_max_length=p)) for q in (32, 64) for p in (128, 256, 512)
    ]
    layout, runs = laid(tmp_path, *specs)
    assert values_by_name(layout, runs)["org/m32-256"] == (256, 32)


def mixture(weight: float, *, ends: bool = True) -> tuple[str, dict[str, Any]]:
    """A mixture of two models, or one of the two itself at its end."""
    if ends and weight in (0.0, 1.0):
        name, revision = ("org/model", REVISION) if weight else ("local/tuned", _OTHER)
        return name, spec_of(name=name, revision=revision)
    pairs = [[weight, f"org/model@{REVISION}"], [1 - weight, f"local/tuned@{_OTHER}"]]
    return f"cocktail/w{weight}", spec_of(revision=f"{round(1e6 * weight):016x}", mixture=pairs)


@pytest.mark.parametrize("ends", [True, False])
def test_mixtures_go_from_one_model_to_the_other(tmp_path: Path, ends: bool) -> None:
    weights = [0.0, 0.1, 0.5, 0.9, 1.0]
    layout, runs = laid(tmp_path, *(mixture(weight, ends=ends) for weight in weights))
    assert sorted(place for place, _ in values_by_name(layout, runs).values()) == weights
    assert layout.series[0].axis.name == "weight of org/model"
    if ends:
        assert values_by_name(layout, runs)["local/tuned"] == (0.0, None)


def test_an_end_of_a_mixture_with_other_settings_says_which(tmp_path: Path) -> None:
    name, spec = mixture(0.0)
    layout, _ = laid(tmp_path, mixture(0.2), mixture(0.7), mixture(1.0), (name, spec | {"pooling": "mean"}))
    assert dict(layout.left_out) == {"local/tuned": "other settings: pooling cls → mean"}
    assert layout.series[0].axis.values == (0.2, 0.7, 1.0)


def test_a_mixture_of_three_has_two_weights_to_choose(tmp_path: Path) -> None:
    specs = []
    for at, (one, two) in enumerate([(0.2, 0.3), (0.2, 0.5), (0.4, 0.3), (0.4, 0.5)]):
        pairs = [[one, "a/a@1"], [two, "b/b@2"], [1 - one - two, "c/c@3"]]
        specs.append((f"cocktail/m{at}", spec_of(revision=f"{at:016x}", mixture=pairs)))
    (series,) = laid(tmp_path, *specs)[0].series
    assert {series.axis.name, series.other.name if series.other else ""} == {"weight of a/a", "weight of b/b"}


def test_queries_that_are_not_mixed_are_the_end_of_those_that_are(tmp_path: Path) -> None:
    specs: list[tuple[str, dict[str, Any]]] = [("org/model", spec_of())]
    for one, two in ((0.2, 0.8), (1, 1)):
        mix = {"weights": [one, two], "generations": "0123456789abcdef"}
        specs.append((f"org/model{two}-query-mix", spec_of(query_mix=mix)))
    layout, runs = laid(tmp_path, *specs)
    assert values_by_name(layout, runs) == {
        "org/model": (0.0, None),
        "org/model0.8-query-mix": (0.2, None),
        "org/model1-query-mix": (0.5, None),
    }


def test_three_settings_are_not_drawn(tmp_path: Path) -> None:
    specs = [
        (
            f"org/m{at}",
            spec_of(view={"dims": 8 * at + 8, "vectors": ("int8", "binary")[at % 2]}, passage_max_length=at + 1),
        )
        for at in range(3)
    ]
    layout, _ = laid(tmp_path, *specs)
    assert layout.series == ()
    (line,) = layout.undrawn
    assert line.startswith("no curve is drawn of org/m")
    assert "they differ in 3 settings (dimensions, vectors, passage max length); name runs" in line


def test_two_settings_that_only_change_together_are_not_drawn(tmp_path: Path) -> None:
    one = ("org/model", spec_of())
    other = ("org/model-dims64-int8", spec_of(view={"dims": 64, "vectors": "int8"}))
    layout, _ = laid(tmp_path, one, other)
    assert (len(layout.series), len(layout.undrawn)) == (0, 1)
    assert "in 2 settings (dimensions, vectors)" in layout.undrawn[0]


def test_other_settings_keep_a_run_off_the_curve_and_say_so(tmp_path: Path) -> None:
    lengths = [(f"org/m{length}", spec_of(passage_max_length=length)) for length in (64, 128)]
    beside = [
        ("org/pooled", spec_of(passage_max_length=256, pooling="mean")),
        ("org/elsewhere", spec_of(passage_max_length=256, revision=_OTHER)),
        ("org/twin", spec_of(passage_max_length=64)),
    ]
    layout, runs = laid(tmp_path, *lengths, *beside)
    reasons = dict(layout.left_out)
    assert reasons.pop("org/pooled") == "other settings: pooling cls → mean"
    assert reasons.pop("org/elsewhere") == "it is of another model"
    first, second = sorted(("org/twin", "org/m64"), key=[run.label for run in runs].index)
    assert reasons == {second: f"it has the same settings as {first}"}
    assert values_by_name(layout, runs) == {first: (64, None), "org/m128": (128, None)}


def test_one_run_and_unlike_models_are_no_series(tmp_path: Path) -> None:
    assert laid(tmp_path / "one", ("org/model", spec_of()))[0] == Layout()
    models = [("org/one", spec_of()), ("org/two", spec_of(revision=_OTHER, passage_max_length=64))]
    assert laid(tmp_path / "two", *models)[0] == Layout()


def test_models_of_servers_are_told_apart_by_name(tmp_path: Path) -> None:
    specs = [(f"api/{name}", spec_of(revision="server", temperature=at)) for at, name in enumerate(("one", "two"))]
    assert laid(tmp_path, *specs)[0] == Layout()


def test_options_of_a_benchmark_are_no_axis(tmp_path: Path) -> None:
    folders = []
    for choices in (2, 3):
        folder = series_run(tmp_path / str(choices), "org/model", spec_of(), _VALUES)
        record = folder / "flagbench" / "run.json"
        text = record.read_text(encoding="utf-8")
        record.write_text(text.replace('"instruction"', f'"options": {{"choices": {choices}}}, "instruction"'))
        folders.append(folder)
    assert find_series(find_all(folders)) == Layout()


def test_what_is_no_number_is_no_place(tmp_path: Path) -> None:
    """A truth, a number that is too large, and a mixture that is none: records are files."""
    odd = {"flag": True, "large": 10**300, "mixture": [["x", 1]], "query_mix": {"weights": [0, 0]}, "view": [1]}
    specs = [("org/m1", spec_of(**odd, ratio=1)), ("org/m2", spec_of(**odd, ratio=2))]
    (series,) = laid(tmp_path, *specs)[0].series
    assert series.axis.values == (1, 2)


def test_a_run_whose_tasks_had_several_settings_is_on_no_curve(tmp_path: Path) -> None:
    lengths = [series_run(tmp_path, f"org/m{n}", spec_of(passage_max_length=n), _VALUES) for n in (64, 128)]
    mixed = series_run(tmp_path, "org/mixed", spec_of(passage_max_length=256), {"A": [0.5], "B": [0.5]})
    record = mixed / "flagbench" / "run.json"
    text = record.read_text(encoding="utf-8")
    at = text.rindex('"passage_max_length": 256')
    record.write_text(text[:at] + text[at:].replace("256", "512", 1), encoding="utf-8")
    runs = find_all([*lengths, mixed])
    assert dict(find_series(runs).left_out) == {
        "org/mixed": "settings differ: passage max length 256 → 512 (between its own tasks)"
    }


def test_a_run_without_recorded_settings_is_on_no_curve(tmp_path: Path) -> None:
    lengths = [series_run(tmp_path, f"org/m{n}", spec_of(passage_max_length=n), _VALUES) for n in (64, 128)]
    failed = series_run(tmp_path, "org/failed", spec_of(), {"A": None})
    left = dict(find_series(find_all([*lengths, failed])).left_out)
    assert left == {"org/failed": "none of its tasks has a score and the settings that it was made with"}


def test_a_model_that_is_called_as_a_point_is_another_one(tmp_path: Path) -> None:
    """A served model has a revision that says nothing of its weights."""
    spec = spec_of(revision="1")
    whole, short = {"dims": "full", "vectors": "fp32"}, {"dims": 64, "vectors": "fp32"}
    named = [
        ("org/model", spec),
        ("org/model-dims64", spec | {"view": short}),
        ("org/model-int8", spec | {"view": whole}),
    ]
    layout, runs = laid(tmp_path, *named)
    assert values_by_name(layout, runs).keys() == {"org/model", "org/model-dims64"}
    ((label, reason),) = layout.left_out
    assert (label.split("@")[0], reason) == ("org/model-int8", "it is of another model")


def test_the_ends_of_mixtures_are_there_with_fewer_numbers_too(tmp_path: Path) -> None:
    sources = [f"org/one@{REVISION}", f"org/two@{_OTHER}"]
    view = {"dims": 64, "vectors": "fp32"}
    runs = [
        (f"cocktail/{share}-dims64", spec_of(view=view, mixture=[[share, sources[0]], [1 - share, sources[1]]]))
        for share in (0.25, 0.75)
    ]
    runs.append(("org/two-dims64", spec_of(view=view, revision=_OTHER)))
    layout, found = laid(tmp_path, *runs)
    assert values_by_name(layout, found)["org/two-dims64"] == (0.0, None)
