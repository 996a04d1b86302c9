"""What a kind of long-context tasks makes of its data: samples to ask about, and scores of what was answered."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from flagbench.models.prompts import Prompt

if TYPE_CHECKING:
    from collections.abc import Callable

    from flagbench.models.contract import Tokens, Window
    from flagbench.runners.benchmark import DataVerdict
    from flagbench.runners.data.sources import Source
    from flagbench.suites.longctx.options import LongContextOptions
    from flagbench.suites.longctx.registry import Row

Asked = Literal["text", "options", "losses"]
"""How samples are answered: by a text, by the log-probability of each option, or by the loss over windows."""


@dataclass(frozen=True)
class Cell:
    """A place in a grid.

    Attributes:
        length: Tokens of the context, or how many topics it has.
        depth: Where in it the answer stands, in percent of it; 0 is its beginning.
    """

    length: int
    depth: int


@dataclass(frozen=True)
class Asking:
    """How the samples of a task are asked.

    Attributes:
        asked: See ``Asked``.
        max_new_tokens: Tokens of an answer at most; 0 where none is written.
        ends: Texts whose last token ends an answer too.
        min_new_tokens: Tokens of an answer at least.
    """

    asked: Asked
    max_new_tokens: int = 0
    ends: tuple[str, ...] = ()
    min_new_tokens: int = 0


@dataclass(frozen=True)
class Sample:
    """One question of a task.

    Attributes:
        id: Unlike those of all other samples of the task; it names the sample in results.
        subset: The part of the task that it counts in: a length, a bucket of lengths, a subject; else ``default``.
        references: Right answers; empty where it is answered by losses.
        prompt: What a text or options are asked by; None where it is answered by losses.
        options: Beginnings of an answer that are compared; empty where none are.
        windows: What is read for losses; empty where it is not answered so.
        cell: Its place in a grid; None where it has none.
        facts: What else its score needs, as plain values that JSON has.
    """

    id: str
    subset: str = "default"
    references: tuple[str, ...] = ()
    prompt: Prompt | None = None
    options: tuple[str, ...] = ()
    windows: tuple[Window, ...] = ()
    cell: Cell | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """What a model gave for a sample.

    Attributes:
        id: Of the sample.
        subset: See ``Sample``.
        references: See ``Sample``.
        cell: See ``Sample``.
        facts: See ``Sample``.
        text: The answer as it was written, without special tokens; empty where none was asked for.
        numbers: The mean log-probability of each option's tokens; or the nats and the scored tokens of each window, one
            window after the other; empty where a text was asked for.
    """

    id: str
    subset: str
    references: tuple[str, ...] = ()
    cell: Cell | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    text: str = ""
    numbers: tuple[float, ...] = ()


@dataclass(frozen=True)
class Content:
    """The data of a task, before it is known which model reads it.

    Attributes:
        row: The task.
        protocol: Whose rules make its prompts and scores (``Row.protocols``).
        options: Of the run.
        verdict: How its data stands to the official data, with a digest of all that prompts are made of.
        rows: The benchmark kind's own objects.
        notes: What the user must know of the data, a line each.
        contexts: By the id of a sample, a name of the context that it asks about; empty where each has one of its own.
    """

    row: Row
    protocol: str
    options: LongContextOptions
    verdict: DataVerdict
    rows: Sequence[Any]
    notes: Sequence[str] = ()
    contexts: Mapping[str, str] = field(default_factory=dict)


Metrics = Mapping[str, Mapping[str, float]]
"""Value by metric and by the id of an answer; the mean of a subset's values is the subset's score."""


class Kind(Protocol):
    """A kind of tasks: a module of this package that has these functions."""

    def asking(self, row: Row, protocol: str) -> Asking:
        """How its samples are asked by the rules of a protocol (one of ``Row.protocols``)."""
        ...

    def published(self, row: Row, protocol: str, template: str) -> Mapping[str, Any]:
        """Options whose values the protocol has of its own, by their fields: who gives these changes nothing.

        Args:
            row: The task.
            protocol: One of ``Row.protocols``.
            template: Whose prompts InfiniteBench has.
        """
        ...

    def read(
        self, row: Row, source: Source, options: LongContextOptions, fault: Callable[[str], None] | None = None
    ) -> Content:
        """Read and check the data, without any model.

        Args:
            row: The task.
            source: Of its data; for tasks that are generated, ``Generated``, which has no files.
            options: Of the run.
            fault: Is given one line for each faulty row, which is then left out; None has the first one raised.

        Raises:
            BadInput: The data is absent, or options contradict one another or the task.
            BadData: Rows that cannot be used.
        """
        ...

    def ids(self, content: Content) -> Sequence[str]:
        """The ids of all samples, each once, in the order in which they are asked."""
        ...

    def samples(self, content: Content, tokens: Tokens, wanted: Collection[str]) -> Iterator[Sample]:
        """Make samples for a model, in the order of ``ids``, one at a time: a prompt may be of a million characters.

        Neighbours share as long a beginning as they can, since a model reads a common beginning once. A sample does
        not depend on which others are wanted.

        Args:
            content: As ``read`` gave it.
            tokens: Of the model, or those that its user says stand for its own.
            wanted: Ids of the samples to make.

        Raises:
            BadInput: A length leaves no room for the question.
        """
        ...

    def score(self, row: Row, protocol: str, answers: Sequence[Answer]) -> Metrics:
        """Score answers by the rules of a protocol; ``Row.main_score`` is among the metrics.

        Args:
            row: The task.
            protocol: One of ``Row.protocols``.
            answers: Of all samples, in any order. Nothing else is needed, so a saved run is scored without its data.
        """
        ...
