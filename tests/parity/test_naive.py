"""LLARA and Matroyshka, which have no class to be held to, against a naive computation in float64.

It is written from the published descriptions and shares nothing with models/: ids are put together here, weights are
read from model.safetensors, and every text goes alone through layers, heads and tokens, one after another.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from tokenizers import Tokenizer

from flagbench.models.loading.overrides import Overrides
from tests.filled import write_filled_llara, write_filled_matroyshka
from tests.parity.kept import hold, loaded, resolved
from tests.saying import saying

pytestmark = pytest.mark.usefixtures("one_thread")

Array = NDArray[np.float64]

LONG = "The time that a passage takes is what the query asks for, over and over again. " * 3
TEXTS = ("what is time", LONG, "", "北京是中国的首都。", "Yes", "a b c", "retrieve 2 relevant passages?!")
PAIRS = (
    ("what is time", "time is what a web search retrieves"),
    ("what is time", LONG),
    (LONG, "short passage"),
    (LONG, LONG),
    ("", "a passage without a query"),
    ("a query without a passage", ""),
    ("中国的首都是哪里", "北京是中华人民共和国的首都。"),
    ("x", "y"),
)


class NaiveDecoder:
    """A Llama or Mistral decoder over the tokens of one text."""

    def __init__(self, folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        self.weights = {name: each.astype(np.float64) for name, each in load_file(folder / "model.safetensors").items()}
        self.root = "model." if "model.norm.weight" in self.weights else ""
        self.layers: int = config["num_hidden_layers"]
        self.heads: int = config["num_attention_heads"]
        self.shared: int = self.heads // config["num_key_value_heads"]
        self.size: int = config.get("head_dim") or config["hidden_size"] // self.heads
        self.theta: float = config.get("rope_theta") or config["rope_parameters"]["rope_theta"]
        self.epsilon: float = config["rms_norm_eps"]

    def embed(self, ids: Sequence[int]) -> list[Array]:
        return [self.weights[f"{self.root}embed_tokens.weight"][each] for each in ids]

    def norm(self, name: str, state: Array) -> Array:
        return state / np.sqrt(np.mean(state**2) + self.epsilon) * self.weights[f"{self.root}{name}.weight"]

    def layer(self, index: int, states: list[Array]) -> tuple[list[Array], list[Array]]:
        """The states after a layer, and the attention that the last token pays in it, by head."""
        at = f"layers.{index}"
        normed = [self.norm(f"{at}.input_layernorm", state) for state in states]
        mixed = [np.zeros(self.heads * self.size) for _ in states]
        last: list[Array] = []
        for head in range(self.heads):
            queries = self._rotated(self._part(f"{at}.self_attn.q_proj", head, normed))
            keys = self._rotated(self._part(f"{at}.self_attn.k_proj", head // self.shared, normed))
            values = self._part(f"{at}.self_attn.v_proj", head // self.shared, normed)
            for token, query in enumerate(queries):
                logits = np.array(keys[: token + 1]) @ query / np.sqrt(self.size)
                paid = np.exp(logits - logits.max())
                paid /= paid.sum()
                mixed[token][head * self.size : (head + 1) * self.size] = paid @ np.array(values[: token + 1])
            last.append(paid)
        after: list[Array] = []
        for state, attended in zip(states, mixed, strict=True):
            state = state + self._linear(f"{at}.self_attn.o_proj", attended)
            inner = self.norm(f"{at}.post_attention_layernorm", state)
            gate = self._linear(f"{at}.mlp.gate_proj", inner)
            gated = gate / (1 + np.exp(-gate)) * self._linear(f"{at}.mlp.up_proj", inner)
            after.append(state + self._linear(f"{at}.mlp.down_proj", gated))
        return after, last

    def _linear(self, name: str, state: Array) -> Array:
        return self.weights[f"{self.root}{name}.weight"] @ state

    def _part(self, name: str, head: int, states: list[Array]) -> list[Array]:
        weight = self.weights[f"{self.root}{name}.weight"][head * self.size : (head + 1) * self.size]
        return [weight @ state for state in states]

    def _rotated(self, vectors: list[Array]) -> list[Array]:
        """Each pair ``(i, i + size / 2)`` turned by ``position * theta ** (-2 i / size)``."""
        half = self.size // 2
        rotated: list[Array] = []
        for position, vector in enumerate(vectors):
            angles = np.array([position * self.theta ** (-2 * pair / self.size) for pair in range(half)])
            first, second = vector[:half], vector[half:]
            turned = [
                first * np.cos(angles) - second * np.sin(angles),
                second * np.cos(angles) + first * np.sin(angles),
            ]
            rotated.append(np.concatenate(turned))
        return rotated


class Pieces:
    """Ids of the pieces that templates are made of, without the special tokens that the tokenizer would add."""

    def __init__(self, folder: Path) -> None:
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))

    def text(self, text: str) -> list[int]:
        return list(self.tokenizer.encode(text, add_special_tokens=False).ids)

    def token(self, token: str) -> int:
        found = self.tokenizer.token_to_id(token)
        assert found is not None
        return int(found)


def naive_llara(folder: Path, texts: Sequence[str], role: str, length: int) -> Array:
    """``"text", … within eight words: `` and eight tokens of its own; their states after the last norm, averaged."""
    pieces, decoder = Pieces(folder), NaiveDecoder(folder)
    words, numbers = {
        "query": ("predict the following passage", range(9, 17)),
        "passage": ("summarize the above passage", range(1, 9)),
    }[role]
    vectors: list[Array] = []
    for text in texts:
        ids = [pieces.token("<s>"), *pieces.text('"'), *pieces.text(text)[:length]]
        ids += pieces.text(f'", {words} within eight words: ') + [pieces.token(f"<s{number}>") for number in numbers]
        states = decoder.embed(ids)
        for index in range(decoder.layers):
            states, _ = decoder.layer(index, states)
        vector = sum(decoder.norm("norm", state) for state in states[-8:]) / 8
        vectors.append(vector / np.sqrt(np.sum(vector**2)))
    return np.array(vectors)


@cache
def kept_llara(folder: Path, role: str, length: int) -> Array:
    return naive_llara(folder, TEXTS, role, length)


@pytest.fixture(scope="module")
def llara(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_filled_llara(tmp_path_factory.mktemp("naive") / "summaries")


@pytest.mark.parametrize("batch_size", [None, 1])
def test_llara_vectors_and_their_order_are_the_naive_ones(batch_size: int | None, llara: Path) -> None:
    model = resolved(llara, Overrides())
    assert (model.spec.family, model.spec.pooling) == ("llara", "last8")
    lengths = {"query": 30, "passage": 50}
    spec = replace(model.spec, query_max_length=lengths["query"], passage_max_length=lengths["passage"])
    encoder = loaded(replace(model, spec=spec), batch_size)
    found, wanted = {}, {}
    for role, length in lengths.items():
        found[role] = encoder.encode(TEXTS, role=role).dense
        wanted[role] = kept_llara(llara, role, length)
        assert np.abs(found[role] - wanted[role]).max() <= 1e-5
        hold("llara", found[role], wanted[role], batch_size)
    similarities = wanted["query"] @ wanted["passage"].T
    assert np.diff(np.sort(similarities)).min() > 1e-5  # else the order would say nothing
    assert np.array_equal(np.argsort(found["query"] @ found["passage"].T), np.argsort(similarities))


def test_a_text_of_a_task_without_queries_is_summarised_like_a_passage(llara: Path) -> None:
    encoder = loaded(resolved(llara, Overrides(max_length=50)))
    found = encoder.encode(TEXTS, role="symmetric").dense
    assert np.abs(found - kept_llara(llara, "passage", 50)).max() <= 1e-5
    assert np.abs(found - encoder.encode(TEXTS, role="query").dense).max() > 1e-2


PROMPT = "Predict whether passage B contains an answer to query A."


@dataclass(frozen=True)
class NaivePair:
    """``<s> A: query \\n B: passage \\n prompt``; the passage is what stands between the two separators."""

    ids: list[int]
    before: int
    after: int


def naive_pair(pieces: Pieces, query: str, passage: str, length: int) -> NaivePair:
    """The query is cut to three quarters of the length, the passage to it, and then to what the query leaves of it.

    The length of separator and prompt is allowed twice: they are appended after that cut.
    """
    separator, prompt = pieces.text("\n"), pieces.text(PROMPT)
    first = [pieces.token("<s>"), *pieces.text(f"A: {query}")[: length * 3 // 4]]
    second = separator + pieces.text(f"B: {passage}")[:length]
    second = second[: length + len(separator) + len(prompt) - len(first)]
    end = separator + prompt
    return NaivePair(first + second + end, len(first) + len(separator), len(end))


def naive_states(
    decoder: NaiveDecoder, pair: NaivePair, ratio: int, before_layers: Sequence[int], *, alike: bool = False
) -> list[Array]:
    """The last token's state as it enters each layer, and after the last one, normed.

    Before the layers named, the passage's states are averaged in groups of ``ratio``; the weight of each is the
    attention that the last real token paid it in the layer before, summed over heads, normalised within the group.

    The published code takes the attention of position -1 of the padded batch, which for all but the longest rows is a
    padding token (and, as it pads to multiples of eight, for most rows that go alone): what it gives for a pair depends
    on the batch. FlagBench takes the last real token, which is the same position where there is no padding.
    """
    states, attention = decoder.embed(pair.ids), []
    found: list[Array] = []
    for index in range(decoder.layers):
        found.append(decoder.norm("norm", states[-1]))
        if ratio > 1 and index in before_layers:
            end = len(states) - pair.after
            weights = np.ones(len(states)) if alike else sum(attention)
            groups: list[Array] = []
            for start in range(pair.before, end, ratio):
                rows = range(start, min(start + ratio, end))
                total = sum(weights[row] for row in rows)
                groups.append(sum(weights[row] / total * states[row] for row in rows))
            states = states[: pair.before] + groups + states[end:]
        states, attention = decoder.layer(index, states)
    return [*found, decoder.norm("norm", states[-1])]


LENGTH = 48
COMPRESSIONS = [(1, ()), (2, (3,)), (2, (2, 4)), (4, (3,)), (4, (2, 4))]


@pytest.fixture(scope="module")
def matroyshka(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint of tests/filled.py with the matrices of its layers halved.

    As they are, rounding to float32 grows to 4e-5 over the six layers (the adapter run wholly in float64 is within
    2e-13 of the naive scores); a bound of 1e-5 would test the seed.
    """
    folder = write_filled_matroyshka(tmp_path_factory.mktemp("naive") / "depths")
    weights = load_file(folder / "model.safetensors")
    halved = {name: each / 2 if each.ndim == 2 and ".layers." in name else each for name, each in weights.items()}
    save_file(halved, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@cache
def kept_states(folder: Path, ratio: int, before_layers: tuple[int, ...], *, alike: bool = False) -> Array:
    """States ``[pairs, layers + 1, width]``."""
    pieces, decoder = Pieces(folder), NaiveDecoder(folder)
    pairs = [naive_pair(pieces, query, passage, LENGTH) for query, passage in PAIRS]
    return np.array([naive_states(decoder, pair, ratio, before_layers, alike=alike) for pair in pairs])


def naive_scores(folder: Path, states: Array, layer: int, head: int) -> Array:
    weights = load_file(folder / "model.safetensors")[f"lm_head.{head}.linear_head.weight"].astype(np.float64)
    return np.array([float(state @ weights[0]) for state in states[:, layer]])


def asked(ratio: int, before_layers: tuple[int, ...], **settings: Any) -> Overrides:
    compression = {"compress_ratio": ratio, "compress_layers": before_layers} if ratio > 1 else {}
    return saying(max_length=LENGTH, **compression, **settings)


def assert_scores(found: Array, wanted: Array, batch_size: int | None) -> None:
    assert (np.abs(found - wanted) <= 1e-5 * np.maximum(1, np.abs(wanted))).all()
    hold("matroyshka-reranker", found, wanted, batch_size)
    assert np.diff(np.sort(wanted)).min() > 2e-5 * np.abs(wanted).max()  # else the ranking would say nothing
    assert np.array_equal(np.argsort(-found), np.argsort(-wanted))


def test_matroyshka_pairs_are_the_naive_ones(matroyshka: Path) -> None:
    rows = loaded(resolved(matroyshka, asked(1, ()))).encode_pairs(PAIRS)
    wanted = [naive_pair(Pieces(matroyshka), query, passage, LENGTH) for query, passage in PAIRS]
    assert [NaivePair(row.ids, row.query_length, row.prompt_length) for row in rows] == wanted
    assert len({len(pair.ids) for pair in wanted}) > 5  # rows of a batch are padded
    assert len({(len(pair.ids) - pair.before - pair.after) % 4 for pair in wanted}) > 1  # and groups are not all full


@pytest.mark.parametrize("batch_size", [None, 1])
@pytest.mark.parametrize(("ratio", "before_layers"), COMPRESSIONS)
def test_matroyshka_scores_at_every_layer_are_the_naive_ones(
    ratio: int, before_layers: tuple[int, ...], batch_size: int | None, matroyshka: Path
) -> None:
    model = resolved(matroyshka, asked(ratio, before_layers, cutoff_layers=(2, 3, 4, 5, 6)))
    assert model.spec.family == "matroyshka-reranker"
    found = loaded(model, batch_size).score_layers(PAIRS)
    states = kept_states(matroyshka, ratio, before_layers)
    for column, layer in enumerate((2, 3, 4, 5, 6)):
        assert_scores(found[:, column], naive_scores(matroyshka, states, layer, layer - 2), batch_size)


@pytest.mark.parametrize("batch_size", [None, 1])
@pytest.mark.parametrize("ratio", [1, 2])
def test_a_matroyshka_head_is_chosen_by_place_or_by_layer(ratio: int, batch_size: int | None, matroyshka: Path) -> None:
    """The published code takes the first head for the first layer that it is asked for, whichever that is."""
    before_layers = (2, 4) if ratio > 1 else ()
    states = kept_states(matroyshka, ratio, before_layers)
    for how, heads in ((None, (0, 1)), ("position", (0, 1)), ("layer", (1, 3))):
        overrides = asked(ratio, before_layers, cutoff_layers=(3, 5), head_index=how)
        assert resolved(matroyshka, overrides).spec.own.head_index == (how or "position")
        found = loaded(resolved(matroyshka, overrides), batch_size).score_layers(PAIRS)
        for scores, layer, head in zip(found.T, (3, 5), heads, strict=True):
            assert_scores(scores, naive_scores(matroyshka, states, layer, head), batch_size)
    own, by_place = (naive_scores(matroyshka, states, 5, head) for head in (3, 1))
    assert np.abs(own - by_place).min() > 1e-3


@pytest.mark.parametrize("batch_size", [None, 1])
def test_a_matroyshka_read_at_one_layer_only(batch_size: int | None, matroyshka: Path) -> None:
    """No layer after the cutoff layer is run, and the last layer is the default."""
    states = kept_states(matroyshka, 4, (3,))
    for layers, layer in (((4,), 4), (None, 6)):
        model = resolved(matroyshka, asked(4, (3,), cutoff_layers=layers))
        assert (model.spec.own.cutoff_layer, model.spec.own.head) == (layer, 0)
        found = loaded(model, batch_size).score(PAIRS)
        assert_scores(found, naive_scores(matroyshka, states, layer, 0), batch_size)


def test_other_compressions_would_be_told_apart(matroyshka: Path) -> None:
    """What the comparisons rest on: without groups, with others, or with their states weighted alike, scores differ."""
    states = [kept_states(matroyshka, *how) for how in COMPRESSIONS]
    states += [kept_states(matroyshka, *how, alike=True) for how in COMPRESSIONS if how[0] > 1]
    scores = [naive_scores(matroyshka, each, 6, 0) for each in states]
    for row, one in enumerate(scores):
        for other in scores[row + 1 :]:
            assert np.median(np.abs(one - other)) > 1e-3
