"""The loss of a model on a few examples, by which its share of a mixture is chosen (``examples.py`` says how)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any, cast

import torch
import transformers
from torch.nn.functional import cross_entropy, normalize

from flagbench import BadInput
from flagbench.models.backbone.pretrained import read_pretrained
from flagbench.models.contract import Loading, Scorer
from flagbench.models.embedders.dense import encoder_class
from flagbench.models.loading.checkpoint import with_weights
from flagbench.models.loading.folder import read_config
from flagbench.models.loading.resolve import Model
from flagbench.models.mixing.examples import SHARPNESS, Example, Kind, Ranked, Rule, Written

_IGNORED = -100  # what transformers leaves out of a loss


def example_loss(model: Model, kind: Kind, examples: Sequence[Example], rule: Rule, loading: Loading) -> float:
    """The mean over the batches of their losses; a last one that is short counts as much as the others.

    Args:
        model: It, not loaded.
        kind: Which loss.
        examples: Of this kind.
        rule: Batch size and length.
        loading: Device and what is allowed.

    Raises:
        BadInput: The model cannot be loaded, or an example leaves nothing of its output.
    """
    loss = _LOSSES[kind](model, rule, loading)
    batches = [examples[begin : begin + rule.batch_size] for begin in range(0, len(examples), rule.batch_size)]
    with torch.inference_mode():
        return fmean(loss(batch) for batch in batches)


def _encoder(model: Model, rule: Rule, loading: Loading) -> Callable[[Sequence[Any]], float]:
    tokenizer, encoder = _read(model, loading, causal=False)

    def vectors(texts: Sequence[str]) -> torch.Tensor:
        inputs = tokenizer(
            list(texts), truncation=True, max_length=rule.max_input_length, padding=True, return_tensors="pt"
        )
        hidden = encoder(**inputs.to(loading.device)).last_hidden_state
        return normalize(hidden[:, 0].float(), dim=-1)

    def loss(batch: Sequence[Ranked]) -> float:
        queries = vectors([each.query for each in batch])
        passages = vectors([text for each in batch for text in (each.positive, *each.negatives)])
        targets = torch.arange(len(batch), device=queries.device) * (len(passages) // len(batch))
        return float(cross_entropy(queries @ passages.T / SHARPNESS, targets))

    return loss


def _decoder(model: Model, rule: Rule, loading: Loading) -> Callable[[Sequence[Any]], float]:
    tokenizer, decoder = _read(model, loading, causal=True)
    end, padding = tokenizer.eos_token_id, tokenizer.pad_token_id
    if end is None or padding is None:
        raise BadInput(f"{model.spec.name} has no end or padding token, which the loss of decoders needs: add it")

    def row(each: Written) -> tuple[list[int], list[int]]:
        ids = [*tokenizer(f"{each.input} {each.output}")["input_ids"], end]
        before = len(tokenizer(each.input)["input_ids"])
        labels = [_IGNORED] * before + ids[before:]
        if all(label == _IGNORED for label in labels[1 : rule.max_input_length]):
            raise BadInput(
                f"the input {each.input[:40]!r} has {before:,} tokens, and nothing of its output is within the "
                f"{rule.max_input_length:,} that are kept: raise --max-input-length"
            )
        return ids[: rule.max_input_length], labels[: rule.max_input_length]

    def loss(batch: Sequence[Written]) -> float:
        rows = [row(each) for each in batch]
        longest = max(len(ids) for ids, _ in rows)
        ids = torch.tensor([[*its, *[padding] * (longest - len(its))] for its, _ in rows], device=loading.device)
        labels = torch.tensor([[*its, *[_IGNORED] * (longest - len(its))] for _, its in rows], device=loading.device)
        logits = decoder(input_ids=ids, attention_mask=(ids != padding).long(), use_cache=False).logits
        return float(cross_entropy(logits[:, :-1].float().flatten(0, 1), labels[:, 1:].flatten()))

    return loss


def _reranker(model: Model, rule: Rule, loading: Loading) -> Callable[[Sequence[Any]], float]:
    scorer = replace(model, spec=replace(model.spec, dtype="fp32")).load(
        device=loading.device,
        batch_size=None,
        trust_remote_code=loading.trust_remote_code,
        allow_pickle=loading.allow_pickle,
        backend="torch",
    )

    def loss(batch: Sequence[Ranked]) -> float:
        pairs = [(each.query, text) for each in batch for text in (each.positive, *each.negatives)]
        scores = torch.tensor(cast("Scorer", scorer).score(pairs)).float().reshape(len(batch), -1)
        return float(cross_entropy(scores, torch.zeros(len(batch), dtype=torch.long)))

    return loss


_LOSSES: Mapping[Kind, Callable[[Model, Rule, Loading], Callable[[Sequence[Any]], float]]] = {
    "encoder": _encoder,
    "decoder": _decoder,
    "reranker": _reranker,
}


def _read(model: Model, loading: Loading, *, causal: bool) -> tuple[Any, Any]:
    """Tokenizer and model of transformers in fp32, adapters merged."""
    found = model.checkpoint
    if found is None:
        raise BadInput(f"{model.spec.name} is not read from files, and cannot be mixed: name a checkpoint")
    directory = with_weights(found, allow_pickle=loading.allow_pickle)
    auto_class = transformers.AutoModelForCausalLM if causal else encoder_class(read_config(directory))
    its = replace(loading, adapters=tuple(each.transformer for each in found.adapters), backend="torch")
    tokenizer, read, _ = read_pretrained(auto_class, replace(model.spec, dtype="fp32"), directory, its)
    return tokenizer, read
