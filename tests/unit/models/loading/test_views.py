"""A view of the vectors, as it is asked for, refused and said; and whether a model was trained for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flagbench import BadInput
from flagbench.models.loading.deferred import Deferred
from flagbench.models.loading.overrides import Overrides, override
from flagbench.models.loading.registry import family_spec, published
from flagbench.models.loading.resolve import LoadedModels, Model, resolve_generator, resolve_model
from flagbench.models.query_mix import QueryMix
from flagbench.models.view import View
from tests.checkpoints import add_sentence_transformers, write_bert, write_json
from tests.saying import saying

SMALL = published()["BAAI/bge-small-zh-v1.5"]


def found(path: Path, view: View | None) -> Model:
    return resolve_model(str(path), None, Overrides(view=view), trust_remote_code=False, allow_pickle=False)


@pytest.mark.parametrize(
    ("view", "suffix", "line"),
    [
        (
            View(64),
            "-dims64",
            "vectors: first 64 numbers, normalised again, of the model's one encoding",
        ),
        (View(0, "int8"), "-int8", "vectors: int8, of the model's one encoding"),
        (
            View(64, "binary+rescore", 4),
            "-dims64-binary+rescore",
            "vectors: first 64 numbers, normalised again; binary+rescore, 4 passages rescored for each that is kept, "
            "of the model's one encoding",
        ),
    ],
)
def test_a_view_is_a_part_of_the_name_and_a_line_of_evidence(view: View, suffix: str, line: str) -> None:
    spec, evidence = override(SMALL, Overrides(view=view))
    assert spec == replace(SMALL, name=SMALL.name + suffix, view=view)
    assert evidence == [line]
    assert override(SMALL, Overrides(view=view, name="my/name"))[0].name == f"my/name{suffix}"


def test_all_of_the_vectors_are_the_model_itself() -> None:
    assert override(SMALL, Overrides(view=View())) == (SMALL, [])


@pytest.mark.parametrize(
    ("model", "what"),
    [
        ("BAAI/bge-reranker-base", "is for an embedding model, and BAAI/bge-reranker-base is a reranker"),
        ("flagbench/bm25", "does not apply to flagbench/bm25, which counts words"),
    ],
)
@pytest.mark.parametrize(
    ("view", "flag"),
    [
        (View(64), "--dims"),
        (View(0, "int8"), "--vectors"),
        (View(64, "int8"), "--dims"),
        (View(), "--dims or --vectors"),
    ],
)
def test_models_without_dense_vectors_take_none(model: str, what: str, view: View, flag: str) -> None:
    with pytest.raises(BadInput) as caught:
        override(published()[model], Overrides(view=view))
    assert str(caught.value).startswith(f"{flag} {what}")
    assert str(caught.value).endswith("drop it")


def test_a_model_that_answers_takes_none() -> None:
    with pytest.raises(BadInput, match=r"^--dims does not apply to flagbench/first-letter, which answers by letters"):
        resolve_generator(
            "flagbench/first-letter", None, None, Overrides(view=View(8)), trust_remote_code=False, allow_pickle=False
        )


@pytest.mark.parametrize("retrieval", ["sparse", "colbert", "hybrid"])
def test_ranking_by_others_than_dense_vectors_takes_none(retrieval: str) -> None:
    spec = family_spec("bge-m3", name="local/m3", revision="0" * 40)
    with pytest.raises(BadInput, match=f"^--vectors is of dense vectors, and --retrieval {retrieval} ranks by others"):
        override(spec, saying(retrieval=retrieval, view=View(0, "binary")))


def test_mixed_queries_are_cut_and_not_quantised(tmp_path: Path) -> None:
    made = tmp_path / "made.jsonl"
    made.write_text('{"query": "a", "generation": "b"}\n', encoding="utf-8")
    spec, _ = override(SMALL, Overrides(query_mix=made, view=View(64)))
    assert spec.name == f"{SMALL.name}-query-mix-dims64"
    assert isinstance(spec.query_mix, QueryMix)
    assert spec.as_encoded == SMALL
    with pytest.raises(BadInput, match=r"^--query-mix mixes float vectors, and --vectors int8 has none: drop one$"):
        override(SMALL, Overrides(query_mix=made, view=View(64, "int8")))


def test_the_points_of_a_series_are_all_views_of_all_cutoff_layers() -> None:
    views = (View(8), View())
    points = list(saying(cutoff_layers=(8, 16)).points(views))
    assert [(each.cutoff, each.view) for each in points] == [(0, View(8)), (0, View()), (1, View(8)), (1, View())]
    assert list(Overrides().points((None,))) == [Overrides()]


# Matryoshka.


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return add_sentence_transformers(write_bert(tmp_path / "tiny"))


EIGHT = View(8)


def matryoshka(path: Path, view: View | None = EIGHT) -> list[str]:
    return [line for line in found(path, view).evidence if "Matryoshka" in line]


def test_a_model_that_says_nothing_of_such_training_is_warned_of(tiny: Path) -> None:
    (line,) = matryoshka(tiny)
    assert line.startswith("warning: --dims 8: nothing in the model's settings says that the first numbers")
    for view in (None, View(), View(0, "int8")):
        assert matryoshka(tiny, view) == []


@pytest.mark.parametrize(
    ("name", "values", "key"),
    [
        ("config.json", {"matryoshka_dimensions": [8, 16]}, "matryoshka_dimensions"),
        ("config.json", {"is_matryoshka": True}, "is_matryoshka"),
        ("config_sentence_transformers.json", {"truncate_dim": 16}, "truncate_dim"),
    ],
)
def test_a_model_that_says_so_is_not(tiny: Path, name: str, values: Mapping[str, Any], key: str) -> None:
    import json

    path = tiny / name
    write_json(path, {**(json.loads(path.read_text()) if path.exists() else {}), **values})
    assert matryoshka(tiny) == [f"Matryoshka training: yes, from {key} of {name}"]


def test_the_card_of_sentence_transformers_says_so(tiny: Path) -> None:
    (tiny / "README.md").write_text("---\ntags:\n- loss:MatryoshkaLoss\n---\n", encoding="utf-8")
    assert matryoshka(tiny) == ["Matryoshka training: yes, from README.md"]


def test_no_more_numbers_than_the_files_say_there_are(tiny: Path) -> None:
    for view in (View(33), View(33, "int8")):
        with pytest.raises(BadInput, match=r"^--dims 33: the vectors of local/tiny have 32 numbers; give no more, or"):
            found(tiny, view)


def test_as_many_numbers_as_there_are_is_the_model_itself(tiny: Path) -> None:
    whole = found(tiny, View(32))
    assert whole.spec == found(tiny, None).spec
    assert [line for line in whole.evidence if "--dims" in line or "vectors" in line] == [
        "--dims 32: these are all numbers of its vectors"
    ]
    quantised = found(tiny, View(32, "binary+rescore", 2))
    assert quantised.spec == found(tiny, View(0, "binary+rescore", 2)).spec
    assert quantised.spec.name == "local/tiny-binary+rescore"
    assert found(tiny, View(31)).spec.name == "local/tiny-dims31"


# One set of weights.


def test_points_of_a_model_are_loaded_once_and_other_models_are_not_it() -> None:
    plain = override(published()["flagbench/random"], Overrides())[0]
    specs = [
        override(published()["flagbench/random"], Overrides(view=view))[0]
        for view in (View(8), View(8, "int8"), View(0, "binary"), View())
    ]
    other = override(published()["flagbench/random"], Overrides(name="my/other"))[0]
    loads: list[str] = []

    def load(spec: Any) -> Any:
        loads.append(spec.name)
        return Deferred(spec, "cpu", lambda: pytest.fail("nothing runs"))

    with LoadedModels() as loaded:
        for spec in (*specs, plain, other):
            model = Model(spec, (), None)
            loaded.keep_only([model])
            loaded.take(model, lambda spec=spec: load(spec))  # type: ignore[misc]
    assert loads == ["flagbench/random-dims8", "my/other"]
