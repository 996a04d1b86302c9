"""Language models of texts that read long ones: their tokens are counted, their losses asked for, and what one prompt
has in common with the next is computed once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

from flagbench import BadInput, ModelFault
from flagbench.models.backbone.pretrained import read_pretrained
from flagbench.models.backbone.rope import check_base, set_base
from flagbench.models.contract import Loading
from flagbench.models.device import out_of_memory
from flagbench.models.generators.causal_lm import TextInputs
from flagbench.models.generators.language_model import Batch, LanguageModel, Stopping, check_generation_config
from flagbench.models.generators.losses import whole_loss, window_loss
from flagbench.models.generators.memory import Memory, fitting
from flagbench.models.generators.prefix import Prefix, grows
from flagbench.models.generators.tokens import TokenizerTokens
from flagbench.models.prompts import Loss, Prompt, Window
from flagbench.models.spec import ModelSpec
from flagbench.models.text import MARKS, TextSettings


class TextLanguageModel(LanguageModel):
    """See ``TextGenerator`` of the contract.

    Attributes:
        tokens: Its tokenizer.
        positions: Tokens that it has positions for.
    """

    def __init__(
        self, spec: ModelSpec, model: Any, inputs: TextInputs, loading: Loading, tokens: TokenizerTokens
    ) -> None:
        """Put the loaded parts together.

        Args:
            spec: Effective settings.
            model: On its device, in evaluation mode.
            inputs: Makes what it takes.
            loading: Device and batch size.
            tokens: Of its tokenizer as its files have it.
        """
        super().__init__(spec, model, inputs, loading)
        own = spec.own_as(TextSettings)
        self.tokens = tokens
        self.positions = self._positions = own.positions
        # Whose state is keys and values reads prompts in pieces; code of a checkpoint begins anew by itself.
        self._prefix = Prefix(model, kept=own.prefix_cache) if grows(model) else None
        self._memory = Memory.of(model, grows=self._prefix is not None)
        self._longest = 0
        if own.beacon_ratio:
            self.batch_size = 1

    def fitting(self, tokens: int) -> str:
        """Say how much memory a prompt of so many tokens takes, those of its answer included, in one line.

        Raises:
            BadInput: It does not fit.
        """
        held = self._prefix.tokens if self._prefix else 0
        return fitting(self._memory, tokens, self.device, held=held, name=self.spec.name)

    def losses(self, windows: Iterable[Window]) -> Iterator[tuple[int, Loss]]:
        """See the contract."""
        for number, window in enumerate(windows):
            if not window.ids:
                raise BadInput(f"{self.spec.name} has nothing to read: a window has no tokens")
            if self.positions and len(window.ids) > self.positions:
                raise BadInput(
                    f"{self.spec.name} has {self.positions:,} positions, and a window has {len(window.ids):,} tokens: "
                    "use shorter windows"
                )
            self._check_memory(len(window.ids))
            yield number, self._loss(window)

    @torch.inference_mode()
    def _loss(self, window: Window) -> Loss:
        self._begin()
        if self._prefix is not None:
            self._prefix.forget()  # its memory is the window's
        score = window_loss if self._prefix is not None else whole_loss
        try:
            loss = score(self._model, window, self.device)
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
            raise ModelFault(
                f"out of memory on {self.device} with a window of {len(window.ids):,} tokens: use shorter ones, or a "
                "device with more memory"
            ) from error
        if not np.isfinite(loss.nats):
            raise ModelFault(f"{self.spec.name} gave NaN for a window of {len(window.ids):,} tokens; use another dtype")
        return loss

    def _check_memory(self, tokens: int) -> None:
        """Refuse what the device has no memory for, before it is read; what is shorter than another fits as well."""
        if tokens > self._longest:
            self.fitting(tokens)
            self._longest = tokens

    def _prepared(self, prompts: Sequence[Prompt], more: int) -> tuple[Batch, list[str]]:
        batch, texts = super()._prepared(prompts, more)
        rows, columns = batch["input_ids"].shape
        self._check_memory(rows * (columns + more))
        return batch, texts

    @torch.inference_mode()
    def _generate(self, prompts: Sequence[Prompt], stopping: Stopping, rows: Sequence[int]) -> list[str]:
        self._begin()
        return super()._generate(prompts, stopping, rows)

    def _continued(self, batch: Batch, stopping: Stopping, **more: Any) -> torch.Tensor:
        if self._prefix is None or len(batch["input_ids"]) > 1:
            return super()._continued(batch, stopping, **more)
        kept = self._prefix.read(batch["input_ids"][0].tolist(), self.device)
        try:
            return super()._continued(batch, stopping, **kept, **more)
        except BaseException:
            self._prefix.forget()
            raise

    def _log_probabilities(self, batch: Batch, dropped: int, given: tuple[int, ...]) -> torch.Tensor:
        self._begin()
        if self._prefix is None:
            return super()._log_probabilities(batch, dropped, given)
        ids = batch["input_ids"][0].tolist()
        before = ids[: len(ids) - dropped]
        kept = self._prefix.read(before, self.device)
        behind = torch.tensor([[before[-1], *given]], dtype=torch.long, device=self.device)
        try:
            logits = self._model(input_ids=behind, use_cache=True, **kept).logits[0]
        except BaseException:
            self._prefix.forget()
            raise
        return torch.log_softmax(logits.float(), dim=-1)

    def _begin(self) -> None:
        """Have a model with a memory of its own forget what it read before."""
        if hasattr(self._model, "memory"):
            self._model.memory.reset()


def load(spec: ModelSpec, directory: Path, loading: Loading) -> TextLanguageModel:
    """Read tokenizer and weights.

    Args:
        spec: Effective settings.
        directory: Folder with config, tokenizer and weights.
        loading: Device, batch size (1 unless given), adapters, a GGUF file, and what is allowed.

    Raises:
        BadInput: The files do not make a model, or its own code does not run here.
        ModelFault: It does not turn its positions by the base that was asked for.
    """
    own = spec.own_as(TextSettings)
    check_generation_config(directory)

    def adjust(config: Any) -> None:
        if own.rope_theta:
            set_base(config, own.rope_theta, spec.name)
        if own.beacon_ratio:
            set_ratio(config, own.beacon_ratio)

    # oneDNN's layers are compared with torch where vectors are made, not over the tokens of an answer.
    plain = replace(loading, backend="torch")
    try:
        tokenizer, model, _ = read_pretrained(transformers.AutoModelForCausalLM, spec, directory, plain, adjust=adjust)
    except BadInput as error:
        if loading.trust_remote_code and isinstance(error.__cause__, ImportError | AttributeError | TypeError):
            raise BadInput(
                f"{error}: code that a checkpoint brings may be of transformers 4, and this is "
                f"{transformers.__version__}; run it in an environment with transformers 4.4x, or on an "
                "OpenAI-compatible server (--api-base)"
            ) from error
        raise
    if own.rope_theta:
        check_base(model, own.rope_theta, spec.name)
    tokens = TokenizerTokens(tokenizer, chat_alone=own.chat_alone)
    if own.chat in MARKS and MARKS[own.chat] not in tokenizer.get_vocab():
        raise BadInput(
            f"--chat-template {own.chat} writes {MARKS[own.chat]}, which is no token of {spec.name}: use its own, auto"
        )
    tokenizer.chat_template = own.jinja(_template(tokenizer)) or None
    inputs = TextInputs(tokenizer, spec.name, chat_alone=own.chat_alone)
    return TextLanguageModel(spec, model, inputs, loading, tokens)


def set_ratio(config: Any, ratio: str) -> None:
    """Have Activation Beacon compress by a ratio (``TextSettings.beacon_ratio``); changes a config in place."""
    if ratio.startswith("adapt-"):
        config.beacon_ratio_mix = ratio
    else:
        config.beacon_ratio = [int(ratio)]


def _template(tokenizer: Any) -> str:
    """The chat template of a tokenizer, of several the one called default."""
    template = tokenizer.chat_template
    return str((template.get("default") if isinstance(template, dict) else template) or "")
