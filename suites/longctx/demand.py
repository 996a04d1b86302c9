"""How much a task over long contexts asks of a model, counted with its tokenizer."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from flagbench.models.contract import Tokens
from flagbench.models.prompts import Prompt
from flagbench.runners.generation.demand import Demand
from flagbench.runners.progress import Progress
from flagbench.suites.longctx.registry import asking_of, kind_of
from flagbench.suites.longctx.sample import Content, Sample


def demand(content: Content, tokens: Tokens, answered: Collection[str], progress: Progress) -> Demand:
    """Make all samples that have no answer, and count their tokens.

    Args:
        content: Of the task.
        tokens: Of the model.
        answered: Ids of samples that have one.
        progress: Goes on by one for each sample.
    """
    kind = kind_of(content.row)
    asking = asking_of(content.row, content.protocol, content.options)
    ids = kind.ids(content)
    left = [each for each in ids if each not in answered]
    progress.stage(f"counting {content.row.name}", len(left))
    requests = read = longest = 0
    for sample in kind.samples(content, tokens, set(left)):
        requests += len(sample.windows) or 1
        found = requests_of(sample, tokens)
        read += sum(found)
        longest = max([longest, *found])
        progress.advance(1)
    longest += asking.max_new_tokens if left else 0
    return Demand(len(left), requests, read, len(left) * asking.max_new_tokens, len(ids) - len(left), longest)


def requests_of(sample: Sample, tokens: Tokens) -> Sequence[int]:
    """Tokens that the model reads for each request of a sample, without those of a chat template.

    Args:
        sample: With its prompt or its windows.
        tokens: Of the model.
    """
    if sample.prompt is None:
        return [len(window.ids) for window in sample.windows]
    return [sum(len(tokens.encode(text)) for text in _texts(sample.prompt) if text)]


def _texts(prompt: Prompt) -> tuple[str, ...]:
    return prompt.system, prompt.text, *prompt.further, prompt.prefill
