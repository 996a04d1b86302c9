"""The memory that a prompt takes, before it runs out: weights, keys and values, and the activations of one piece."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flagbench import BadInput
from flagbench.models.device import free_memory
from flagbench.models.generators.prefix import PREFILL

GIB, _MIB = 1 << 30, 1 << 20


@dataclass(frozen=True)
class Memory:
    """Bytes that a language model takes.

    Attributes:
        weights: Of the loaded model.
        token: Keys and values of one token, of all layers; 0 where that is not known.
        piece: Activations of one forward pass over a piece of a prompt, at most.
    """

    weights: int
    token: int
    piece: int

    @classmethod
    def of(cls, model: Any, *, grows: bool) -> Memory:
        """Work it out from a model of transformers.

        Args:
            model: Loaded.
            grows: Its state is keys and values of each token (``prefix.grows``).
        """
        weights = sum(each.numel() * each.element_size() for each in (*model.parameters(), *model.buffers()))
        size = next(model.parameters()).element_size()
        config = model.config.get_text_config()
        hidden, heads = (int(getattr(config, name, 0) or 0) for name in ("hidden_size", "num_attention_heads"))
        if not (grows and hidden and heads):
            return cls(weights, 0, 0)
        wide = max(hidden, int(getattr(config, "intermediate_size", 0) or 0))
        shared = int(getattr(config, "num_key_value_heads", 0) or heads)
        head = int(getattr(config, "head_dim", 0) or hidden // heads)
        layers = int(config.num_hidden_layers)
        # The state, its norm and the projections of attention, and the three matrices of a feed-forward layer.
        piece = PREFILL * (6 * hidden + 3 * wide) * size + 4 * int(config.vocab_size)
        return cls(weights, 2 * layers * shared * head * size, piece)

    def prompt(self, tokens: int) -> int:
        """Bytes of a prompt beside the weights: its keys and values, those of one layer twice while they grow."""
        return self.token * tokens + self.piece

    def longest(self, free: int) -> int:
        """Tokens of the longest prompt that fits into so many bytes."""
        return max(0, free - self.piece) // self.token


def fitting(memory: Memory, tokens: int, device: str, *, held: int = 0, name: str) -> str:
    """Compare what a prompt takes with what is free.

    Args:
        memory: Of the loaded model.
        tokens: Of the longest prompt, with its answer.
        device: As torch names it.
        held: Tokens whose keys and values are in memory already, and will go.
        name: Of the model.

    Returns:
        One line: what the weights take, what the prompt takes beside them, and what is free.

    Raises:
        BadInput: It does not fit; the line names the length that would.
    """
    weights = f"{name}: {_size(memory.weights)} of weights"
    if not memory.token:
        return f"{weights}; what a prompt takes is not known"
    needed, free = memory.prompt(tokens), free_memory(device)
    line = f"{weights}, {_size(needed)} for a prompt of {tokens:,} tokens"
    if not free:
        return f"{line}; what is free on {device} is not known"
    free += held * memory.token
    if needed > free:
        raise BadInput(
            f"{line}, and {_size(free)} are free on {device}: up to {memory.longest(free):,} tokens fit; use "
            "shorter prompts, a device with more memory, or a smaller --dtype"
        )
    return f"{line}, {_size(free)} free on {device}"


def _size(count: int) -> str:
    """Bytes in GiB, and what is less than one in MiB."""
    return f"{count / GIB:,.1f} GiB" if count >= GIB else f"{count / _MIB:,.1f} MiB"
