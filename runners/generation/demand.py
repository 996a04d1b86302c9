"""How much a task asks of a model, counted before anything is asked; and what that costs."""

from __future__ import annotations

from dataclasses import dataclass

_MILLION = 1_000_000


@dataclass(frozen=True)
class Demand:
    """What the samples of a task ask of a model.

    Attributes:
        samples: That have no answer yet.
        requests: Prompts, or windows of texts, that are sent for them.
        prompt_tokens: Of all requests, without those that a chat template puts around a prompt.
        answer_tokens: Of all answers, at most.
        answered: Samples that a run before this one has answers to.
        longest: Tokens of the longest request, those of its answer included; 0 where these are not counted.
    """

    samples: int = 0
    requests: int = 0
    prompt_tokens: int = 0
    answer_tokens: int = 0
    answered: int = 0
    longest: int = 0

    def __add__(self, other: Demand) -> Demand:
        """Both together; the longest is the longer of the two."""
        return Demand(
            self.samples + other.samples,
            self.requests + other.requests,
            self.prompt_tokens + other.prompt_tokens,
            self.answer_tokens + other.answer_tokens,
            self.answered + other.answered,
            max(self.longest, other.longest),
        )


@dataclass(frozen=True)
class Price:
    """The price of tokens, in any money.

    Attributes:
        prompts: Of a million tokens of prompts.
        answers: Of a million tokens of answers.
    """

    prompts: float
    answers: float

    def of(self, demand: Demand) -> float:
        """The money that a demand costs at most."""
        return (demand.prompt_tokens * self.prompts + demand.answer_tokens * self.answers) / _MILLION
