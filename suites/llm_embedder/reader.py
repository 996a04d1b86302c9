"""The language model that reads what was retrieved: each of its answers is on the disk before the next one comes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from flagbench import BadData, ModelFault
from flagbench.models.contract import TextGenerator, Tokens
from flagbench.models.prompts import Loss, Prompt, Text, Window
from flagbench.runners.generation.ask import ask
from flagbench.runners.generation.journal import Journal
from flagbench.runners.progress import Progress


class Reader:
    """A language model, asked once about each item of a task.

    Attributes:
        tokens: Its tokenizer.
        asked: Items that it was asked about in this run; the others were in the journal.
    """

    def __init__(self, model: TextGenerator, journal: Journal, progress: Progress) -> None:
        """Set up.

        Args:
            model: Answers texts, and scores them.
            journal: Open; what it has is not asked again.
            progress: The progress to report to.
        """
        self.tokens: Tokens = model.tokens
        self.asked = 0
        self._model = model
        self._journal = journal
        self._progress = progress

    def answers(self, ids: Sequence[str], text: Callable[[str], str], *, max_new_tokens: int) -> Mapping[str, str]:
        """Go on from texts, up to the end of a line.

        Args:
            ids: Of the items.
            text: Makes the text of an item, which is read as it stands, without a chat template.
            max_new_tokens: Tokens of an answer at most.

        Returns:
            What follows the text, by item.
        """

        def prompts(left: Sequence[str]) -> Iterable[tuple[str, Prompt]]:
            return ((id_, Prompt(parts=(Text(text(id_)),), form="plain")) for id_ in left)

        self._progress.stage("answering", len(ids))
        found = ask(
            self._model,
            ids,
            prompts,
            self._journal,
            max_new_tokens=max_new_tokens,
            ends=("\n",),
            progress=self._progress,
        )
        self.asked += found.new
        return found.texts

    def losses(self, ids: Sequence[str], window: Callable[[str], Window]) -> dict[str, Loss]:
        """Score texts.

        Args:
            ids: Of the items.
            window: Makes what is read and scored of an item.

        Returns:
            The loss of the scored tokens, by item.

        Raises:
            BadData: An item has no token that can be scored.
            ModelFault: The model scores another number of texts than it was asked about.
        """
        left = [id_ for id_ in ids if id_ not in self._journal.done]
        self._progress.stage("scoring texts", len(ids))
        self._progress.advance(len(ids) - len(left))
        new = 0
        for number, loss in self._model.losses(_scorable(id_, window(id_)) for id_ in left):
            if number != new or new >= len(left):
                raise ModelFault(f"{self._model.spec.name} scored text {number} instead of text {new} of {len(left)}")
            self._journal.add(left[number], {"answer": json.dumps([loss.nats, loss.tokens])})
            self._progress.advance(1)
            new += 1
        if new != len(left):
            raise ModelFault(f"{self._model.spec.name} scored {new} of {len(left)} texts")
        self.asked += new
        return dict(self._read(ids))

    def _read(self, ids: Sequence[str]) -> Iterator[tuple[str, Loss]]:
        for id_ in ids:
            nats, tokens = json.loads(str(self._journal.done[id_]["answer"]))
            yield id_, Loss(nats, tokens)


def _scorable(id_: str, window: Window) -> Window:
    """A window with a token to score that another one precedes.

    Raises:
        BadData: It has none.
    """
    if not window.targets or len(window.ids) < 2:
        raise BadData(f"item {id_:.80} has no token that the reader can score: leave it out of the data")
    return window


def per_token(loss: Loss) -> float:
    """Nats per scored token."""
    return loss.nats / loss.tokens
