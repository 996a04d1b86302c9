"""RULER's tasks as a kind of long-context tasks: samples of each length, and their scores."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import islice
from typing import TYPE_CHECKING, Any

from flagbench.models.prompts import Prompt, Text
from flagbench.results.data_state import DataState
from flagbench.runners.data.verdict import Content as Rows
from flagbench.runners.data.verdict import DataVerdict
from flagbench.suites.longctx.prompts import prompts
from flagbench.suites.longctx.ruler import chains, coded_words, common_words, needles, questions
from flagbench.suites.longctx.ruler.fitting import Draft, Drawn, Room
from flagbench.suites.longctx.ruler.material import Material, of_texts, read_material
from flagbench.suites.longctx.ruler.scores import string_match
from flagbench.suites.longctx.ruler.settings import (
    LENGTHS,
    SAMPLES,
    SEED,
    TASKS,
    Chain,
    CodedWords,
    CommonWords,
    Needles,
)
from flagbench.suites.longctx.ruler.words import all_words, pairs
from flagbench.suites.longctx.sample import Answer, Asking, Content, Metrics, Sample

if TYPE_CHECKING:
    from flagbench.models.contract import Tokens
    from flagbench.runners.data.sources import Source
    from flagbench.suites.longctx.options import LongContextOptions
    from flagbench.suites.longctx.registry import Row

_OWN_WORDS_UP_TO = 65536
"""Tokens up to which lists of common words are of FlagBench's words alone, whatever the tokenizer."""


def asking(row: Row, protocol: str) -> Asking:
    """See Kind."""
    return Asking("text", max_new_tokens=row.max_new_tokens)


def published(row: Row, protocol: str, template: str) -> Mapping[str, Any]:
    """See Kind."""
    return {"lengths": LENGTHS, "rows": SAMPLES, "seed": SEED}


def read(row: Row, source: Source, options: LongContextOptions, fault: Callable[[str], None] | None = None) -> Content:
    """See Kind; ``Content.rows`` is one ``Material``."""
    settings = TASKS[row.part]
    material = read_material(settings, source, options, fault)
    lengths, samples = _lengths(options), _samples(options, material)
    state, differences = _state(row, options, material)
    made_of = _digest(row, options, material)
    content = {str(length): Rows(samples, _blake(f"{made_of} {length}")) for length in lengths}
    notes = []
    if material.essays is not None:
        notes.append(
            f"needles are hidden in {material.essays.where}, between sentences that FlagBench's own rule finds"
        )
    if options.api_base:
        notes.append("the beginning of the answer ends the question, as in RULER's own runs of models behind servers")
    if material.library is not None and samples < (options.rows or SAMPLES):
        notes.append(f"there are only {samples:,} questions, so there are no more samples of each length")
    return Content(
        row=row,
        protocol=row.protocols[0],
        options=options,
        verdict=DataVerdict(state, tuple(differences), source.where, content),
        rows=(material,),
        notes=tuple(notes),
    )


def ids(content: Content) -> Sequence[str]:
    """See Kind: ``length/number``."""
    samples = _samples(content.options, content.rows[0])
    return [f"{length}/{number}" for length in _lengths(content.options) for number in range(samples)]


def samples(content: Content, tokens: Tokens, wanted: Collection[str]) -> Iterator[Sample]:
    """See Kind.

    All samples of a length up to the last one that is wanted are drawn, as in the published programs, whose draws go
    on from one to the next.
    """
    room_for, number_of = _lengths(content.options), _samples(content.options, content.rows[0])
    for length in room_for:
        places = [place for place in range(number_of) if f"{length}/{place}" in wanted]
        if not places:
            continue
        chosen = set(places)
        drawn = islice(_drawn(content, length, tokens), places[-1] + 1)
        for place, each in enumerate(drawn):
            if place in chosen:
                yield Sample(
                    id=f"{length}/{place}",
                    subset=str(length),
                    references=each.draft.references,
                    prompt=_prompt(each.draft, content.options),
                    facts=_facts(content.row, place, each),
                )


def score(row: Row, protocol: str, answers: Sequence[Answer]) -> Metrics:
    """See Kind."""
    metric = row.main_score
    return {metric: {answer.id: string_match(metric, answer.text, answer.references) for answer in answers}}


def _drawn(content: Content, length: int, tokens: Tokens) -> Iterator[Drawn]:
    row, material = content.row, content.rows[0]
    settings = TASKS[row.part]
    seed = _seed(content.options)
    room = Room(row.name, length, tokens.around, row.max_new_tokens, seed, lambda text: len(tokens.encode(text)))
    if isinstance(settings, Needles):
        return needles.draw(settings, room, material.essays.texts if material.essays else ())
    if isinstance(settings, Chain):
        return chains.draw(settings, room)
    if isinstance(settings, CommonWords):
        return common_words.draw(settings, room, material.words or pairs())
    if isinstance(settings, CodedWords):
        return coded_words.draw(settings, room)
    return questions.draw(material.library, room)


def _prompt(draft: Draft, options: LongContextOptions) -> Prompt:
    """The beginning of the answer is the model's, or, as a server lets none be begun, the end of the question."""
    if options.api_base:
        return Prompt(parts=(Text(draft.text + draft.prefix),))
    return Prompt(parts=(Text(draft.text),), prefill=draft.prefix)


def _facts(row: Row, number: int, drawn: Drawn) -> dict[str, Any]:
    """What a result keeps of a sample: its number, its tokens, and where in it the first needle lies, in percent."""
    facts: dict[str, Any] = {"number": number, "tokens": drawn.tokens}
    if isinstance(TASKS[row.part], Needles):
        facts["depth"] = _depth(drawn.draft)
    return facts


def _depth(draft: Draft) -> float:
    """Where the first answer begins, in percent of the characters of the prompt."""
    return round(100 * draft.text.find(draft.references[0]) / len(draft.text), 1)


def _lengths(options: LongContextOptions) -> tuple[int, ...]:
    return options.lengths or LENGTHS


def _samples(options: LongContextOptions, material: Material) -> int:
    wanted = options.rows or SAMPLES
    return min(wanted, len(material.library.questions)) if material.library else wanted


def _seed(options: LongContextOptions) -> int:
    return SEED if options.seed is None else options.seed


def _state(row: Row, options: LongContextOptions, material: Material) -> tuple[DataState, list[str]]:
    """How samples stand to the published ones, and a line for each difference."""
    settings, lengths = TASKS[row.part], _lengths(options)
    lines = []
    if lengths != LENGTHS:
        lines.append(f"lengths {', '.join(map(str, lengths))} instead of {', '.join(map(str, LENGTHS))}")
    if (samples := _samples(options, material)) != SAMPLES:
        lines.append(f"{samples:,} samples of each length instead of {SAMPLES}")
    if _seed(options) != SEED:
        lines.append(f"seed {_seed(options)} instead of {SEED}")
    if material.essays is not None and not material.essays.published:
        lines.append("the haystack is not that of the published essays")
    if material.digest and not material.published:
        lines.append("the file is not the one that RULER's scripts download")
    if isinstance(settings, CommonWords) and not material.words and lengths[-1] > _OWN_WORDS_UP_TO:
        lines.append(
            f"beyond {_OWN_WORDS_UP_TO} tokens lists may need RULER's english_words.json, "
            "in whose place pairs of words are taken"
        )
    if lines:
        return DataState.DIFFERS, lines
    return (DataState.OFFICIAL if material.essays is None else DataState.UNKNOWN), lines


def _digest(row: Row, options: LongContextOptions, material: Material) -> str:
    """Of all that samples are made of, but for their length and the tokenizer."""
    settings = TASKS[row.part]
    made_of: dict[str, Any] = {
        "task": row.part,
        "settings": asdict(settings),
        "prompt": prompts("ruler")[_PROMPTS[type(settings).__name__]],
        "answer": row.max_new_tokens,
        "seed": _seed(options),
        "file": material.digest,
    }
    if material.essays is not None:
        made_of["essays"] = of_texts(material.essays.texts)
    if isinstance(settings, Needles | CommonWords):
        made_of["words"] = of_texts(all_words())
    return _blake(json.dumps(made_of, sort_keys=True))


_PROMPTS = {
    "Needles": "niah",
    "Chain": "variable_tracking",
    "CommonWords": "common_words_extraction",
    "CodedWords": "freq_words_extraction",
    "Questions": "qa",
}


def _blake(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
