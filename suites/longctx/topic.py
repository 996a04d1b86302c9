"""Retrieval of topics from a record of conversations, and of numbers from a record of lines (LongEval).

``flagembedding`` and ``qlora`` (FlagEmbedding, research/Long_LLM, ``eval_topic.py``) read the conversations of their
bundle and ask for the first topic, ``official`` (DachengLi1/LongChat, ``longeval/eval.py``) has prompts that hold the
question. What one might not expect:

* ``flagembedding`` asks a question of its own and gives a record of one topic another ending, ``qlora`` asks that of
  the data.
* Both key their results by the mean length of a group's prompts, so of two groups with equal means the later one
  replaces the other: here groups are told apart by their number of topics, and ``submission/grids.py`` has their file.
* ``qlora`` rounds F1 to four decimals for each answer, ``flagembedding`` its sum alone.
* An answer is right where it contains the topic, in any case: also one that names all topics.
* LongEval's topics are scored by a judge alone (``judging.py``); ``accuracy`` and ``f1`` are here as in the other
  protocols. Of its lines the last run of digits of an answer counts.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flagbench import AbsentData, BadData, first_few
from flagbench.models.prompts import Prompt, Text
from flagbench.runners.data.row_files import RowFile
from flagbench.runners.data.verdict import Content as Digest
from flagbench.runners.data.verdict import DataVerdict, judge, read_official
from flagbench.suites.longctx.haystack import OFFICIAL
from flagbench.suites.longctx.prompts import prompts
from flagbench.suites.longctx.sample import Answer, Asking, Cell, Content, Metrics, Sample
from flagbench.suites.longctx.scope import as_asked

if TYPE_CHECKING:
    from collections.abc import Callable

    from flagbench.models.contract import Tokens
    from flagbench.runners.data.sources import Source
    from flagbench.suites.longctx.options import LongContextOptions
    from flagbench.suites.longctx.registry import Row

_BUNDLE = "long-llm/longeval/topic_retrieval.json"
_LONGEVAL = "longeval/evaluation/{kind}/testcases/{number}_{kind}.jsonl"
_ORIGINAL = "4b5faa5"  # commit of DachengLi1/LongChat
_ROWS = 50  # of each of its files
_NUMBERS: Mapping[str, tuple[int, ...]] = {
    "bundle": (5, 10, 15, 20, 25, 30, 40, 50, 60, 70),
    "topics": (5, 10, 15, 20, 25),
    "lines": (200, 300, 400, 500, 600, 680),
}
_ENDING = " \n USER: Great, this is the end of our discussion"
_NEW_ENDING = " Now the record ends."
_MOST_DIGITS = 4_000
_TENTHS = 10


@dataclass(frozen=True)
class Record:
    """A record that is asked about.

    Attributes:
        id: Of the sample.
        number: Of its topics, or lines.
        text: The record, of LongEval with the question.
        question: The question of the data; empty where the text holds it.
        answer: The first topic, or the number in the line.
        depth: Where the answer is, in percent of the record, in steps of ten.
    """

    id: str
    number: int
    text: str
    question: str
    answer: str
    depth: int


def asking(row: Row, protocol: str) -> Asking:
    """See ``Kind``."""
    return Asking("text", 100 if row.kind == "lines" else 50)


def published(row: Row, protocol: str, template: str) -> Mapping[str, Any]:
    """See ``Kind``."""
    return {row.part: _NUMBERS[_layout(row, protocol)]}


def read(row: Row, source: Source, options: LongContextOptions, fault: Callable[[str], None] | None = None) -> Content:
    """See ``Kind``."""
    from flagbench.suites.longctx.registry import protocol_of

    protocol = protocol_of(row, options.protocol)
    layout = _layout(row, protocol)
    chosen = options.lines if row.kind == "lines" else options.topics
    numbers = chosen or _NUMBERS[layout]
    chosen = () if numbers == _NUMBERS[layout] else numbers
    reader = _Reader(layout, fault)
    found = reader.bundle(source, numbers) if layout == "bundle" else reader.longeval(source, numbers)
    missing = [number for number in numbers if not found[number]]
    if len(missing) == len(numbers) or (missing and chosen):
        raise BadData(
            f"{source.where} has no records of {first_few(missing)} {row.part}: choose others with --{row.part}"
        )
    notes = [f"the data has no records of {first_few(missing)} {row.part}"] if missing else []
    records = [record for number in numbers for record in found[number][: options.rows]]
    there = sum(len(found[number]) for number in numbers)
    verdict = as_asked(_verdict(row, layout, source, found, chosen), len(records), there, "records")
    return Content(row, protocol, options, verdict, records, notes)


def _layout(row: Row, protocol: str) -> str:
    """Whose files it has: FlagEmbedding's bundle, or LongEval's topics or lines."""
    return row.part if protocol == "official" else "bundle"


class _Reader:
    """Reads records of a layout, and says what is wrong with each that is none."""

    def __init__(self, layout: str, fault: Callable[[str], None] | None) -> None:
        self._layout, self._fault = layout, fault

    def bundle(self, source: Source, numbers: Sequence[int]) -> dict[int, list[Record]]:
        path = source.files(_BUNDLE) / _BUNDLE
        if not path.exists():
            raise AbsentData(f"{path} does not exist: copy the folder long-llm of the bundle there")
        found: dict[int, list[Record]] = {number: [] for number in numbers}
        for place, row in _rows(path):
            number = row.get("num_topics")
            if type(number) is not int:
                self._say(f"{place} has no num_topics that is a whole number")
            elif number in found and (record := self._checked(place, row, number, len(found[number]))):
                found[number].append(record)
        return found

    def longeval(self, source: Source, numbers: Sequence[int]) -> dict[int, list[Record]]:
        names = {number: _LONGEVAL.format(kind=self._layout, number=number) for number in numbers}
        folder = source.files(*names.values())
        found: dict[int, list[Record]] = {}
        for number, name in names.items():
            rows = _rows(folder / name) if (folder / name).exists() else ()
            records = (self._checked(*row, number, at) for at, row in enumerate(rows))
            found[number] = [record for record in records if record]
        return found

    def _checked(self, place: str, row: Mapping[str, Any], number: int, at: int) -> Record | None:
        try:
            return _record(self._layout, row, number, at)
        except ValueError as error:
            self._say(f"{place} {error}")
            return None

    def _say(self, line: str) -> None:
        if self._fault is None:
            raise BadData(f"{line}: fix the data")
        self._fault(line)


def _rows(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The objects of a file of JSON lines, each with its place for messages."""
    file = RowFile(path, "jsonl", path.stem)
    for line, row in file.rows():
        yield file.place(line), row


def _record(layout: str, row: Mapping[str, Any], number: int, at: int) -> Record:
    """A row as a record; a ``ValueError`` says what is wrong with it."""
    id_ = f"{number}/{at}"
    if layout == "lines":
        expected, random = row.get("expected_number"), row.get("random_idx")
        if type(expected) is not int or not 0 <= expected < 10**15:
            raise ValueError("has no expected_number that is a whole number")
        place = random[1] if isinstance(random, list) and len(random) == 2 else None
        if type(place) is not int or not 0 <= place < number:
            raise ValueError(f"has no random_idx with the place of one of its {number} lines")
        depth = 100 // _TENTHS * (_TENTHS * place // number)
        return Record(id_, number, _text(row, "prompt"), "", str(expected), depth)
    topics = row.get("topics")
    if not isinstance(topics, list) or not topics or not isinstance(topics[0], str) or not topics[0].strip():
        raise ValueError("has no topics that begin with a text")
    if layout == "topics":
        return Record(id_, number, _text(row, "prompt"), "", topics[0], 0)
    return Record(id_, number, _text(row, "context"), _text(row, "question"), topics[0], 0)


def _text(row: Mapping[str, Any], name: str) -> str:
    text = row.get(name)
    if not isinstance(text, str) or not text.strip():
        raise ValueError(f"has no {name} that is a text")
    return text


def _verdict(
    row: Row, layout: str, source: Source, found: Mapping[int, Sequence[Record]], chosen: Sequence[int]
) -> DataVerdict:
    """Official where all files are those of LongEval that are known; of the bundle no content is."""
    from flagbench.runners.data.content import of_columns

    content: dict[str, Digest] = {
        f"{number} {row.part}": of_columns(
            {
                "text": [each.text for each in records],
                "question": [each.question for each in records],
                "answer": [each.answer for each in records],
            },
            ordered=True,
        )
        for number, records in found.items()
    }
    lines = []
    if chosen:
        lines.append(f"the numbers of {row.part} are not the published ones, {first_few(_NUMBERS[layout], 10)}")
    if layout == "bundle":
        return judge(content, lines or None, [source], "main", None)
    lines += [
        f"{number} {row.part}: {len(records)} rows instead of {_ROWS}"
        for number, records in found.items()
        if len(records) != _ROWS
    ]
    known = read_official(OFFICIAL).get((row.name, _ORIGINAL), {})
    return judge(content, lines, [source], "main", known if content.keys() <= known.keys() else None)


def ids(content: Content) -> Sequence[str]:
    """See ``Kind``."""
    return [record.id for record in content.rows]


def samples(content: Content, tokens: Tokens, wanted: Collection[str]) -> Iterator[Sample]:
    """See ``Kind``."""
    for record in content.rows:
        if record.id in wanted:
            text = _message(content.protocol, record)
            yield Sample(
                id=record.id,
                subset=str(record.number),
                references=(record.answer,),
                prompt=Prompt(parts=(Text(text),)),
                cell=Cell(record.number, record.depth),
                facts={"tokens": len(tokens.encode(text))},
            )


def _message(protocol: str, record: Record) -> str:
    """The user's message."""
    if protocol == "official":
        return record.text
    if protocol == "qlora":
        return f"{record.text} {record.question}"
    text = record.text.split(_ENDING)[0] + _NEW_ENDING if record.number == 1 else record.text
    return f"{text} {prompts('topic')['first']}"


def score(row: Row, protocol: str, answers: Sequence[Answer]) -> Metrics:
    """See ``Kind``: ``accuracy``, and of topics ``f1`` of words."""
    if row.kind == "lines":
        return {"accuracy": {each.id: float(_last_digits(each.text) == each.references[0]) for each in answers}}
    from flagbench.suites.longctx.metrics.words import qa_f1

    f1 = {each.id: qa_f1(each.text, each.references[0]) for each in answers}
    return {
        "accuracy": {each.id: float(each.references[0].lower() in each.text.lower()) for each in answers},
        "f1": {id_: round(value, 4) for id_, value in f1.items()} if protocol == "qlora" else f1,
    }


def _last_digits(text: str) -> str:
    """The last run of digits of an answer as a number is written, without zeros before it; empty where it has none."""
    digits = re.findall(r"\d+", text)
    return str(int(digits[-1])) if digits and len(digits[-1]) <= _MOST_DIGITS else ""
