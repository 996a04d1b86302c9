"""What scripts score that know the rule of a test, forget a part of the context, or read the last line alone."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from flagbench.results.effective_length import by_length, effective_length
from flagbench.results.grids import Grid
from flagbench.runners.data.sources import Snapshot
from flagbench.suites.longctx import needle, passkey, topic
from flagbench.suites.longctx.generated import Generated
from flagbench.suites.longctx.grid import grid_of
from flagbench.suites.longctx.options import LongContextOptions
from flagbench.suites.longctx.prompts import prompts
from flagbench.suites.longctx.registry import protocol_of, row_of
from flagbench.suites.longctx.sample import Answer
from tests.unit.suites.longctx import scripted
from tests.unit.suites.longctx.tokenizers_of_three_kinds import KINDS, Tokens, tokens_of

MINI = Path(topic.__file__).parent / "mini"
LENGTHS = (3000, 4000)  # of which the description is a small part
DEPTHS = (0, 11, 22, 33, 44, 55, 66, 77, 88, 100)
MODULES = {"Needle": needle, "Passkey": passkey}
ORACLES = {
    "Needle": scripted.needle,
    "Passkey": scripted.passkey,
    "TopicRetrieval": scripted.first_topic,
    "LongEvalTopics": scripted.first_topic,
    "LongEvalLines": scripted.line,
}


def grid(task: str, protocol: str, tokens: Tokens, reads: scripted.Model = scripted.whole) -> Grid:
    """The grid of a script that knows the rule, of what it reads."""
    row = row_of(task)
    module: ModuleType = MODULES.get(task, topic)
    options = LongContextOptions(protocol=protocol)
    if task in MODULES:
        lengths = LENGTHS
        options = LongContextOptions(protocol=protocol, lengths=lengths, depths=DEPTHS)
    content = module.read(row, Snapshot(MINI, row.dataset) if task not in MODULES else Generated(), options)
    answers = scripted.answers(module.samples(content, tokens, module.ids(content)), ORACLES[task], reads)
    assert [answer.id for answer in answers] == list(module.ids(content))
    values = module.score(row, protocol_of(row, protocol), answers)[row.main_score]
    made = grid_of(row, content.protocol, answers, values)
    assert made is not None
    return made


def shown(made: Grid) -> dict[int, list[float]]:
    """Means by row."""
    return {
        depth: [round(value, 2) for value in made.values[at] if value is not None]
        for at, depth in enumerate(made.rows.values)
    }


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("protocol", ["flagembedding", "qlora"])
def test_who_knows_the_rule_of_a_key_has_all_of_them(kind: str, protocol: str) -> None:
    made = grid("Passkey", protocol, tokens_of(kind))
    assert shown(made) == {depth: [1.0, 1.0] for depth in DEPTHS}
    assert by_length(made) == {3000: 1.0, 4000: 1.0}
    assert (effective_length(by_length(made)).length, effective_length(by_length(made)).longer) == (4000, True)


@pytest.mark.parametrize("kind", ["byte-level BPE", "Unigram"])
@pytest.mark.parametrize(("protocol", "best"), [("flagembedding", 1.0), ("qlora", 0.97), ("official", 1.0)])
def test_who_knows_the_rule_of_a_needle_repeats_it(kind: str, protocol: str, best: float) -> None:
    assert shown(grid("Needle", protocol, tokens_of(kind))) == {depth: [best, best] for depth in DEPTHS}


# rouge-l r and f of the package rouge 1.0.1: of the first line to the bare needle, of the whole answer to the needle.
_REPEATED = (0.95, 0.9743589693622617)
_WITH_MORE = (0.95, 0.9047618997732427)
_OTHER = (0.15789473684210525, 0.239999996352), (0.15, 0.23076922721893492)


@pytest.mark.parametrize(
    ("text", "line", "whole"),
    [
        ("{sentence}", (1.0, 0.999999995), _REPEATED),
        ("{needle}", (1.0, 0.999999995), (1.0, 0.999999995)),
        ("{needle}It is a nice town.", (1.0, 0.999999995), _WITH_MORE),
        ("eat a sandwich in Dolores Park", *_OTHER),
        ("", (0.0, 0.0), (0.0, 0.0)),
    ],
)
def test_a_needle_is_scored_as_the_package_does(
    text: str, line: tuple[float, float], whole: tuple[float, float]
) -> None:
    row, hidden = row_of("Needle"), prompts("needle")["needle"]
    answer = Answer("900/0", "900", (hidden,), text=text.format(sentence=hidden.strip(), needle=hidden))
    for protocol, (recall, f) in (("flagembedding", line), ("qlora", whole)):
        found = {name: values["900/0"] for name, values in needle.score(row, protocol, [answer]).items()}
        main = round(f if protocol == "qlora" else recall, 2)
        assert found == pytest.approx({"rouge_l": main, "rouge_l_recall": recall, "rouge_l_f": f}, abs=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_who_forgets_the_first_half_misses_exactly_its_keys(kind: str) -> None:
    tokens = tokens_of(kind)
    made = grid("Passkey", "flagembedding", tokens, scripted.second_half(tokens))
    assert shown(made) == {depth: [float(depth > 50)] * 2 for depth in DEPTHS}
    assert effective_length(by_length(made)).length is None


@pytest.mark.parametrize("kind", ["byte-level BPE", "Unigram"])
def test_who_forgets_the_first_half_misses_exactly_its_needles(kind: str) -> None:
    tokens = tokens_of(kind)
    made = grid("Needle", "qlora", tokens, scripted.second_half(tokens))
    missed = {depth for depth, values in shown(made).items() if max(values) < 0.5}
    assert missed == {depth for depth in DEPTHS if depth < 50}
    assert all(values == [0.97, 0.97] for depth, values in shown(made).items() if depth not in missed)


@pytest.mark.parametrize("task", ["Passkey", "Needle"])
def test_who_reads_the_last_line_alone_finds_nothing(task: str) -> None:
    made = grid(task, "flagembedding", tokens_of("byte-level BPE"), scripted.last_line)
    assert max(value for values in shown(made).values() for value in values) == 0.0


@pytest.mark.parametrize(
    ("task", "protocol"),
    [("TopicRetrieval", "flagembedding"), ("TopicRetrieval", "qlora"), ("LongEvalTopics", "official")],
)
def test_the_first_topic_is_known_by_who_reads_the_beginning(task: str, protocol: str) -> None:
    tokens = tokens_of("byte-level BPE")
    made = grid(task, protocol, tokens)
    assert (made.rows.values, made.columns.name, made.columns.values) == ([0], "topics", [5, 10])
    assert (made.values, made.samples) == ([[1.0, 1.0]], [[2, 2]])
    for reads in (scripted.second_half(tokens), scripted.last_line):
        assert grid(task, protocol, tokens, reads).values == [[0.0, 0.0]]


def test_lines_are_known_by_who_reads_their_part() -> None:
    tokens = tokens_of("byte-level BPE")
    assert shown(grid("LongEvalLines", "official", tokens)) == {10: [1.0], 80: [1.0]}
    forgotten = grid("LongEvalLines", "official", tokens, scripted.second_half(tokens))
    assert shown(forgotten) == {10: [0.0], 80: [1.0]}
    assert shown(grid("LongEvalLines", "official", tokens, scripted.last_line)) == {10: [0.0], 80: [0.0]}
