"""A needle in a haystack: one sentence in a long text, and a question about it.

Two published tests, under the names of their protocols:

``flagembedding`` (research/Long_LLM/activation_beacon, ``eval_needle.py``) and ``qlora`` (longllm_qlora, which differs
in the score alone). What they do that one might not expect is kept:

* The needle's place counts the description's tokens twice: the context behind the description is cut at a place that
  was computed for the whole prompt, so the needle stands as many tokens deeper as the description has. In short
  contexts it is at the very end long before depth 100.
* A haystack that is too short is repeated by its words, though lengths are tokens (``haystack.Repeated``).
* The essays are read in the order in which the file system lists them; here in the order of their names.
* Ids are decoded to the text of the user's message, and that message within its template is tokenized again with the
  special tokens (``Prompt.form`` twice): a template that begins with one has it twice.
* ``flagembedding`` scores the first line of the answer by ROUGE-L's recall, ``qlora`` the whole answer by its F, each
  rounded to two decimals for a cell. ``qlora`` leaves the needle its blank lines, and what stands behind the last full
  stop is one more word to ROUGE: who repeats the sentence alone has 0.97.

``official`` (gkamradt/LLMTest_NeedleInAHaystack) has a needle of its own, a system text and two messages of the user.
Of a context 200 tokens are left free, the essays are cut, decoded and tokenized again, and the needle is put behind the
last full stop before its place (at the beginning where there is none); at depth 100 at the end. Its score is that of a
judge alone (``judging.py``): ``rouge_l`` here is the recall of the needle's words in the whole answer, which no one has
published.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flagbench import BadInput, counted
from flagbench.models.prompts import Prompt, Text
from flagbench.suites.longctx.cells import Layout, Room, asked, cell_id, cells, spread, spread_note, unlike
from flagbench.suites.longctx.haystack import Haystack, Repeated, read_haystack, until, verdict_of
from flagbench.suites.longctx.prompts import prompts
from flagbench.suites.longctx.sample import Answer, Asking, Cell, Content, Metrics, Sample
from flagbench.suites.longctx.scope import as_asked

if TYPE_CHECKING:
    from collections.abc import Callable

    from flagbench.models.contract import Tokens
    from flagbench.runners.data.sources import Source
    from flagbench.suites.longctx.options import LongContextOptions
    from flagbench.suites.longctx.registry import Row

_BEACON = Layout(spread(8192, 131_072, 10, rounded=False), spread(0, 100, 10, rounded=False))
_ORIGINAL = Layout(spread(1000, 16_000, 35, rounded=True), spread(0, 100, 35, rounded=True))
_BUFFER = 200
_MAX_NEW_TOKENS = {"official": 300}
_OTHER_MAX_NEW_TOKENS = 50


@dataclass(frozen=True)
class Hidden:
    """A cell, and the haystack that all cells share.

    Attributes:
        cell: The cell.
        haystack: Its text.
        longest: Tokens of the longest context of the run.
    """

    cell: Cell
    haystack: Haystack
    longest: int


def layout(protocol: str) -> Layout:
    """The published grid of a protocol."""
    return _ORIGINAL if protocol == "official" else _BEACON


def asking(row: Row, protocol: str) -> Asking:
    """See ``Kind``."""
    return Asking("text", _MAX_NEW_TOKENS.get(protocol, _OTHER_MAX_NEW_TOKENS))


def published(row: Row, protocol: str, template: str) -> Mapping[str, Any]:
    """See ``Kind``."""
    its = layout(protocol)
    return {"lengths": its.lengths, "depths": its.depths}


def read(row: Row, source: Source, options: LongContextOptions, fault: Callable[[str], None] | None = None) -> Content:
    """See ``Kind``: the haystack is read (``haystack.read_haystack``)."""
    from flagbench.suites.longctx.registry import protocol_of

    protocol = protocol_of(row, options.protocol)
    haystack = read_haystack(source, options)
    grid = cells(layout(protocol), options)
    verdict = verdict_of(row, protocol, haystack, unlike(layout(protocol), options))
    kept = asked(grid, options.rows)
    verdict = as_asked(verdict, len(kept), len(grid), "cells")
    longest = max(cell.length for cell in grid)
    notes = [f"needles are hidden in {haystack.where}" + ", repeated where it is too short" * haystack.own]
    notes += spread_note(kept, grid)
    if protocol == "official":
        notes.append(
            "the original test is scored by a judge (flagbench score longctx --judge); rouge_l is no part of it"
        )
    hidden = tuple(Hidden(cell, haystack, longest) for cell in grid if cell in kept)
    return Content(row, protocol, options, verdict, hidden, notes)


def ids(content: Content) -> Sequence[str]:
    """See ``Kind``."""
    return [cell_id(each.cell) for each in content.rows]


def samples(content: Content, tokens: Tokens, wanted: Collection[str]) -> Iterator[Sample]:
    """See ``Kind``."""
    hidden = [each for each in content.rows if cell_id(each.cell) in wanted]
    if not hidden:
        return iter(())
    made = _original if content.protocol == "official" else _beacon
    return made(tokens, hidden[0].haystack, hidden[0].longest, [each.cell for each in hidden])


def _beacon(tokens: Tokens, haystack: Haystack, longest: int, grid: Sequence[Cell]) -> Iterator[Sample]:
    parts = prompts("needle")
    description, needle, question = (tokens.encode(parts[name]) for name in ("description", "needle", "question"))
    room = Room(len(description), len(needle), len(question))
    repeated = Repeated(tokens, haystack, longest)
    context: list[int] = []
    length = 0
    for cell in grid:
        noise = room.noise(cell.length)
        if cell.length != length:
            length, context = cell.length, repeated.ids(cell.length)[:noise]
        at = room.position(cell)
        whole = [*description, *context[:at], *needle, *context[at:], *question]
        yield Sample(
            id=cell_id(cell),
            subset=str(length),
            references=(parts["needle"],),
            prompt=Prompt(parts=(Text(tokens.decode(whole, skip_specials=False)),), form="twice"),
            cell=cell,
            facts={
                "question": parts["question"].strip(),
                "position": len(description) + len(context[:at]),
                "tokens": len(whole),
            },
        )


def _original(tokens: Tokens, haystack: Haystack, longest: int, grid: Sequence[Cell]) -> Iterator[Sample]:
    parts = prompts("needle_original")
    needle, stops = tokens.encode(parts["needle"]), frozenset(tokens.encode("."))
    essays = tokens.encode(until(tokens, haystack, longest))
    context: list[int] = []
    length = 0
    for cell in grid:
        room = cell.length - _BUFFER - len(needle)
        if room < 1:
            raise BadInput(
                f"a context of {counted(cell.length, 'token')} has no room for its needle: with this tokenizer "
                f"{_BUFFER + len(needle) + 1} are needed; give larger --lengths"
            )
        if cell.length != length:
            length = cell.length
            context = tokens.encode(tokens.decode(essays[:length], skip_specials=False))[:room]
        at = _behind_a_stop(context, cell.depth, stops)
        whole = [*context[:at], *needle, *context[at:]]
        yield Sample(
            id=cell_id(cell),
            subset=str(length),
            references=(parts["needle"],),
            prompt=Prompt(
                system=parts["system"],
                parts=(Text(tokens.decode(whole, skip_specials=False)),),
                further=(parts["question"] + parts["question_suffix"],),
            ),
            cell=cell,
            facts={"question": parts["question"], "position": at, "tokens": len(whole)},
        )


def _behind_a_stop(context: Sequence[int], depth: int, stops: Collection[int]) -> int:
    """Where the needle of the original test begins: behind the last full stop before its depth."""
    if depth == 100:
        return len(context)
    at = int(len(context) * (depth / 100))
    while at and context[at - 1] not in stops:
        at -= 1
    return at


def score(row: Row, protocol: str, answers: Sequence[Answer]) -> Metrics:
    """See ``Kind``: ``rouge_l`` is the recall or the F as the protocol takes it; both stand beside it, not rounded."""
    from flagbench.runners.generation.rouge import rouge_l

    recalls: dict[str, float] = {}
    fs: dict[str, float] = {}
    for answer in answers:
        overlap = rouge_l(*compared(protocol, answer))
        recalls[answer.id], fs[answer.id] = overlap.recall, overlap.f
    main = {id_: round(value, 2) for id_, value in (fs if protocol == "qlora" else recalls).items()}
    return {"rouge_l": recalls if protocol == "official" else main, "rouge_l_recall": recalls, "rouge_l_f": fs}


def compared(protocol: str, answer: Answer) -> tuple[str, str]:
    """What a protocol compares: of the answer, and of the needle."""
    needle = answer.references[0]
    if protocol == "flagembedding":
        return answer.text.strip("\n").split("\n")[0], needle.strip("\n")
    return answer.text, needle.strip() if protocol == "official" else needle
