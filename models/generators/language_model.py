"""Answers and likely options from any language model of transformers, over what makes its inputs of prompts."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
import transformers
from numpy.typing import NDArray

from flagbench import BadInput, ModelFault, printable
from flagbench.models.backbone.pretrained import DTYPES
from flagbench.models.contract import Capability, Loading
from flagbench.models.device import out_of_memory, release_memory
from flagbench.models.loading.folder import FIX, read_json
from flagbench.models.loading.positions import positions_of
from flagbench.models.prompts import Clip, Prompt, batches
from flagbench.models.spec import ModelSpec

# Inputs of a number for each token, with that of a token of text.
_OF_TOKENS = {"attention_mask": 1, "mm_token_type_ids": 0, "token_type_ids": 0}
# Tokens of the prompt's end that an answer is decoded with, so that a blank at its beginning is not lost.
_DECODED_WITH = 4

T = TypeVar("T")

Batch = dict[str, torch.Tensor]
"""Inputs of the model, a row per prompt where they are about tokens."""


class Inputs(Protocol):
    """Makes a language model's inputs of prompts.

    Attributes:
        tokenizer: Pads on the left, with a token of its own or the one that ends an answer.
    """

    tokenizer: Any

    def render(self, prompt: Prompt) -> str:
        """The text of a prompt, up to where the model goes on.

        Raises:
            BadInput: It has parts that the model does not take.
        """
        ...

    def batch(self, prompts: Sequence[Prompt], texts: Sequence[str]) -> Batch:
        """The model's inputs, padded on the left, for prompts of one shape.

        Args:
            prompts: At least one; their pictures and clips have the same shapes.
            texts: Each rendered.
        """
        ...


@dataclass(frozen=True)
class Stopping:
    """Where answers end.

    Attributes:
        most: Tokens of an answer at most.
        least: Tokens before which it does not end.
        ends: Ids that end it, beside those that end every answer of the model.
    """

    most: int
    least: int = 0
    ends: frozenset[int] = frozenset()


class LanguageModel:
    """A model that goes on from what its inputs make of a prompt."""

    capabilities: frozenset[Capability] = frozenset({"generate"})
    backend = "torch"
    lanes = 1

    def __init__(self, spec: ModelSpec, model: Any, inputs: Inputs, loading: Loading) -> None:
        """Put the loaded parts together.

        Args:
            spec: Effective settings.
            model: On its device, in evaluation mode.
            inputs: Makes what it takes.
            loading: Device and batch size.

        Raises:
            BadInput: Its settings end answers with something else than ids of tokens.
        """
        self.spec = spec
        self.device = loading.device
        self.inputs = inputs
        self.batch_size = loading.batch_size or 1
        self._model = model
        self._positions = positions_of(model.config.get_text_config())
        taken = inspect.signature(model.forward).parameters
        self._keeps_logits = "logits_to_keep" in taken
        # Such a model counts positions from the padding on, or knows none: prompts of several lengths go one by one.
        self._unplaced = "position_ids" not in taken
        # Of the checkpoint's own settings only these: others (sampling, a penalty of repetition) are not greedy.
        own = model.generation_config
        end = own.eos_token_id if own.eos_token_id is not None else inputs.tokenizer.eos_token_id
        self._ends = frozenset(_ids(end, "eos_token_id", spec.name))
        _ids(own.bos_token_id, "bos_token_id", spec.name)
        model.generation_config = transformers.GenerationConfig(  # type: ignore[no-untyped-call]
            bos_token_id=own.bos_token_id, eos_token_id=end, pad_token_id=inputs.tokenizer.pad_token_id, do_sample=False
        )

    def answers(
        self, prompts: Iterable[Prompt], *, max_new_tokens: int, ends: Sequence[str] = (), min_new_tokens: int = 0
    ) -> Iterator[tuple[int, str]]:
        """See the contract. In a batch, prompts that see the same shapes go together, the largest first."""
        stopping = Stopping(max_new_tokens, min_new_tokens, frozenset(map(self._last_token, ends)))
        for batch in batches(prompts, lambda: self.batch_size):
            taken = [prompt for _, prompt in batch]
            for rows, found in self._run(taken, functools.partial(self._generate, taken, stopping)):
                for row, answer in zip(rows, found, strict=True):
                    yield batch[row][0], answer

    def score_options(
        self, prompts: Sequence[Prompt], options: Sequence[Sequence[str]], *, mean: bool = False
    ) -> list[NDArray[np.float32]]:
        """See the contract. One prompt at a time; options of one token each share one pass.

        Prompt and option are split into tokens together. Where that changes tokens of the prompt, those are part of
        the option, and of all options of the prompt, so that all are likely or not after the same beginning.

        Raises:
            BadInput: An option without a token.
            ModelFault: The model gives NaN, or a prompt does not fit into memory.
        """
        scores = [np.zeros(len(each), dtype=np.float32) for each in options]
        for (row,), (found,) in self._run(
            prompts, lambda rows: [self._score(prompts[rows[0]], options[rows[0]], mean=mean)], most=1
        ):
            if not np.isfinite(found).all():
                raise ModelFault(
                    f"{self.spec.name} gave {found.tolist()} for the options of a question; use another dtype"
                )
            scores[row] = found
        return scores

    def _run(
        self, prompts: Sequence[Prompt], forward: Callable[[list[int]], list[T]], most: int = 0
    ) -> Iterator[tuple[list[int], list[T]]]:
        """Run all prompts, in batches that halve, for good, when memory runs out.

        Args:
            prompts: In any order.
            forward: The rows of a batch to its results.
            most: Prompts of a batch; 0 for the batch size.

        Yields:
            Rows of each batch, and its results.

        Raises:
            ModelFault: One prompt alone does not fit into memory.
        """
        for rows in _alike(prompts):
            start = 0
            while start < len(rows):
                part = rows[start : start + (most or self.batch_size)]
                try:
                    results = forward(part)
                except (MemoryError, RuntimeError) as error:
                    if not out_of_memory(error):
                        raise
                    self._halve(prompts[part[0]], len(part), error)
                else:
                    yield part, results
                    start += len(part)
                    continue
                release_memory()  # only here: the error holds the states of the pass

    def _halve(self, prompt: Prompt, rows: int, error: BaseException) -> None:
        if rows == 1:
            frames = sum(len(part.frames) if isinstance(part, Clip) else 1 for part in prompt.seen)
            fix = "use --frames or --max-pixels with a smaller number, or " if frames else "use "
            raise ModelFault(
                f"out of memory on {self.device} with a single question{f' on {frames} frames' if frames else ''}; "
                f"{fix}a device with more memory"
            ) from error
        self.batch_size = max(1, rows // 2)

    def _prepared(self, prompts: Sequence[Prompt], more: int) -> tuple[Batch, list[str]]:
        """Inputs on the device and the rendered texts, for prompts that ``more`` tokens at most will follow."""
        texts = [self.inputs.render(prompt) for prompt in prompts]
        made = self.inputs.batch(prompts, texts)
        tokens = made["input_ids"].shape[1] + more
        if self._positions and tokens > self._positions:
            seen = bool(prompts[0].seen)
            raise BadInput(
                f"{self.spec.name} has {self._positions} positions, and a question takes {tokens}"
                f"{f', {more} of them for the answer' if more else ''}: "
                f"{'use --frames or --max-pixels with a smaller number' if seen else 'ask a shorter one'}"
                f"{', or allow fewer new tokens' if more else ''}"
            )
        dtype = DTYPES[self.spec.dtype]
        moved = {key: value.to(self.device) for key, value in made.items()}
        return {key: value.to(dtype) if value.is_floating_point() else value for key, value in moved.items()}, texts

    def _last_token(self, text: str) -> int:
        """The last token of a text that ends answers."""
        ids: list[int] = self.inputs.tokenizer(text, add_special_tokens=False)["input_ids"]
        if not ids:
            raise BadInput(f"{self.spec.name}: the text {text!r} cannot end an answer, as it is not a single token")
        return ids[-1]

    @torch.inference_mode()
    def _generate(self, prompts: Sequence[Prompt], stopping: Stopping, rows: Sequence[int]) -> list[str]:
        batch, _ = self._prepared([prompts[row] for row in rows], stopping.most)
        if self._unplaced and len(rows) > 1 and not batch["attention_mask"].all():
            return [answer for row in rows for answer in self._generate(prompts, stopping, [row])]
        found = self._continued(batch, stopping)
        length = batch["input_ids"].shape[1]
        ends = self._ends | stopping.ends
        return [self._answer(row[:length].tolist(), _ended(row[length:].tolist(), ends)) for row in found]

    def _continued(self, batch: Batch, stopping: Stopping, **more: Any) -> torch.Tensor:
        """``int64[b, t]``: the tokens of a batch, and what the model writes behind them.

        Args:
            batch: On the device.
            stopping: Where answers end.
            more: Further arguments of transformers' ``generate``.

        Raises:
            ModelFault: The model gives NaN.
        """
        watch = _Watch()
        if stopping.ends:
            more["eos_token_id"] = sorted(self._ends | stopping.ends)
        if stopping.least:
            more["min_new_tokens"] = stopping.least
        found: torch.Tensor = self._model.generate(
            **batch, max_new_tokens=stopping.most, logits_processor=[watch], **more
        )
        if watch.found is not None and watch.found.item():
            raise ModelFault(f"{self.spec.name} gave NaN while it answered a question; use another dtype")
        return found

    def _answer(self, before: list[int], tokens: list[int]) -> str:
        """The text of new tokens without special ones; tokenizers drop a blank at the beginning of what they decode."""
        tokenizer = self.inputs.tokenizer
        context = before[-_DECODED_WITH:]
        head, both, alone = (
            str(tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))
            for ids in (context, context + tokens, tokens)
        )
        return both.removeprefix(head) if both.startswith(head) else alone

    @torch.inference_mode()
    def _score(self, prompt: Prompt, options: Sequence[str], *, mean: bool) -> NDArray[np.float32]:
        batch, (text,) = self._prepared([prompt], 0)
        tails = [_tail(self.inputs.tokenizer, text, option) for option in options]
        dropped = max((back for back, _ in tails), default=0)
        length = batch["input_ids"].shape[1]
        whole = batch["input_ids"][0].tolist()
        # Tokens of the prompt that only another option changes stand before this one's own.
        sequences = [whole[length - dropped : length - back] + tail for back, tail in tails]
        if not all(tail for _, tail in tails):
            raise BadInput(f"{self.spec.name}: an option to compare is not a single token; give options with letters")
        passes: dict[tuple[int, ...], torch.Tensor] = {}
        scores = np.zeros(len(options), dtype=np.float32)
        for row, sequence in enumerate(sequences):
            given = tuple(sequence[:-1])
            if given not in passes:
                passes[given] = self._log_probabilities(batch, dropped, given)
            after = torch.tensor(sequence, device=passes[given].device)
            chosen = passes[given].gather(1, after.unsqueeze(1))
            scores[row] = float(chosen.mean() if mean else chosen.sum())
        return scores

    def _log_probabilities(self, batch: Batch, dropped: int, given: tuple[int, ...]) -> torch.Tensor:
        """``float32[len(given) + 1, v]``: of what follows a prompt without its last tokens, and each token given."""
        length = batch["input_ids"].shape[1]
        inputs = dict(batch)
        more = torch.tensor([given], dtype=torch.long, device=batch["input_ids"].device).reshape(1, -1)
        inputs["input_ids"] = torch.cat([batch["input_ids"][:, : length - dropped], more], dim=1)
        for key in _OF_TOKENS.keys() & batch.keys():
            filled = torch.full_like(more, _OF_TOKENS[key], dtype=batch[key].dtype)
            inputs[key] = torch.cat([batch[key][:, : length - dropped], filled], dim=1)
        # All logits of a long prompt would take more memory than the model.
        kept = {"logits_to_keep": len(given) + 1} if self._keeps_logits else {}
        logits = self._model(**inputs, use_cache=False, **kept).logits[0, -len(given) - 1 :]
        return torch.log_softmax(logits.float(), dim=-1)


class _Watch(transformers.LogitsProcessor):
    """Sees whether a model gives NaN, of which greedy search makes a token as of any other number."""

    def __init__(self) -> None:
        self.found: torch.Tensor | None = None

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Changes nothing; on the device, so that nothing waits for it."""
        odd = torch.isnan(scores).any()
        self.found = odd if self.found is None else self.found | odd
        return scores


def check_generation_config(directory: Path) -> None:
    """See that a checkpoint's generation_config.json can be read: transformers goes on without one that cannot.

    Raises:
        BadInput: It is no regular file, or not a JSON object.
    """
    read_json(directory / "generation_config.json")


def _ids(value: Any, field: str, name: str) -> list[int]:
    """The ids of tokens that a setting has: one, several, or none.

    Raises:
        BadInput: It has something else.
    """
    found = value if isinstance(value, list) else [] if value is None else [value]
    for each in found:
        if isinstance(each, bool) or not isinstance(each, int):
            raise BadInput(
                f"{name}: its generation_config.json or config.json says {field} = {printable(value):.80}, and not the "
                f"number of a token, or a list of such: {FIX}"
            )
    return found


def _ended(tokens: list[int], ends: frozenset[int]) -> list[int]:
    """New tokens without the padding that a batch puts behind the end of an answer."""
    at = next((at for at, token in enumerate(tokens) if token in ends), len(tokens))
    return tokens[: at + 1]


def _alike(prompts: Sequence[Prompt]) -> list[list[int]]:
    """Rows whose pictures and clips have the same shapes, the largest first and those that see nothing last."""
    groups: dict[tuple[tuple[int, ...], ...], list[int]] = {}
    for row, prompt in enumerate(prompts):
        shapes = tuple(part.frames.shape if isinstance(part, Clip) else part.pixels.shape for part in prompt.seen)
        groups.setdefault(shapes, []).append(row)
    return [groups[shapes] for shapes in sorted(groups, key=lambda shapes: -sum(math.prod(each) for each in shapes))]


def _tail(tokenizer: Any, text: str, option: str) -> tuple[int, list[int]]:
    """Tokens with which an option continues a text.

    Text and option are split together, as the model would write them: what of the text's own tokens is still there
    is its beginning, and the rest is the option. The placeholders of videos are special tokens, which text around
    them never joins, so the text may be without what they become.

    Args:
        tokenizer: The model's.
        text: Rendered.
        option: What follows it.

    Returns:
        Tokens at the text's end that change with the option (most often none), and those that take their place.
    """
    alone: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    joint: list[int] = tokenizer(text + option, add_special_tokens=False)["input_ids"]
    shared = next((at for at, pair in enumerate(zip(alone, joint, strict=False)) if pair[0] != pair[1]), None)
    kept = min(len(alone), len(joint)) if shared is None else shared
    return len(alone) - kept, joint[kept:]


def begins_itself(tokenizer: Any, text: str) -> bool:
    """Tell whether a rendered text begins with the BOS token, so that the tokenizer must not add it."""
    first = tokenizer.bos_token
    return first is not None and text.startswith(first)
