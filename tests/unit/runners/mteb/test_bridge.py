"""The bridge to mteb: its protocols, what the model reads, and scores held against mteb's own search."""

from __future__ import annotations

import json
import logging
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import datasets
import mteb
import numpy as np
import pytest
from datasets import Dataset
from mteb._create_dataloaders import create_dataloader
from mteb.models import CrossEncoderProtocol, EncoderProtocol, SearchEncoderWrapper, SearchProtocol
from mteb.similarity_functions import pairwise_cos_sim, pairwise_dot_score
from mteb.types import PromptType
from numpy.typing import NDArray

from flagbench import ModelFault
from flagbench.cmteb.benchmark import CMTEB
from flagbench.models.baselines.random import FakeEncoder, FakeScorer
from flagbench.models.contract import DENSE, Part, Role
from flagbench.models.embedders.settings import M3Settings
from flagbench.models.embeddings import Embeddings
from flagbench.models.inputs import Item
from flagbench.models.loading.registry import published
from flagbench.models.spec import ModelSpec
from flagbench.runners.benchmark import EvaluatedModel, Loaded
from flagbench.runners.data.snapshots import Snapshots
from flagbench.runners.encoding.encode import TextEncoder
from flagbench.runners.mteb.bridge import (
    CrossEncoderBridge,
    EncoderBridge,
    model_meta,
    passage_inputs,
    passage_texts,
    query_inputs,
    quiet,
)
from flagbench.runners.mteb.evaluation import evaluate
from flagbench.runners.progress import Silent
from tests.conftest import MINI
from tests.contract.scripted_images import ColourEncoder, ColourScorer
from tests.pictures import drawn, image
from tests.unit.cmteb_tasks import load

_RANDOM = published()["flagbench/random"]
_RERANKER = published()["flagbench/random-reranker"]


@cache
def _loaded(name: str) -> Loaded:
    row = next(task for task in CMTEB.tasks() if task.name == name)
    return load(row, Snapshots(MINI))


@cache
def _rows(name: str, part: str) -> list[dict[str, Any]]:
    row = _loaded(name).task
    path = MINI / row.dataset / part / f"{row.splits[0]}-00000-of-00001.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


class _Recorder(FakeEncoder):
    """The random baseline, with a note of each call."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec)
        self.calls: list[tuple[Role, str, list[str]]] = []

    def encode(
        self, texts: Sequence[str], *, role: Role, instruction: str = "", parts: frozenset[Part] = DENSE
    ) -> Embeddings:
        self.calls.append((role, instruction, list(texts)))
        return super().encode(texts, role=role, instruction=instruction)

    def seen(self, role: Role) -> tuple[set[str], set[str]]:
        """Instructions and texts of a role."""
        calls = [call for call in self.calls if call[0] == role]
        return {call[1] for call in calls}, {text for call in calls for text in call[2]}


def _bridge(adapter: FakeEncoder) -> EncoderBridge:
    return EncoderBridge(TextEncoder(adapter, Silent()), EvaluatedModel(adapter), Silent())


class _EncoderOnly:
    """What mteb searches by itself: an encoder that has no search of its own."""

    def __init__(self, bridge: EncoderBridge) -> None:
        self.mteb_model_meta = bridge.mteb_model_meta
        self.encode = bridge.encode
        self.similarity = bridge.similarity
        self.similarity_pairwise = bridge.similarity_pairwise


def _scores(name: str, model: Any) -> dict[str, float]:
    loaded = _loaded(name)
    with quiet():
        found = loaded.content.evaluate(
            model,
            loaded.task.splits[0],
            subsets_to_run=["default"],
            encode_kwargs={"batch_size": 32, "show_progress_bar": False},
        )
    return {key: value for key, value in found["default"].items() if isinstance(value, float)}


# Protocols.


def test_the_encoder_bridge_is_what_mteb_takes() -> None:
    bridge = _bridge(FakeEncoder(_RANDOM))
    assert isinstance(bridge, EncoderProtocol)
    assert isinstance(bridge, SearchProtocol)
    assert not isinstance(bridge, CrossEncoderProtocol)


def test_the_cross_encoder_bridge_is_what_mteb_takes() -> None:
    bridge = CrossEncoderBridge(FakeScorer(_RERANKER), Silent(), None)
    assert isinstance(bridge, CrossEncoderProtocol)
    assert not isinstance(bridge, EncoderProtocol)
    assert not isinstance(bridge, SearchProtocol)


def test_an_encoder_alone_is_searched_by_mteb() -> None:
    alone = _EncoderOnly(_bridge(FakeEncoder(_RANDOM)))
    assert isinstance(alone, EncoderProtocol)
    assert not isinstance(alone, SearchProtocol)


_M3 = published()["BAAI/bge-m3"]


@pytest.mark.parametrize(
    ("spec", "kind"),
    [
        (replace(_RANDOM, prompts=(("query", "Q: "),), passage_max_length=77, similarity="dot"), "dense"),
        (_M3, "dense"),
        (replace(_M3, own=M3Settings("sparse")), "sparse"),
        (replace(_M3, own=M3Settings("colbert", (), 100)), "late-interaction"),
        (replace(_M3, own=M3Settings("hybrid", (1.0, 0.3, 1.0), 100)), "hybrid"),
        (_RERANKER, "cross-encoder"),
        (published()["BAAI/bge-reranker-v2-m3"], "cross-encoder"),
        (published()["flagbench/bm25"], "sparse"),
    ],
    ids=["random", "m3", "sparse", "colbert", "hybrid", "random reranker", "reranker", "bm25"],
)
def test_the_model_file_of_mteb_has_the_settings(spec: ModelSpec, kind: str) -> None:
    meta = model_meta(spec)
    files = not spec.name.startswith("flagbench/")
    assert (meta.name, meta.revision) == (spec.name, spec.revision)
    assert meta.max_tokens == (spec.passage_max_length or None)
    assert meta.license == (spec.licence or None)
    assert meta.similarity_fn_name == (spec.similarity if spec.ability == "encode" else None)
    assert meta.use_instructions is bool(spec.prompts)
    assert meta.framework == (["PyTorch", "Transformers", "safetensors"] if files else [])
    assert meta.model_type == [kind]
    assert meta.is_cross_encoder is (spec.ability == "score")


def test_the_model_file_of_two_models_names_both() -> None:
    meta = model_meta(_M3, published()["BAAI/bge-reranker-v2-m3"])
    assert meta.name == "BAAI/bge-m3+bge-reranker-v2-m3"
    assert meta.revision == f"{_M3.revision}+{published()['BAAI/bge-reranker-v2-m3'].revision}"
    assert meta.model_type == ["dense"]


# Texts of passages.


def _mteb_texts(corpus: Dataset) -> list[str]:
    metadata = _loaded("CovidRetrieval").content.metadata
    with quiet():
        loader = create_dataloader(corpus, task_metadata=metadata, prompt_type=PromptType.document, batch_size=2)
        return [text for batch in loader for text in batch["text"]]


_TEXTS = ["plain", " blank ends \n", "中文　", "　全角空格", "two\nlines"]


@pytest.mark.parametrize(
    "columns",
    [
        {},
        {"title": ["T", "T", "题目", "", " "]},
        {"title": ["", "", "", "", ""]},
        {"title": [" blank title ", "\t", "x", "　", "T"]},
    ],
    ids=["no title", "some titles", "empty titles", "blank titles"],
)
def test_passages_read_as_mteb_joins_them(columns: dict[str, list[str]]) -> None:
    corpus = Dataset.from_dict({"id": [str(row) for row in range(5)], "text": _TEXTS} | columns)
    assert list(passage_texts(corpus)) == _mteb_texts(corpus)
    assert passage_texts(corpus)[0] == _mteb_texts(corpus)[0]


def test_an_empty_text_with_a_title_reads_as_mteb_joins_it() -> None:
    corpus = Dataset.from_dict({"id": ["0", "1"], "title": ["T", ""], "text": ["", "x"]})
    assert list(passage_texts(corpus)) == _mteb_texts(corpus) == ["T", "x"]


# Scores, against mteb's own search over the same vectors.

_SPECS = {
    "cosine": _RANDOM,
    "cosine of long vectors": replace(_RANDOM, normalize=False),
    "dot": replace(_RANDOM, normalize=False, similarity="dot"),
    "instruction": replace(_RANDOM, prompts=(("Retrieval-query", "Q: "), ("Reranking-query", "R: "))),
}


@pytest.mark.parametrize("spec", _SPECS.values(), ids=_SPECS)
@pytest.mark.parametrize("name", ["CovidRetrieval", "T2Reranking"])
def test_the_scores_are_those_of_mtebs_search(name: str, spec: ModelSpec) -> None:
    bridge = _bridge(FakeEncoder(spec))
    ours = _scores(name, bridge)
    theirs = _scores(name, SearchEncoderWrapper(_EncoderOnly(_bridge(FakeEncoder(spec)))))
    assert bridge.retriever.index_info is not None
    assert len(ours) > 20
    assert ours == pytest.approx(theirs, abs=1e-6, nan_ok=True)
    assert 0 < ours["main_score"] < 1


def test_a_query_without_candidates_is_ranked_as_mteb_does() -> None:
    task = _loaded("T2Reranking").content
    data = task.dataset["default"]["dev"]
    asked = {"task_metadata": task.metadata, "hf_split": "dev", "hf_subset": "default", "encode_kwargs": {}}
    candidates = dict(data["top_ranked"])
    first = next(iter(candidates))
    candidates[first] = []
    runs = []
    for model in (_bridge(FakeEncoder(_RANDOM)), SearchEncoderWrapper(_EncoderOnly(_bridge(FakeEncoder(_RANDOM))))):
        with quiet():
            model.index(data["corpus"], num_proc=None, **asked)
            runs.append(model.search(data["queries"], top_k=1000, top_ranked=candidates, num_proc=None, **asked))
    assert runs[0][first] == runs[1][first] == {}
    assert {query: set(found) for query, found in runs[0].items()} == {
        query: set(found) for query, found in runs[1].items()
    }


# What the model sees.


@pytest.mark.parametrize("name", ["CovidRetrieval", "T2Reranking"])
def test_the_instruction_goes_before_queries_only(name: str) -> None:
    adapter = _Recorder(_SPECS["instruction"])
    _scores(name, _bridge(adapter))
    queries, passages = adapter.seen("query"), adapter.seen("passage")
    assert queries == ({"Q: " if name == "CovidRetrieval" else "R: "}, {row["text"] for row in _rows(name, "queries")})
    assert passages[0] == {""}
    assert passages[1] == {
        f"{row['title']} {row['text']}" if row["title"] else row["text"] for row in _rows(name, "corpus")
    }
    assert not any(role == "symmetric" for role, _, _ in adapter.calls)


def test_each_role_has_its_prompt() -> None:
    adapter = _Recorder(replace(_RANDOM, prompts=(("query", "ask: "), ("passage", "read: "))))
    _scores("T2Reranking", _bridge(adapter))
    assert adapter.seen("query")[0] == {"ask: "}
    assert adapter.seen("passage")[0] == {"read: "}


def test_the_prompt_of_a_task_comes_before_that_of_its_type() -> None:
    adapter = _Recorder(replace(_RANDOM, prompts=(("Reranking-query", "type: "), ("T2Reranking-query", "task: "))))
    _scores("T2Reranking", _bridge(adapter))
    assert adapter.seen("query")[0] == {"task: "}


def test_symmetric_texts_have_no_role() -> None:
    adapter = _Recorder(replace(_RANDOM, prompts=(("query", "ask: "), ("passage", "read: "), ("STS", "both: "))))
    _scores("LCQMC", _bridge(adapter))
    assert {role for role, _, _ in adapter.calls} == {"symmetric"}
    instructions, texts = adapter.seen("symmetric")
    assert instructions == {"both: "}
    assert texts == {row[key] for row in _rows("LCQMC", "data") for key in ("sentence1", "sentence2")}


def test_the_vectors_of_pairs_come_in_their_order() -> None:
    """Each pair holds one text twice or two texts: with random vectors the cosine must be one or near zero."""
    names = ["a", "b", "c", "d", "e", "f"]
    pairs = [(left, right) for left in names for right in names]
    metadata = _loaded("LCQMC").content.metadata
    bridge = _bridge(FakeEncoder(_RANDOM))
    vectors = []
    for column in (0, 1):
        rows = Dataset.from_dict({"text": [pair[column] for pair in pairs]})
        vectors.append(bridge.encode(create_dataloader(rows, task_metadata=metadata), task_metadata=metadata))
    cosines = bridge.similarity_pairwise(*vectors).numpy()
    np.testing.assert_array_equal(cosines > 0.99, [left == right for left, right in pairs])
    np.testing.assert_allclose(np.diag(bridge.similarity(*vectors).numpy()), cosines, atol=1e-6)


@pytest.mark.parametrize("similarity", ["cosine", "dot"])
def test_similarities_in_step_are_those_of_mteb_to_the_last_bit(similarity: Any) -> None:
    """The last bits order pairs of equal texts, and with them a rank correlation."""
    bridge = _bridge(FakeEncoder(replace(_RANDOM, similarity=similarity)))
    one, other = np.random.default_rng(3).standard_normal((2, 500, 97)).astype(np.float32)
    other[::7] = one[::7]
    one[3] = 0
    theirs = {"cosine": pairwise_cos_sim, "dot": pairwise_dot_score}[similarity](one, other).numpy()
    np.testing.assert_array_equal(bridge.similarity_pairwise(one, other).numpy(), theirs)


# Rerankers.


def _average_precision(ranking: list[str], relevant: set[str]) -> float:
    hits, total = 0, 0.0
    for place, name in enumerate(ranking, start=1):
        if name in relevant:
            hits += 1
            total += hits / place
    return total / len(relevant)


def _naive_map(score: Callable[[str, str], float]) -> float:
    """Mean average precision over T2Reranking's own files."""
    texts = {row["_id"]: row["text"] for row in _rows("T2Reranking", "corpus")}
    queries = {row["_id"]: row["text"] for row in _rows("T2Reranking", "queries")}
    relevant: dict[str, set[str]] = {}
    for row in _rows("T2Reranking", "default"):
        if row["score"] > 0:
            relevant.setdefault(row["query-id"], set()).add(row["corpus-id"])
    values = []
    for row in _rows("T2Reranking", "top_ranked"):
        query = queries[row["query-id"]]
        ranking = sorted(row["corpus-ids"], key=lambda name: -score(query, texts[name]))
        values.append(_average_precision(ranking, relevant[row["query-id"]]))
    return float(np.mean(values))


def test_a_reranker_is_scored_by_its_own_order() -> None:
    scorer = FakeScorer(_RERANKER)
    found = _scores("T2Reranking", CrossEncoderBridge(scorer, Silent(), None))
    expected = _naive_map(lambda query, passage: float(scorer.score([(query, passage)])[0]))
    assert found["map_at_1000"] == pytest.approx(expected, abs=1e-5)
    assert found["main_score"] == found["map_at_1000"]


def _naive_score(spec: ModelSpec) -> float:
    """That of an encoder, by the instruction of its queries and the similarity of its spec."""
    encoder = FakeEncoder(spec)
    instruction = dict(spec.prompts).get("Reranking-query", "")

    def similarity(query: str, passage: str) -> float:
        one, two = encoder.encode([instruction + query, passage], role="query").dense.astype(float)
        return float(one @ two) / (
            1.0 if spec.similarity == "dot" else float(np.linalg.norm(one) * np.linalg.norm(two))
        )

    return _naive_map(similarity)


@pytest.mark.parametrize("spec", _SPECS.values(), ids=_SPECS)
def test_an_encoder_is_scored_by_its_own_order(spec: ModelSpec) -> None:
    assert _scores("T2Reranking", _bridge(FakeEncoder(spec)))["map_at_1000"] == pytest.approx(
        _naive_score(spec), abs=1e-5
    )


def test_other_vectors_give_other_scores() -> None:
    """Or the test above would not see an instruction that is lost."""
    assert abs(_naive_score(_SPECS["instruction"]) - _naive_score(_RANDOM)) > 1e-3


class _PairRecorder(FakeScorer):
    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec)
        self.calls: list[tuple[str, list[tuple[str, str]]]] = []

    def score(self, pairs: Sequence[tuple[str, str]], *, instruction: str = "") -> NDArray[np.float32]:
        self.calls.append((instruction, list(pairs)))
        return super().score(pairs, instruction=instruction)


def test_a_reranker_sees_each_query_with_its_candidates() -> None:
    scorer = _PairRecorder(replace(_RERANKER, prompts=(("Reranking-query", "R: "), ("passage", "never: "))))
    _scores("T2Reranking", CrossEncoderBridge(scorer, Silent(), None))
    assert {instruction for instruction, _ in scorer.calls} == {"R: "}
    texts = {row["_id"]: row["text"] for row in _rows("T2Reranking", "corpus")}
    queries = {row["_id"]: row["text"] for row in _rows("T2Reranking", "queries")}
    expected = {
        (queries[row["query-id"]], texts[name])
        for row in _rows("T2Reranking", "top_ranked")
        for name in row["corpus-ids"]
    }
    pairs = [pair for _, pairs in scorer.calls for pair in pairs]
    assert set(pairs) == expected
    assert len(pairs) == sum(len(row["corpus-ids"]) for row in _rows("T2Reranking", "top_ranked"))


class _BrokenScorer(FakeScorer):
    def score(self, pairs: Sequence[tuple[str, str]], *, instruction: str = "") -> NDArray[np.float32]:
        scores = super().score(pairs, instruction=instruction)
        scores[:3] = (np.nan, np.inf, np.nan)
        return scores


def test_scores_that_are_no_numbers_are_a_fault_of_the_model() -> None:
    scorer = _BrokenScorer(_RERANKER)
    with pytest.raises(ModelFault, match=r"flagbench/random-reranker gave NaN or infinite scores for 3 of 200 pairs"):
        evaluate(_loaded("T2Reranking"), EvaluatedModel(scorer), Silent(), None)


class _BrokenEncoder(FakeEncoder):
    def encode(
        self, texts: Sequence[str], *, role: Role, instruction: str = "", parts: frozenset[Part] = DENSE
    ) -> Embeddings:
        dense = super().encode(texts, role=role, instruction=instruction).dense
        dense[0, 0] = np.nan
        return Embeddings(dense=dense)


@pytest.mark.parametrize("name", ["CovidRetrieval", "T2Reranking", "LCQMC"])
def test_vectors_that_are_no_numbers_are_a_fault_of_the_model(name: str) -> None:
    with pytest.raises(ModelFault, match="flagbench/random gave NaN or infinite values for 1 of"):
        evaluate(_loaded(name), EvaluatedModel(_BrokenEncoder(_RANDOM)), Silent(), None)


class _ConstantEncoder(FakeEncoder):
    def encode(self, texts: Sequence[str], **more: Any) -> Embeddings:
        return super().encode(["the same"] * len(texts), **more)


def test_a_score_that_is_no_number_is_a_fault_of_the_model() -> None:
    """No vector is at fault, but a correlation of numbers that are all equal is none."""
    with pytest.raises(ModelFault, match=r"LCQMC: .*spearman of test/default is NaN; are all vectors alike\?"):
        evaluate(_loaded("LCQMC"), EvaluatedModel(_ConstantEncoder(_RANDOM)), Silent(), None)


# Images.


def _about(category: str) -> Any:
    """Metadata of mteb for a task of these inputs, ``t2i`` for texts that search images."""
    modalities = sorted({{"t": "text", "i": "image"}[each] for each in category.replace("2", "")})
    about = mteb.get_task("CovidRetrieval").metadata
    return about.model_copy(update={"category": category, "modalities": modalities})


def _pictures(*colours: str, **columns: list[str]) -> Dataset:
    stored = [{"bytes": drawn(colour), "path": None} for colour in colours]
    features = {"id": datasets.Value("string"), "image": datasets.Image()} | dict.fromkeys(
        columns, datasets.Value("string")
    )
    ids = [f"d{row}" for row in range(len(colours))]
    return Dataset.from_dict({"id": ids, "image": stored, **columns}, features=datasets.Features(features))


def test_a_column_of_images_is_read_as_items_and_not_decoded() -> None:
    corpus = _pictures("red", "blue", "lime").select([2, 0])
    assert list(passage_inputs(corpus, _about("t2i"))) == [Item("", (image("lime"),)), Item("", (image("red"),))]
    titled = _pictures("red", text=["a square "], title=["T"])
    assert list(passage_inputs(titled, _about("t2it"))) == [Item("T a square", (image("red"),))]
    assert list(passage_inputs(titled, _about("t2i"))) == [Item("", (image("red"),))]
    assert list(passage_inputs(titled, _about("t2t"))) == ["T a square"]


def test_a_column_of_pictures_of_pillow_is_read_as_items() -> None:
    pictures = [image("red").decoded(), image("blue").decoded()]
    (one, other) = passage_inputs(Dataset.from_dict({"id": ["a", "b"], "image": pictures}), _about("t2i"))
    assert isinstance(one, Item)
    assert isinstance(other, Item)
    assert [each.images[0].decoded().getpixel((0, 0)) for each in (one, other)] == [(255, 0, 0), (0, 0, 255)]


def test_queries_are_what_the_task_says_of_them() -> None:
    queries = _pictures("red", text=["what is it?"])
    with quiet():
        assert list(query_inputs(queries, _about("it2t"))) == [Item("what is it?", (image("red"),))]
        assert list(query_inputs(queries, _about("i2t"))) == [Item("", (image("red"),))]
        assert list(query_inputs(queries, _about("t2i"))) == ["what is it?"]


def test_mteb_searches_images_through_the_bridge() -> None:
    bridge = _bridge(ColourEncoder())  # type: ignore[arg-type]
    bridge.index(_pictures("red", "blue", "lime", "blue"))
    queries = Dataset.from_dict({"id": ["q"], "text": ["blue squares"]})
    with quiet():
        run = bridge.search(queries, task_metadata=_about("t2i"), top_k=4)
    assert sorted(run["q"], key=run["q"].__getitem__, reverse=True)[:2] == ["d1", "d3"]
    assert run["q"]["d1"] == run["q"]["d3"] > 0.9 > run["q"]["d0"]


def test_mteb_encodes_and_scores_images_through_the_bridges() -> None:
    about = _about("i2i")
    with quiet():
        loader = create_dataloader(_pictures("red", "blue"), task_metadata=about, prompt_type=None)
        vectors = _bridge(ColourEncoder()).encode(loader, task_metadata=about)  # type: ignore[arg-type]
        other = create_dataloader(_pictures("red", "red"), task_metadata=about, prompt_type=None)
        scores = CrossEncoderBridge(ColourScorer(), Silent(), None).predict(loader, other, task_metadata=about)
    wanted = ColourEncoder().encode([Item("", (image("red"),)), Item("", (image("blue"),))], role="symmetric").dense
    assert np.array_equal(vectors, wanted)
    assert scores[0] > 0.9 > 0.2 > scores[1]


# Quiet.


def _bars() -> dict[str, Any]:
    return {
        name: module.tqdm
        for name, module in list(sys.modules.items())
        if name.startswith("mteb.") and hasattr(module, "tqdm")
    }


@pytest.fixture
def bars() -> Iterator[dict[str, Any]]:
    assert mteb.models.search_wrappers
    before = _bars()
    assert before
    yield before
    assert _bars() == before


def test_quiet_hides_mtebs_bars_and_gives_them_back(bars: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    with quiet():
        inside = _bars()
        assert [list(bar(range(3))) for bar in inside.values()] == [[0, 1, 2]] * len(bars)
    assert capsys.readouterr().err == ""
    assert all(inside[name] is not bars[name] for name in bars)


def _fail_in_quiet() -> None:
    with quiet():
        raise ZeroDivisionError


def test_quiet_gives_the_bars_back_after_an_error(bars: dict[str, Any]) -> None:
    with pytest.raises(ZeroDivisionError):
        _fail_in_quiet()
    assert _bars() == bars


def test_quiet_gives_back_the_log_level_and_the_bars_of_datasets() -> None:
    logger = logging.getLogger("mteb")
    before = logger.level, datasets.are_progress_bars_disabled()
    try:
        logger.setLevel(logging.INFO)
        datasets.enable_progress_bars()
        with quiet():
            assert logger.level >= logging.ERROR
            assert datasets.are_progress_bars_disabled()
        assert logger.level == logging.INFO
        assert not datasets.are_progress_bars_disabled()
    finally:
        logger.setLevel(before[0])
        if before[1]:
            datasets.disable_progress_bars()


def test_quiet_hides_warnings_only_while_it_lasts() -> None:
    with quiet():
        warnings.warn("not to be seen", stacklevel=1)
    with pytest.warns(UserWarning, match="to be seen"):
        warnings.warn("to be seen", stacklevel=1)


@pytest.mark.parametrize("name", published())
def test_every_published_model_has_a_model_file(name: str) -> None:
    assert model_meta(published()[name]).to_dict()["license"] == (published()[name].licence or None)


@pytest.mark.parametrize("name", ["CovidRetrieval", "T2Reranking"])
@pytest.mark.parametrize("top_k", [1, 3])
def test_passages_below_the_reranked_ones_stay_in_their_order(name: str, top_k: int) -> None:
    """A reranker of the first few leaves recall beyond them as it was."""
    task = _loaded(name).content
    data = task.dataset["default"]["dev"]
    asked = {"task_metadata": task.metadata, "top_k": 20, "top_ranked": data["top_ranked"]}
    scorer = FakeScorer(_RERANKER)
    orders = []
    for reranker in (None, scorer):
        encoder = FakeEncoder(_RANDOM)
        bridge = EncoderBridge(
            TextEncoder(encoder, Silent()), EvaluatedModel(encoder, reranker, rerank_top_k=top_k), Silent()
        )
        with quiet():
            bridge.index(data["corpus"])
            run = bridge.search(data["queries"], **asked)
        orders.append({query: sorted(its, key=its.__getitem__, reverse=True) for query, its in run.items()})
    queries = dict(zip(data["queries"]["id"], data["queries"]["text"], strict=True))
    passages = dict(zip(data["corpus"]["id"], passage_texts(data["corpus"]), strict=True))
    retrieved, reranked = orders
    assert retrieved.keys() == reranked.keys() == queries.keys()
    for query, order in retrieved.items():
        scores = {id_: float(scorer.score([(queries[query], passages[id_])])[0]) for id_ in order[:top_k]}
        assert reranked[query] == sorted(scores, key=lambda id_: -scores[id_]) + order[top_k:]
        assert len(order) > top_k
