"""RULER's samples: tokens, answers in their places, seeds, and that each is the same whichever are wanted."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from flagbench import BadInput
from flagbench.results.data_state import DataState
from flagbench.runners.data.sources import Snapshot, Source
from flagbench.suites.longctx.generated import Generated
from flagbench.suites.longctx.haystack import MINI
from flagbench.suites.longctx.options import LongContextOptions
from flagbench.suites.longctx.registry import Row, rows
from flagbench.suites.longctx.ruler import kind
from flagbench.suites.longctx.ruler.settings import LENGTHS
from flagbench.suites.longctx.sample import Answer, Content, Sample
from tests.parity import ruler_material
from tests.parity.ruler_material import RegexTokens

ROWS = {row.part: row for row in rows() if row.group == "ruler"}
NEEDLES = [part for part in ROWS if part.startswith("niah")]
FREE = ["niah_single_1", "niah_multikey_2", "niah_multikey_3", "vt", "cwe", "fwe"]
SHORT = (2048, 4096)
TOKENIZERS = ("words", "pieces")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    return Snapshot(ruler_material.write(tmp_path_factory.mktemp("data")), "NVIDIA/RULER")


def _content(part: str, source: Source, **options: object) -> Content:
    wanted = {"lengths": SHORT, "rows": 4} | options
    return kind.read(ROWS[part], source, LongContextOptions(**wanted))  # type: ignore[arg-type]


def _samples(content: Content, tokenizer: str = "words", wanted: Collection[str] | None = None) -> list[Sample]:
    wanted = set(kind.ids(content)) if wanted is None else wanted
    return list(kind.samples(content, RegexTokens(tokenizer), wanted))


def _prompt(sample: Sample) -> str:
    assert sample.prompt is not None
    return sample.prompt.text + sample.prompt.prefill


def _answer(sample: Sample, text: str) -> Answer:
    return Answer(sample.id, sample.subset, sample.references, facts=sample.facts, text=text)


def test_the_rows_are_the_13_tasks() -> None:
    assert len(ROWS) == 13
    assert {ROWS[part].dataset for part in FREE if part != "cwe"} == {"flagbench/generated"}
    assert {row.max_new_tokens for row in ROWS.values()} == {128, 30, 120, 50, 32}
    assert kind.asking(ROWS["vt"], "official").max_new_tokens == 30


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
@pytest.mark.parametrize("part", ROWS)
def test_a_sample_and_its_answer_have_room_and_little_is_left(part: str, tokenizer: str, source: Source) -> None:
    count = ruler_material.count(tokenizer)
    for sample in _samples(_content(part, source), tokenizer):
        tokens = count(_prompt(sample)) + ROWS[part].max_new_tokens
        assert tokens == sample.facts["tokens"]
        length = int(sample.subset)
        # A step is 500 words of essays, 25 or 10 lines, 10 paragraphs, 10 words; of coded words a 32nd.
        assert (0.25 if sample.subset == "2048" else 0.6) * length < tokens <= length
        assert sample.prompt is not None
        assert all(reference in sample.prompt.text for reference in sample.references)


@pytest.mark.parametrize("part", [part for part in ROWS if part != "fwe"])
def test_one_more_piece_of_haystack_would_be_too_much_for_the_longest(part: str, source: Source) -> None:
    """The search is over one draw, others vary: the longest of some is nearer to the limit than its piece is long."""
    made = _samples(_content(part, source, lengths=(4096,), rows=16), "words")
    longest = max(sample.facts["tokens"] for sample in made)
    piece = {"vt": 26, "niah_single_1": 26, "niah_multikey_2": 18, "niah_multikey_3": 33, "cwe": 16}
    assert 4096 - 2.5 * piece.get(part, 90 if part.startswith("qa") else 12) < longest <= 4096


@pytest.mark.parametrize("part", NEEDLES)
def test_keys_that_are_asked_for_have_their_values_in_the_text(part: str, source: Source) -> None:
    for sample in _samples(_content(part, source)):
        prompt = _prompt(sample)
        said = re.search(
            r"What (?:is|are all) the special magic (\w+) for (.*) mentioned in the provided text\?", prompt
        )
        assert said is not None
        keys = re.split(r", and |, ", said[2])
        found = dict.fromkeys(keys, ()) | {}
        pattern = r"One of the special magic (?:numbers|uuids) for (\S+(?: \S+)*?) is: (\S+?)\.(?=\s|$)"
        for key, value in re.findall(pattern, prompt):
            if key in found:
                found[key] = (*found[key], value)
        assert sorted(value for values in found.values() for value in values) == sorted(sample.references)
        depth = 100 * prompt.index(sample.references[0]) / len(prompt.removesuffix(sample.prompt.prefill))  # type: ignore[union-attr]
        assert sample.facts["depth"] == round(depth, 1)


@pytest.mark.parametrize("part", ROWS)
def test_the_tokens_of_a_chat_are_counted_too(part: str, source: Source) -> None:
    content = _content(part, source)
    made = list(kind.samples(content, RegexTokens("words", around=30), set(kind.ids(content))))
    assert all(sample.facts["tokens"] + 30 <= int(sample.subset) for sample in made)
    longest = [max(its.facts["tokens"] for its in made if its.subset == str(length)) for length in SHORT]
    assert all(tokens > 0.8 * length for tokens, length in zip(longest, SHORT, strict=True))


def test_behind_a_server_the_beginning_of_the_answer_ends_the_question(source: Source) -> None:
    plain, served = (_content("vt", source, api_base=base) for base in (None, "http://localhost:8000/v1"))
    for here, there in zip(_samples(plain), _samples(served), strict=True):
        assert here.prompt is not None
        assert there.prompt is not None
        assert here.prompt.prefill.startswith(" Answer: According to the chain(s)")
        assert there.prompt.prefill == ""
        assert there.prompt.text == here.prompt.text + here.prompt.prefill
    assert any("ends the question" in note for note in served.notes)


def test_needles_lie_at_all_depths(source: Source) -> None:
    for part in ("niah_single_1", "niah_single_2"):
        depths = [sample.facts["depth"] for sample in _samples(_content(part, source, lengths=(4096,), rows=60))]
        assert min(depths) < 12
        assert max(depths) > 85
        assert len({round(depth, -1) for depth in depths}) >= 8


def test_a_chain_of_variables_leads_back_to_the_value(source: Source) -> None:
    for sample in _samples(_content("vt", source)):
        prompt = _prompt(sample)
        own = prompt[prompt.rindex("Memorize and track") :]
        value = re.search(r"assigned the value (\d{5}) in the text above", own)
        assert value is not None
        known = set(re.findall(rf"VAR (\w+) = {value[1]}\b", own))
        for name, before in re.findall(r"VAR (\w+) = VAR (\w+)", own):
            assert before in known  # statements are in order
            known.add(name)
        assert known == set(sample.references)
        assert len(known) == 5
        example = prompt[: prompt.rindex("Memorize and track")]
        assert not known & set(re.findall(r"VAR (\w+)", example))


def test_the_most_common_words_are_the_answers(source: Source) -> None:
    for sample in _samples(_content("cwe", source)):
        prompt = _prompt(sample)
        listed = prompt[prompt.rindex("Memorize the ones") :].split("\n")[1]
        entries = re.split(r"(?:^|\s)\d+\. ", listed)[1:]
        often, seldom = (30, 3) if sample.subset == "4096" else (6, 1)
        counts = Counter(entries)
        assert set(counts.values()) == {often, seldom}
        assert {word for word, times in counts.items() if times == often} == set(sample.references)
        assert len(sample.references) == 10


def test_coded_words_are_as_frequent_as_their_rank_says(source: Source) -> None:
    for sample in _samples(_content("fwe", source)):
        prompt = _prompt(sample)
        text = prompt[prompt.index("coded words. ") + 13 : prompt.index("\nQuestion")].split()
        counts = Counter(text).most_common(4)
        assert counts[0][0] == "..."
        assert [word for word, _ in counts[1:]] == list(sample.references)
        assert counts[1][1] == pytest.approx(counts[0][1] / 4, abs=1)
        assert counts[2][1] == pytest.approx(counts[0][1] / 9, abs=1)


@pytest.mark.parametrize("part", ["qa_1", "qa_2"])
def test_the_paragraphs_of_a_question_are_among_its_documents(part: str, source: Source) -> None:
    for sample in _samples(_content(part, source)):
        prompt = _prompt(sample)
        documents = re.findall(r"^Document (\d+):$", prompt, re.MULTILINE)
        assert documents == [str(number) for number in range(1, len(documents) + 1)]
        number = re.search(r"Question: .* (\d+)\? Answer:$", prompt)
        assert number is not None
        if part == "qa_1":
            assert f"\nParagraph {number[1]}. " in prompt
        else:
            assert all(f"\nTitle {number[1]}.{each}\n" in prompt for each in range(10))


@pytest.mark.parametrize("part", ROWS)
def test_samples_are_the_same_whichever_are_wanted(part: str, source: Source) -> None:
    content = _content(part, source)
    whole = {sample.id: sample for sample in _samples(content)}
    assert list(whole) == list(kind.ids(content)) == [f"{length}/{at}" for length in SHORT for at in range(4)]
    wanted = {"2048/3", "4096/1", "no such"}
    assert _samples(content, wanted=wanted) == [whole["2048/3"], whole["4096/1"]]
    fewer = _content(part, source, rows=2, lengths=(4096,))
    assert _samples(fewer) == [whole["4096/0"], whole["4096/1"]]
    assert not _samples(content, wanted=())


@pytest.mark.parametrize("part", ROWS)
def test_another_seed_draws_others(part: str, source: Source) -> None:
    made = _samples(_content(part, source, lengths=(2048,)))
    others = _samples(_content(part, source, lengths=(2048,), seed=43))
    assert not {_prompt(sample) for sample in made} & {_prompt(sample) for sample in others}


@pytest.mark.parametrize("part", ROWS)
def test_who_knows_the_answers_has_100_and_who_knows_the_first_its_share(part: str, source: Source) -> None:
    row, made = ROWS[part], _samples(_content(part, source))
    random.Random(1).shuffle(made)

    def values(texts: Sequence[str]) -> dict[str, float]:
        answers = [_answer(sample, text) for sample, text in zip(made, texts, strict=True)]
        return dict(kind.score(row, "official", answers)[row.main_score])

    ids = [sample.id for sample in made]
    assert values([" ".join(sample.references).upper() for sample in made]) == dict.fromkeys(ids, 1.0)
    shares = {sample.id: 1.0 if part.startswith("qa") else 1 / len(sample.references) for sample in made}
    references = [sample.references[0] for sample in made]
    if part != "qa_1":  # its answers are short words, which may be parts of one another
        assert values(references) == pytest.approx(shares)
    assert values(["" for _ in made]) == dict.fromkeys(ids, 0.0)


def test_who_reads_a_text_finds_its_needle(source: Source) -> None:
    """A scripted model: it looks for the key that it is asked for, and knows nothing else."""
    for part in NEEDLES:
        for sample in _samples(_content(part, source)):
            prompt = _prompt(sample)
            asked = prompt[prompt.rindex("\nWhat") :]
            lines = re.findall(r"One of the special magic \w+ for (.*?) is: (.*?)\.(?=\s)", prompt)
            text = " ".join(value for key, value in lines if key in asked)
            assert kind.score(ROWS[part], "official", [_answer(sample, text)])["string_match_all"][sample.id] == 1.0


@pytest.mark.parametrize("part", ROWS)
def test_lengths_without_room_are_refused(part: str, source: Source) -> None:
    with pytest.raises(BadInput, match=f"ruler_{part} does not fit into 150 tokens"):
        _samples(_content(part, source, lengths=(150,)))


def test_tasks_without_essays_and_questions_are_the_published_ones() -> None:
    for part in FREE:
        content = kind.read(ROWS[part], Generated(), LongContextOptions(lengths=LENGTHS[:-1]))
        assert content.verdict.differences == (
            "lengths 4096, 8192, 16384, 32768, 65536 instead of 4096, 8192, 16384, 32768, 65536, 131072",
        )
        whole = kind.read(ROWS[part], Generated(), LongContextOptions()).verdict
        assert len(whole.content) == 6
        assert {its.rows for its in whole.content.values()} == {500}
        assert whole.status is (DataState.DIFFERS if part == "cwe" else DataState.OFFICIAL)


@pytest.mark.parametrize("part", NEEDLES)
def test_a_haystack_of_essays_is_never_known_to_be_official(part: str, source: Source, tmp_path: Path) -> None:
    if ROWS[part].dataset == "flagbench/generated":
        return
    content = kind.read(ROWS[part], source, LongContextOptions())
    assert content.verdict.status is DataState.UNKNOWN
    assert any("needles are hidden in" in note for note in content.notes)
    (tmp_path / "own.txt").write_text("My own text. " * 500, encoding="utf-8")
    own = kind.read(ROWS[part], Generated(), LongContextOptions(haystack=tmp_path / "own.txt"))
    assert own.verdict.status is DataState.DIFFERS
    assert own.verdict.content["4096"].digest != content.verdict.content["4096"].digest
    without = kind.read(ROWS[part], Generated(), LongContextOptions())
    assert without.verdict.status is DataState.DIFFERS
    assert any("FlagBench's own text" in note for note in without.notes)


def _digests(row: Row, source: Source, options: LongContextOptions) -> set[str]:
    return {its.digest for its in kind.read(row, source, options).verdict.content.values()}


def test_digests_tell_tasks_lengths_and_seeds_apart(source: Source) -> None:
    plain = LongContextOptions(rows=2)
    digests = [digest for row in ROWS.values() for digest in _digests(row, source, plain)]
    assert len(set(digests)) == 13 * 6
    assert not _digests(ROWS["vt"], source, replace(plain, seed=1)) & set(digests)
    assert _digests(ROWS["vt"], source, replace(plain, rows=9)) <= set(digests)


@pytest.mark.parametrize("part", ROWS)
def test_miniature_data_has_samples_of_2048_tokens(part: str) -> None:
    content = _content(part, Snapshot(MINI, "NVIDIA/RULER"), lengths=(2048,), rows=2)
    made = _samples(content)
    assert [sample.id for sample in made] == ["2048/0", "2048/1"]
    assert all(reference in _prompt(sample) for sample in made for reference in sample.references)


def test_fewer_questions_than_published_are_all_asked(source: Source) -> None:
    content = kind.read(ROWS["qa_2"], source, LongContextOptions(lengths=(4096,)))
    assert len(kind.ids(content)) == 30
    assert len(_samples(content)) == 30
    assert content.verdict.status is DataState.DIFFERS
    assert any("only 30 questions" in note for note in content.notes)


def test_an_example_that_does_not_fit_is_no_affair_of_the_lengths(source: Source) -> None:
    class _Letters:
        """A tokenizer that has a token for each character: no example of 500 tokens has room for its lines."""

        identity, around = "letters", 0

        def encode(self, text: str, *, specials: bool = False) -> list[int]:
            return [ord(character) for character in text]

        def decode(self, ids: Sequence[int], *, skip_specials: bool = True) -> str:
            return "".join(map(chr, ids))

    content = _content("vt", source, lengths=(9000,))
    with pytest.raises(BadInput, match="the worked example of ruler_vt has 500 tokens by its rules") as refused:
        list(kind.samples(content, _Letters(), kind.ids(content)[:1]))
    assert "--lengths" not in str(refused.value)
