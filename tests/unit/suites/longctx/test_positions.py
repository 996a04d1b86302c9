"""Where needles and keys stand, against prompts that are put together anew, token by token, by the published rules."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from flagbench import BadInput
from flagbench.models.prompts import Text
from flagbench.suites.longctx import needle, passkey
from flagbench.suites.longctx.cells import Room, spread
from flagbench.suites.longctx.generated import Generated
from flagbench.suites.longctx.options import LongContextOptions
from flagbench.suites.longctx.prompts import prompts
from flagbench.suites.longctx.registry import row_of
from flagbench.suites.longctx.sample import Cell, Content, Sample
from tests.unit.suites.longctx.tokenizers_of_three_kinds import KINDS, TEXT, Tokens, tokens_of

LENGTHS = tuple(range(200, 2200, 50))
DEPTHS = tuple(range(0, 101, 10))


@pytest.fixture
def essays(tmp_path: Path) -> Path:
    """A folder with two texts, too short for most contexts."""
    (tmp_path / "b.txt").write_text(TEXT[::-1] * 2, encoding="utf-8")
    (tmp_path / "a.txt").write_text(TEXT * 2, encoding="utf-8")
    (tmp_path / "notes.md").write_text("not a part of it", encoding="utf-8")
    return tmp_path


def options(protocol: str = "", haystack: Path | None = None, **others: object) -> LongContextOptions:
    plain: dict[str, object] = {"lengths": LENGTHS, "depths": DEPTHS} | others
    return LongContextOptions(protocol=protocol, haystack=haystack, **plain)  # type: ignore[arg-type]


def by_cell(samples: Sequence[Sample]) -> dict[tuple[int, int], Sample]:
    return {(each.cell.length, each.cell.depth): each for each in samples if each.cell}


def text_of(sample: Sample) -> str:
    assert sample.prompt is not None
    (part,) = sample.prompt.parts
    assert isinstance(part, Text)
    return part.text


def starts(ids: Sequence[int], inner: Sequence[int]) -> list[int]:
    """All places where a sequence begins in another."""
    return [at for at in range(len(ids)) if ids[at : at + len(inner)] == inner]


def needle_of(essays: Path, protocol: str) -> Content:
    return needle.read(row_of("Needle"), Generated(), options(protocol, essays))


@pytest.mark.parametrize("kind", KINDS)
def test_a_needle_is_where_the_published_rule_puts_it(kind: str, essays: Path) -> None:
    tokens, parts = tokens_of(kind), prompts("needle")
    content = needle_of(essays, "flagembedding")
    made = by_cell(list(needle.samples(content, tokens, needle.ids(content))))
    assert len(made) == len(LENGTHS) * len(DEPTHS)
    before, hidden, after = (tokens.encode(parts[name]) for name in ("description", "needle", "question"))
    text = (essays / "a.txt").read_text(encoding="utf-8") + (essays / "b.txt").read_text(encoding="utf-8")
    for length in LENGTHS:
        repeated = text * math.ceil(length / len(text.split())) if length > len(text.split()) else text
        context = tokens.encode(repeated)[: length - len(before) - len(hidden) - len(after)]
        for depth in DEPTHS:
            ids = [*before, *context, *after]
            last = length - len(after) - len(hidden) - 1
            cut = min(len(before) + round((last - len(before)) * depth / 100), len(context))
            for at, id_ in enumerate(hidden):
                ids.insert(len(before) + cut + at, id_)
            sample = made[length, depth]
            assert text_of(sample) == tokens.decode(ids, skip_specials=False)
            assert sample.facts["tokens"] == len(ids) == length
            assert sample.facts["position"] in starts(ids, hidden)
            assert sample.subset == str(length)
            assert sample.prompt is not None
            assert sample.prompt.form == "twice"


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_is_at_its_depth_and_the_noise_behind_it_begins_anew(kind: str) -> None:
    tokens, parts = tokens_of(kind), prompts("passkey")
    content = passkey.read(row_of("Passkey"), Generated(), options())
    made = by_cell(list(passkey.samples(content, tokens, passkey.ids(content))))
    assert len(made) == len(LENGTHS) * len(DEPTHS)
    before, after = tokens.encode(parts["description"]), tokens.encode(parts["question"])
    drawn = np.random.default_rng(123)
    for length in LENGTHS:
        noise = tokens.encode(parts["noise"] * (length // 10))
        for depth in DEPTHS:
            key = str(drawn.integers(10_000, 100_000))
            hidden = tokens.encode(parts["information"].format(passkey=key))
            room = length - len(before) - len(hidden) - len(after) - 1
            front = round(room * depth / 100)
            ids = [*before, *noise[:front], *hidden, *noise[: room + 1 - front], *after]
            sample = made[length, depth]
            assert sample.references == (key,)
            assert text_of(sample) == tokens.decode(ids, skip_specials=False)
            assert sample.facts == {"position": len(before) + front, "tokens": length}


@pytest.mark.parametrize("kind", KINDS)
def test_the_original_needle_is_behind_a_full_stop(kind: str, essays: Path) -> None:
    tokens, parts = tokens_of(kind), prompts("needle_original")
    content = needle.read(
        row_of("Needle"), Generated(), options("official", essays, lengths=LENGTHS[8:], depths=(*DEPTHS, 99))
    )
    hidden, stops = tokens.encode(parts["needle"]), tokens.encode(".")
    text = "".join((essays / name).read_text(encoding="utf-8") for name in ("a.txt", "b.txt"))
    essay_ids = tokens.encode(text * 5)
    assert len(essay_ids) > max(LENGTHS)
    contexts = {each: tokens.encode(tokens.decode(essay_ids[:each], skip_specials=False)) for each in LENGTHS}
    for sample in needle.samples(content, tokens, needle.ids(content)):
        assert sample.cell is not None
        assert sample.prompt is not None
        length, depth = sample.cell.length, sample.cell.depth
        context = contexts[length][: length - 200 - len(hidden)]
        wanted = len(context) if depth == 100 else int(len(context) * (depth / 100))
        at = sample.facts["position"]
        ids = [*context[:at], *hidden, *context[at:]]
        assert text_of(sample) == tokens.decode(ids, skip_specials=False)
        assert at <= wanted
        if depth < 100:
            assert at == 0 or context[at - 1] in stops
            assert not any(id_ in stops for id_ in context[at:wanted])
        assert sample.prompt.system == parts["system"]
        assert sample.prompt.further == (parts["question"] + parts["question_suffix"],)


@pytest.mark.parametrize(
    ("length", "depth", "share"), [(1000, 0, 0.021), (1000, 90, 0.920), (200, 0, 0.129), (200, 50, 0.626), (200, 90, 1)]
)
def test_a_needle_is_deeper_than_it_is_said_to_be(length: int, depth: int, share: float) -> None:
    """Of published tests with 20 tokens of description, 15 of needle and 10 of question."""
    room = Room(20, 15, 10)
    before = min(room.position(Cell(length, depth)), room.noise(length))
    assert before / room.noise(length) == pytest.approx(share, abs=0.0005)


def test_the_grids_are_those_of_numpy() -> None:
    for published, (first, last, count) in (
        (needle.layout("flagembedding").lengths, (8192, 131_072, 10)),
        (needle.layout("flagembedding").depths, (0, 100, 10)),
        (passkey.PUBLISHED.lengths, (8192, 131_072, 20)),
    ):
        assert list(published) == np.linspace(first, last, count).astype(int).tolist()
    for published, (first, last) in (
        (needle.layout("official").lengths, (1000, 16_000)),
        (needle.layout("official").depths, (0, 100)),
    ):
        assert list(published) == np.round(np.linspace(first, last, 35)).astype(int).tolist()
    assert needle.layout("qlora").depths == (0, 11, 22, 33, 44, 55, 66, 77, 88, 100)
    assert spread(0, 3, 3, rounded=True) == (0, 2, 3)


@pytest.mark.parametrize("kind", ["needle", "passkey"])
def test_a_cell_does_not_depend_on_which_others_are_wanted(kind: str, essays: Path) -> None:
    module = needle if kind == "needle" else passkey
    row = row_of(kind.capitalize())
    tokens = tokens_of("byte-level BPE")
    content = module.read(row, Generated(), options("flagembedding", essays, lengths=(300, 700), depths=(0, 50, 100)))
    every = {each.id: each for each in module.samples(content, tokens, module.ids(content))}
    assert list(every) == list(module.ids(content)) == ["300/0", "300/50", "300/100", "700/0", "700/50", "700/100"]
    for id_, sample in every.items():
        assert list(module.samples(content, tokens, {id_})) == [sample]
    assert list(module.samples(content, tokens, ())) == []
    part = module.read(
        row, Generated(), options("flagembedding", essays, lengths=(300, 700), depths=(0, 50, 100), rows=2)
    )
    assert list(module.ids(part)) == ["300/0", "300/100", "700/0", "700/50"]
    assert list(module.samples(part, tokens, module.ids(part))) == [every[id_] for id_ in module.ids(part)]


@pytest.mark.parametrize(("protocol", "length"), [("flagembedding", 60), ("official", 210)])
def test_a_length_without_room_is_refused(protocol: str, length: int, essays: Path) -> None:
    content = needle.read(row_of("Needle"), Generated(), options(protocol, essays, lengths=(length,)))
    with pytest.raises(
        BadInput, match=rf"^a context of {length} tokens has no room for its (needle|question): .*larger"
    ):
        list(needle.samples(content, tokens_of("WordPiece"), needle.ids(content)))


def test_a_text_without_blanks_is_not_repeated_without_end(tmp_path: Path) -> None:
    (tmp_path / "long.txt").write_text("河" * 5000, encoding="utf-8")

    class Counting(Tokens):
        longest = 0

        def encode(self, text: str, *, specials: bool = False) -> list[int]:
            Counting.longest = max(Counting.longest, len(text))
            return super().encode(text, specials=specials)

    tokens = Counting(tokens_of("byte-level BPE").backend, "counting")
    content = needle.read(
        row_of("Needle"), Generated(), options("", tmp_path / "long.txt", lengths=(30_000,), depths=(50,))
    )
    (sample,) = needle.samples(content, tokens, needle.ids(content))
    assert sample.facts["tokens"] == 30_000
    assert Counting.longest < 100_000
