"""Language models of texts alone, as transformers has them (``AutoModelForCausalLM``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import transformers

from flagbench import BadInput
from flagbench.models.backbone.pretrained import read_pretrained
from flagbench.models.chat_templates import bounded
from flagbench.models.contract import Loading
from flagbench.models.generators.language_model import Batch, LanguageModel, begins_itself, check_generation_config
from flagbench.models.generators.tokens import swells
from flagbench.models.loading.video_kinds import takes_system
from flagbench.models.prompts import Prompt
from flagbench.models.spec import ModelSpec


class TextInputs:
    """Makes the inputs of a model that reads texts alone.

    Attributes:
        tokenizer: The model's.
        chat: Whether it has a chat template; else system text, the user's text and the beginning of the answer follow
            one another, the first with a line of its own.
        system: Whether the template has a place for the system text; else it goes in front of the user's.
    """

    def __init__(self, tokenizer: Any, name: str, *, chat_alone: bool = False) -> None:
        """Look at a tokenizer.

        Args:
            tokenizer: As transformers reads it.
            name: Of the model, for messages.
            chat_alone: A chat is what its template writes, without the tokens that begin other texts.
        """
        self.tokenizer = tokenizer
        tokenizer.padding_side = "left"
        template = tokenizer.chat_template
        if isinstance(template, dict):
            template = template.get("default")
        self.chat = bool(template)
        self.system = self.chat and takes_system(template, as_text=True)
        self._begin = _begin(tokenizer)
        self._chat_alone = chat_alone and self.chat
        self._name = name

    def render(self, prompt: Prompt) -> str:
        """The text of a prompt, up to where the model goes on.

        Raises:
            BadInput: It has something to see, or the chat template fails, or makes far more of it than it is.
        """
        if prompt.seen:
            raise BadInput(f"{self._name} reads texts alone, and a question has pictures: take a model that sees")
        if not self.chat or prompt.form == "plain":
            return prompt.plain
        user = prompt.text
        if prompt.system and not self.system:
            user = f"{prompt.system}\n{user}"
        messages = [{"role": "system", "content": prompt.system}] if prompt.system and self.system else []
        messages += [{"role": "user", "content": text} for text in (user, *prompt.further)]
        if prompt.prefill:
            text = self._continued([*messages, {"role": "assistant", "content": prompt.prefill}])
            if text.endswith(prompt.prefill):
                return self._bounded(text, messages)
        try:
            with bounded():
                rendered = self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        except Exception as error:  # a template is code of the checkpoint
            line = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise BadInput(
                f"the chat template of {self._name} cannot be used ({line}): mend it, or remove it"
            ) from error
        return self._bounded(str(rendered), messages) + prompt.prefill

    def batch(self, prompts: Sequence[Prompt], texts: Sequence[str]) -> Batch:
        """The model's inputs.

        Args:
            prompts: At least one.
            texts: Each rendered.

        Returns:
            Tokens and their mask, padded on the left; nothing follows a text, also where the tokenizer ends texts.

        Raises:
            BadInput: A text without a token.
        """
        rows = []
        for prompt, text in zip(prompts, texts, strict=True):
            ids = self.tokenizer(text, add_special_tokens=False)["input_ids"]
            begun = prompt.form == "chat" and (self._chat_alone or begins_itself(self.tokenizer, text))
            rows.append(ids if begun else [*self._begin, *ids])
        if not all(rows):
            raise BadInput(f"{self._name} has nothing to read: a question is an empty text")
        made = self.tokenizer.pad({"input_ids": rows}, padding=True, return_tensors="pt")
        return {key: made[key] for key in ("input_ids", "attention_mask")}

    def _bounded(self, rendered: str, messages: Sequence[Mapping[str, str]]) -> str:
        """What a chat template made of messages, unless it is much more than they are."""
        if swells(rendered, messages):
            raise BadInput(
                f"the chat template of {self._name} cannot be used (it makes {len(rendered):,} characters of "
                f"{sum(len(each['content']) for each in messages):,}): mend it, or remove it"
            )
        return rendered

    def _continued(self, messages: list[dict[str, str]]) -> str:
        """An unfinished message of the assistant at the end; empty where the template lets none be continued."""
        try:
            with bounded():
                return str(self.tokenizer.apply_chat_template(messages, tokenize=False, continue_final_message=True))
        except Exception:  # a template is code of the checkpoint; what is wrong is said when all is rendered
            return ""


def load(spec: ModelSpec, directory: Path, loading: Loading) -> LanguageModel:
    """Read tokenizer and weights.

    Args:
        spec: Effective settings.
        directory: Folder with config, tokenizer and weights.
        loading: Device, batch size (1 unless given) and what is allowed.

    Raises:
        BadInput: The files do not make a model.
    """
    check_generation_config(directory)
    # oneDNN's layers are compared with torch where vectors are made, not over the tokens of an answer.
    plain = replace(loading, backend="torch")
    tokenizer, model, _ = read_pretrained(transformers.AutoModelForCausalLM, spec, directory, plain)
    return LanguageModel(spec, model, TextInputs(tokenizer, spec.name), loading)


def _begin(tokenizer: Any) -> list[int]:
    """The tokens that the tokenizer puts in front of every text."""
    alone: list[int] = tokenizer("a", add_special_tokens=False)["input_ids"]
    whole: list[int] = tokenizer("a")["input_ids"]
    at = next((at for at in range(len(whole)) if whole[at : at + len(alone)] == alone), 0)
    return whole[:at]
