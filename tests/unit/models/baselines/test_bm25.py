"""BM25: how texts become words, its scores against a plain computation, what it finds, and how it is asked for."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from mteb.models import CrossEncoderProtocol, EncoderProtocol, SearchProtocol

from flagbench import BadInput
from flagbench.cmteb.benchmark import CMTEB
from flagbench.models.baselines.analysis import Analyzer, iso_639_1
from flagbench.models.baselines.bm25 import BM25
from flagbench.models.contract import PassageIndex
from flagbench.models.loading.deferred import Deferred
from flagbench.models.loading.overrides import Overrides
from flagbench.models.loading.registry import published
from flagbench.models.loading.resolve import has_files, resolve_model, searches
from flagbench.runners.benchmark import EvaluatedModel, Outcome
from flagbench.runners.data.snapshots import Snapshots
from flagbench.runners.mteb.bridge import SearchBridge, _language, model_meta
from flagbench.runners.mteb.evaluation import evaluate
from flagbench.runners.progress import Silent
from flagbench.runners.request import RunRequest
from flagbench.runners.run.plan import resolve
from flagbench.runners.search.hits import Run
from flagbench.runners.search.ranking import Texts
from flagbench.runners.search.retriever import Retriever
from tests.conftest import MINI, ROOT
from tests.saying import saying, with_settings
from tests.unit.cmteb_tasks import load
from tests.unit.fakes import Scoring

SPEC = published()["flagbench/bm25"]
LEAVES = {"trust_remote_code": False, "allow_pickle": False}


# Words.


def _forms(language: str, text: str) -> list[str]:
    analyzer = Analyzer(language)
    return [form for form in map(analyzer.form, analyzer.words(text)) if form]


@pytest.mark.parametrize(
    ("language", "text", "forms"),
    [
        ("en", "The dog's RUNNING, isn’t it?", ["dog", "run", "isn't"]),
        ("en", "U.S.A. 3.14 1,000 foo_bar (x.com) a.", ["u.s.a", "3.14", "1,000", "foo_bar", "x.com"]),
        ("en", "___ -- 😀 !", []),
        ("en", "Beijing 北京大学 university", ["beij", "北京", "京大", "大学", "univers"]),
        ("zh", "今天天气，好。", ["今天", "天天", "天气", "好"]),
        ("zh", "ＧＰＴ４模型 the Running s", ["gpt4", "模型", "running"]),
        ("ja", "カタカナーです", ["カタ", "タカ", "カナ", "ナー", "ーで", "です"]),
        ("ja", "ｶﾞｽ", ["ガス"]),
        ("zh", "𠮷野々", ["𠮷野", "野々"]),
        ("ko", "한국어 글", ["한국", "국어", "글"]),
        ("de", "Die Häuser und Straßen", ["haus", "strass"]),
        ("fr", "L'homme et l’école", ["homm", "écol"]),
        ("es", "los libros", ["libr"]),
        ("ru", "книги и книга", ["книг", "книг"]),
        ("ar", "الكتاب", ["كتاب"]),
        ("hi", "किताबें हिन्दी", ["किताब", "हिन्द"]),
        ("id", "membaca bukunya", ["baca", "buku"]),
        ("bn", "বাংলা ভাষা", ["বাংলা", "ভাষা"]),
        ("fa", "کتاب\u200cها", ["کتاب", "ها"]),
        ("tr", "IŞIK İl", ["ışık", "il"]),
        ("th", "ไทย 12", ["ไท", "ทย", "12"]),
        ("ca", "treballadors d'amor", ["treball", "d", "am"]),
        ("cs", "nejkrásnějšího a", ["nejkrásnějš", "a"]),
        ("da", "alle bøgerne", ["bøg"]),
        ("el", "βιβλία", ["βιβλ"]),
        ("et", "raamatutega", ["raama"]),
        ("eu", "liburuarekin", ["liburua"]),
        ("fi", "kirjojen", ["kirj"]),
        ("ga", "n-athair bhfuilteacht", ["n", "athair", "fuilteacht"]),
        ("hu", "könyvek", ["könyv"]),
        ("hy", "քաղաքների", ["քաղ"]),
        ("it", "l'uomo abbiamo velocemente", ["uom", "veloc"]),
        ("lt", "knygomis", ["knyg"]),
        ("ne", "किताबहरू", ["किताब"]),
        ("nl", "alles opgingen", ["opg"]),
        ("no", "bare bøkene", ["bøk"]),
        ("pl", "kobietami", ["kobiet"]),
        ("pt", "aos quilométricas", ["quilométr"]),
        ("ro", "cărțile", ["cărț"]),
        ("sr", "књиге", ["knjig"]),
        ("sv", "alla böckerna", ["böck"]),
        ("ta", "புத்தகங்கள்", ["புத்தகம்"]),
        ("ja", "the s t www x", ["x"]),
        ("ko", "the s t www x", ["x"]),
        ("zh", "the s t www x", ["x"]),
        ("en", "the t www x", ["t", "www", "x"]),
        ("", "The running 北京", ["the", "running", "北京"]),
        ("sw", "Running vitabu", ["running", "vitabu"]),
        ("en", "co\u00adop", ["coop"]),
        (
            "",
            "1'000 3;4 1:2 a,b c;d e:f g·h i'j k'5 6'l",
            ["1'000", "3;4", "1", "2", "a", "b", "c", "d", "e:f", "g·h", "i'j", "k", "5", "6", "l"],
        ),
        ("fr", "1'000 x'z", ["1'000", "x", "z"]),
        ("", "_a_ a_1 __ 1.a a.1 .5", ["_a_", "a_1", "1", "a", "a", "1", "5"]),
        ("en", "", []),
    ],
)
def test_words_are_made_as_lucene_makes_them(language: str, text: str, forms: list[str]) -> None:
    assert _forms(language, text) == forms


@pytest.mark.parametrize(
    ("code", "language"),
    [("cmn-Hans", "zh"), ("zho-Hant", "zh"), ("zh-CN", "zh"), ("eng-Latn", "en"), ("EN", "en"), ("xyz-Latn", "xyz")],
)
def test_language_codes_have_two_letters(code: str, language: str) -> None:
    assert iso_639_1(code) == language


LONGER_CODES = """
ar ara arb, bn ben, ca cat, cs ces, da dan, de deu, el ell, en eng, es spa, et est ekk, eu eus, fa fas pes, fi fin,
fr fra, ga gle, hi hin, hu hun, hy hye, id ind, it ita, ja jpn, ko kor, lt lit, ne nep npi, nl nld,
no nor nob nno nb nn, pl pol, pt por, ro ron, ru rus, sr srp, sv swe, ta tam, tr tur, zh zho cmn
"""


def test_every_language_is_known_by_its_longer_codes() -> None:
    """Those of ISO 639-3, as mteb has them, and those of its forms."""
    for language, *others in map(str.split, LONGER_CODES.split(",")):
        assert {iso_639_1(f"{code}-Latn") for code in (language, *others)} == {language}


def test_neither_jax_nor_numba_is_imported(tmp_path: Path) -> None:
    for name in ("jax", "numba"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('imported')\n")
    code = (
        f"import sys\nsys.path.insert(0, {str(tmp_path)!r})\n"
        "from flagbench.models.baselines.analysis import bm25s\nassert bm25s().BM25\n"
        "assert not {'jax', 'numba'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# Scores.


def _naive(queries: Sequence[Sequence[str]], passages: Sequence[Sequence[str]]) -> np.ndarray:
    """Lucene's BM25 in float64, ``[q, n]``; what has no words is not in the collection."""
    known = [passage for passage in passages if passage]
    mean = sum(map(len, known)) / max(1, len(known))
    df = Counter(word for passage in known for word in set(passage))
    scores = np.zeros((len(queries), len(passages)))
    for row, query in enumerate(queries):
        for column, passage in enumerate(passages):
            tf = Counter(passage)
            for word in query:
                if tf[word]:
                    idf = math.log(1 + (len(known) - df[word] + 0.5) / (df[word] + 0.5))
                    norm = 0.9 * (1 - 0.4 + 0.4 * len(passage) / mean)
                    scores[row, column] += idf * tf[word] / (tf[word] + norm)
    return scores


def _index(passages: Sequence[str], language: str = "") -> PassageIndex:
    return BM25(SPEC).index(iter(passages), language=language)


def _assert_exact(passages: Sequence[str], queries: Sequence[str], language: str) -> None:
    index = _index(passages, language)
    expected = _naive([_forms(language, each) for each in queries], [_forms(language, each) for each in passages])
    everything = np.arange(len(passages))
    for query, wanted in zip(queries, expected, strict=True):
        np.testing.assert_allclose(index.score(query, everything), wanted, rtol=2e-6)
        rows, scores = index.search(query, len(passages) + 5)
        assert set(rows.tolist()) == set(np.flatnonzero(wanted).tolist())
        np.testing.assert_allclose(scores, wanted[rows], rtol=2e-6)
        assert (np.diff(scores) <= 0).all()


@pytest.mark.parametrize("seed", range(8))
def test_scores_are_those_of_the_formula(seed: int) -> None:
    random = np.random.default_rng(seed)

    def texts(count: int, longest: int) -> list[str]:
        return [
            " ".join(f"w{word}" for word in random.integers(0, 40, random.integers(0, longest))) for _ in range(count)
        ]

    passages = texts(60, 30)
    _assert_exact([*passages, "", " -- ", *passages[:5]], [*texts(20, 8), "w1 w1 w1", "unheard of", ""], "")


@pytest.mark.parametrize(("dataset", "language"), [("mteb/EcomRetrieval", "zh"), ("mteb/CovidRetrieval", "zh")])
def test_scores_are_those_of_the_formula_on_real_texts(dataset: str, language: str) -> None:
    passages, queries = (
        [row["text"] for row in _rows(MINI / dataset / part)][:most] for part, most in (("corpus", 80), ("queries", 10))
    )
    assert len(passages) > len(queries) > 0
    _assert_exact([*passages, *passages[:3]], queries, language)


def _rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for path in sorted(folder.iterdir()) for line in path.read_text("utf-8").splitlines()]


def test_equal_passages_have_equal_scores_and_a_tie_at_the_cut_is_kept_whole() -> None:
    index = _index(["b a", "a b", "c", "a b b", "a b"])
    rows, scores = index.search("a", 2)
    assert rows.tolist() == [0, 1, 4]
    assert len(set(scores.tolist())) == 1
    assert index.search("b", 1)[0].tolist() == [3]


@pytest.mark.parametrize("query", ["", "?", "nowhere", "the of"])
def test_a_query_without_known_words_finds_nothing(query: str) -> None:
    index = _index(["the cat", "a dog"], "en")
    rows, scores = index.search(query, 10)
    assert (rows.tolist(), scores.tolist()) == ([], [])
    assert (rows.dtype, scores.dtype) == (np.int64, np.float32)
    assert index.score(query, np.array([1, 0])).tolist() == [0, 0]


@pytest.mark.parametrize("passages", [[], ["", "the"]])
def test_a_corpus_without_words_is_searched_too(passages: list[str]) -> None:
    index = _index(passages, "en")
    assert index.search("cat", 3)[0].tolist() == []
    assert index.score("cat", np.arange(len(passages))).tolist() == [0] * len(passages)


def test_the_passages_are_gone_through_once() -> None:
    seen = []

    def passages() -> Any:
        for number in range(3):
            seen.append(number)
            yield f"w{number}"

    index = BM25(SPEC).index(passages(), language="")
    assert index.search("w2", 1)[0].tolist() == [2]
    assert seen == [0, 1, 2]


def test_another_analysis_is_refused() -> None:
    with pytest.raises(BadInput, match="analysis v0 is not known"):
        BM25(with_settings(SPEC, analysis="v0"))


# Finding it by its name, and its settings.


@pytest.mark.parametrize("name", ["bm25", "flagbench/bm25"])
def test_its_short_name_is_enough(name: str) -> None:
    model = resolve_model(name, None, Overrides(), **LEAVES)
    assert (model.spec, model.checkpoint) == (SPEC, None)
    assert searches(name)
    assert not has_files(name)
    assert model.load(device="cpu", batch_size=None, **LEAVES).capabilities == {"search"}


def test_a_folder_of_that_name_is_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bm25").mkdir()
    monkeypatch.chdir(tmp_path)
    assert resolve_model("bm25", None, Overrides(), **LEAVES).spec == SPEC
    assert has_files("./bm25")
    with pytest.raises(BadInput, match=r"bm25"):
        resolve_model("./bm25", None, Overrides(), **LEAVES)


def test_what_moves_its_scores_is_recorded_and_no_other_model_has_it() -> None:
    assert SPEC.as_dict()["search"] == {"method": "lucene", "k1": 0.9, "b": 0.4, "analysis": "v1"}
    assert all("search" not in spec.as_dict() for name, spec in published().items() if name != SPEC.name)
    assert with_settings(SPEC, k1=1.2).digest() != SPEC.digest()


@pytest.mark.parametrize(
    ("overrides", "flag"),
    [
        (Overrides(pooling="cls"), "--pooling"),
        (Overrides(normalize=False), "--normalize"),
        (Overrides(max_length=8), "--max-length"),
        (Overrides(query_instruction=""), "--query-instruction"),
        (Overrides(dtype="fp16"), "--dtype"),
        (saying(cutoff_layers=(3,)), "--cutoff-layers"),
        (saying(examples=Path("x")), "--examples"),
    ],
)
def test_settings_of_other_models_are_refused(overrides: Overrides, flag: str) -> None:
    with pytest.raises(BadInput, match=f"^{flag} does not apply to flagbench/bm25"):
        resolve_model("bm25", None, overrides, **LEAVES)


def test_what_is_about_files_is_refused() -> None:
    with pytest.raises(BadInput, match="--revision is for models that are read from files"):
        resolve_model("bm25", "v0", Overrides(), **LEAVES)


def test_another_name_is_its_own() -> None:
    assert resolve_model("bm25", None, Overrides(name="me/words"), **LEAVES).spec == replace(SPEC, name="me/words")


# Planning.


def _request(**changes: Any) -> RunRequest:
    request = RunRequest(model="bm25", benchmark="cmteb", mini=True, types=("retrieval",), output=Path("none"))
    return replace(request, **changes)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"types": ("sts",)}, "searches and gives no vectors, which LCQMC, STSB need: choose tasks of --types retr"),
        ({"engine": "ray", "device": "cpu"}, "--engine ray: flagbench/bm25 searches on this machine"),
        ({"store": Path("store"), "store_fp16": True}, "--store-fp16 is the format of cached vectors"),
        (
            {"store": Path("store"), "store_fp16": True, "reranker": "flagbench/random-reranker"},
            "--store-fp16 is the format of cached vectors, and flagbench/bm25 gives none: drop it",
        ),
        (
            {"store": Path("s"), "store_fp16": True, "model": "flagbench/random-reranker", "types": ("reranking",)},
            "--store-fp16 is the format of cached vectors, and flagbench/random-reranker gives none: drop it",
        ),
        ({"reranker": "bm25"}, "a search without a model, not a reranker"),
        ({"model": "flagbench/random", "reranker": "bm25"}, "a search without a model, not a reranker"),
    ],
)
def test_what_it_cannot_do_is_said_before_it_runs(
    changes: dict[str, Any], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput) as caught:
        resolve(_request(**changes))
    assert said in str(caught.value)


def test_a_reranker_behind_it_has_the_dtype_to_itself() -> None:
    request = _request(reranker="flagbench/random-reranker", overrides=Overrides(dtype="fp16"))
    plan = resolve(request)
    assert plan.reranker is not None
    assert (plan.model.spec, plan.reranker.spec.dtype) == (SPEC, "fp16")


# Retrieval.


class _Spy(BM25):
    """Notes the languages that it is told."""

    def __init__(self) -> None:
        super().__init__(SPEC)
        self.languages: list[str] = []

    def index(self, passages: Any, *, language: str) -> Any:
        self.languages.append(language)
        return super().index(passages, language=language)


class _Longest(Scoring):
    """The longer the passage, the better."""

    spec = published()["flagbench/random-reranker"]

    def score(self, pairs: Sequence[tuple[str, str]], *, instruction: str = "") -> Any:
        return np.array([len(passage) for _, passage in pairs], dtype=np.float32)


IDS = ["p1", "p3", "p2", "p4"]
PASSAGES = Texts(IDS, ["red cat", "red cat", "red cat", "a red cat in a red hat"])
QUERIES = Texts(["q1", "q2"], ["cats", "nothing"])
TASK = ("Any", "Retrieval")


def _retrieve(candidates: Any = None, *, top_k: int = 10, reranker: Any = None) -> tuple[Run, Retriever]:
    adapter = Deferred(SPEC, "cpu", lambda: BM25(SPEC))
    retriever = Retriever.of(EvaluatedModel(adapter, reranker, rerank_top_k=10), Silent())
    return retriever.retrieve(TASK, QUERIES, PASSAGES, candidates, top_k=top_k, language="en"), retriever


def test_all_that_share_a_word_are_ranked_and_nothing_else() -> None:
    run, retriever = _retrieve()
    assert {query: set(found) for query, found in run.items()} == {"q1": set(IDS), "q2": set()}
    assert retriever.encoder is None
    assert retriever.counts.texts == 0
    assert retriever.search_seconds > 0
    assert retriever.index_info is not None
    assert retriever.index_info.index == "bm25 lucene k1=0.9 b=0.4"
    assert retriever.index_info.library.startswith("bm25s ")


def test_of_a_tie_at_the_cut_the_larger_ids_are_kept() -> None:
    assert list(_retrieve(top_k=2)[0]["q1"]) == ["p3", "p2"]


def test_candidates_are_all_ranked() -> None:
    run, _ = _retrieve({"q1": ["p4", "p1"], "q2": ["p2"]})
    assert list(run["q1"]) == ["p1", "p4"]
    assert run["q1"]["p1"] == pytest.approx(_retrieve()[0]["q1"]["p1"])
    assert run["q2"] == {"p2": 0}


def test_a_reranker_orders_what_was_found() -> None:
    run, retriever = _retrieve(reranker=_Longest())
    again = retriever.rerank(TASK, run, QUERIES, PASSAGES, below="kept")
    assert max(again["q1"], key=lambda passage: again["q1"][passage]) == "p4"
    assert again["q2"] == {}


# mteb.


def _evaluate(name: str, evaluated: EvaluatedModel) -> Outcome:
    row = next(task for task in CMTEB.tasks() if task.name == name)
    return evaluate(load(row, Snapshots(MINI)), evaluated, Silent(), None)


def test_mteb_searches_through_it_and_encodes_nothing() -> None:
    evaluated = EvaluatedModel(BM25(SPEC))
    bridge = SearchBridge(Retriever.of(evaluated, Silent()), evaluated)
    assert isinstance(bridge, SearchProtocol)
    assert not isinstance(bridge, EncoderProtocol | CrossEncoderProtocol)
    meta = model_meta(SPEC)
    assert (meta.name, meta.framework, meta.model_type, meta.max_tokens) == ("flagbench/bm25", [], ["sparse"], None)


@pytest.mark.parametrize("name", ["EcomRetrieval", "T2Reranking"])
def test_mtebs_tasks_are_scored(name: str) -> None:
    spy = _Spy()
    outcome = _evaluate(name, EvaluatedModel(spy))
    [by_subset] = outcome.scores.values()
    assert 0.8 < by_subset["default"] <= 1  # chance is far below
    assert spy.languages == ["zh"]
    assert outcome.texts == {}
    assert outcome.search is not None
    assert outcome.search["exact"]


def test_the_language_is_that_of_the_subset_and_none_where_there_are_two() -> None:
    languages = {"zh": ["zho-Hans"], "mixed": ["eng-Latn", "zho-Hans"], "one": ["cmn-Hans", "zho"]}
    metadata = SimpleNamespace(hf_subsets_to_langscripts=languages)
    found = {subset: _language(metadata, subset) for subset in ("zh", "mixed", "one", "unheard")}
    assert found == {"zh": "zh", "mixed": "", "one": "zh", "unheard": ""}
