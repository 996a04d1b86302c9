"""A server and a checkpoint are given the same texts; what differs is measured, and explained where a cause is true."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from flagbench import BadInput, counted
from flagbench.models.contract import Adapter
from flagbench.models.loading.resolve import Model
from flagbench.models.served.encoder import ServedEncoder
from flagbench.models.served.scorer import ServedScorer
from flagbench.models.served.settings import ServedSettings
from flagbench.models.servers.http import NoAnswer, Refused
from flagbench.models.spec import ModelSpec
from flagbench.results.server_match import Group, Served, ServerMatch
from flagbench.runners.matching.causes import Lengths, causes_of, is_other_model, lengths_of
from flagbench.runners.matching.reference import AS_SET, EncoderReference, Reference, ScorerReference, Values
from flagbench.runners.matching.search import Search
from flagbench.runners.matching.texts import REPEATED, Sample, long_texts, short_pairs, short_texts

TOLERANCE = 1e-4
"""What a cosine may lack of 1. Half precision stays below: measured with all-MiniLM-L6-v2, fp16 moves it by 1e-6 and
bf16 by 6e-5; a wrong pooling, instruction or length moves that of some text by more than 1e-3."""

SCORE_TOLERANCE = 0.01
"""What a score may differ by, as a part of 1 + the score: half precision moves logits by some thousandths."""

LONGEST = 2048
"""Tokens of the longest text that is sent without a word: a longer one takes minutes on a processor."""

_UNLIKE = 1e-3
"""Distance of two replies to one text that no number format makes: that of bf16 in other batches is some 1e-4."""


@dataclass
class Replies:
    """What a server gave for the samples.

    Attributes:
        values: A row for each sample that it gave anything for.
        rows: Which these are.
        spread: Largest distance of two replies for one text.
        refused: Tokens of the shortest sample that it refuses, or fails on; 0 for none.
        fails: Whether it fails on that.
        counted: Tokens that it counted of the longest sample that it took; 0 where it does not say.
    """

    values: Values
    rows: list[int]
    spread: float = 0.0
    refused: int = 0
    fails: bool = False
    counted: int = 0

    @property
    def unusable(self) -> str:
        """Why they are no model's, in a sentence, so that nothing explains them; empty where they may be."""
        if self.spread > _UNLIKE:
            return (
                "the server's own replies to one and the same text are unlike each other: are there several models "
                "behind the address, or are replies mixed up?"
            )
        # Probabilities of pairs that are all alike would be near a constant.
        if self.values.shape[1] == 1 and len(self.values) > 1 and not np.ptp(self.values):
            return "the server gives one score for all pairs"
        return ""


def match(
    model: Model,
    load: Callable[[Model], Adapter],
    server: ServedEncoder | ServedScorer,
    *,
    tolerance: float | None = None,
    longest: int | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> ServerMatch:
    """Compare a server with a checkpoint.

    Args:
        model: The checkpoint, found.
        load: Loads a model.
        server: Connected.
        tolerance: What a cosine may lack of 1, or a score differ by; None for ``TOLERANCE`` or ``SCORE_TOLERANCE``.
        longest: Tokens of the longest text; None for half more than the checkpoint keeps, up to ``LONGEST``.
        say: Told what is done next.

    Raises:
        BadInput: The server refuses what is sent, but for texts over the limit, or the checkpoint cannot be loaded.
        ModelFault: The server fails, or gives nothing usable.
    """
    encodes = isinstance(server, ServedEncoder)
    say(f"loading {model.spec.name}")
    reference = _reference(model, load, server)
    reference.samples = _samples(reference, longest, encodes=encodes)
    say(f"sending {counted(len(reference.samples) + REPEATED, 'text')} to {server.client.url}")
    replies = _ask(reference, server)
    say("comparing, and looking for the cause of what differs")
    served = np.full((len(reference.samples), replies.values.shape[1]), np.nan)
    served[replies.rows] = replies.values
    own = server.spec.own_as(ServedSettings)
    search = Search(
        reference,
        served,
        replies.rows,
        floor=4 * replies.spread if replies.spread <= _UNLIKE else 0.0,
        asked_width=bool(own.dimensions),
        # This one is asked not to normalise, as it does without a word whatever the checkpoint says.
        raw_lengths=own.interface == "tei" or not model.spec.gives_unit_vectors,
    )
    return _report(reference, search, server, replies, tolerance, encodes=encodes)


def _reference(model: Model, load: Callable[[Model], Adapter], server: ServedEncoder | ServedScorer) -> Reference:
    kind = EncoderReference if isinstance(server, ServedEncoder) else ScorerReference

    def under(spec: ModelSpec) -> Any:
        return load(replace(model, spec=spec))

    return kind(model.spec, under, server.spec.own_as(ServedSettings).instructions)


def _samples(reference: Reference, longest: int | None, *, encodes: bool) -> list[Sample]:
    limit, query = reference.spec.passage_max_length, None if encodes else "what is in the boxes"
    instructed = bool(reference.spec.instruction("", "Retrieval", "query"))
    short = short_texts(instructed=instructed) if encodes else short_pairs()
    if not reference.respecified:
        return short
    short = [
        replace(each, tokens=reference.tokens(reference.sent(each) if encodes else each.text, each.query))
        for each in short
    ]
    most = longest or min(limit + limit // 2, LONGEST)
    return [*short, *long_texts(limit, most, lambda text: reference.tokens(text, query), query)]


def _ask(reference: Reference, server: ServedEncoder | ServedScorer) -> Replies:
    """Send the samples: all at once but those over the limit, which go alone, as a server may refuse them."""
    samples, limit = reference.samples, reference.spec.passage_max_length

    def sent(rows: Sequence[int]) -> Values:
        if isinstance(server, ServedEncoder):
            dense = server.encode([reference.sent(samples[row]) for row in rows], role="symmetric").dense
            assert dense is not None
            return dense.astype(np.float64)
        pairs = [(reference.sent(samples[row]), samples[row].text) for row in rows]
        return server.score(pairs).astype(np.float64)[:, None]

    whole = [row for row, sample in enumerate(samples) if not sample.long or sample.tokens <= limit]
    found = [sent(whole)]
    spread = reference.distances(sent(whole[:REPEATED]), found[0][:REPEATED]).max()
    replies = Replies(found[0], list(whole), float(spread))
    for row in range(len(samples)):
        if row in whole:
            continue
        before = server.usage["prompt_tokens"]
        try:
            found.append(sent([row]))
        except Refused:  # it is not of the text: a key, an address
            raise
        except (BadInput, NoAnswer) as error:  # the server refuses what it would have to cut, or fails on it
            replies.refused, replies.fails = samples[row].tokens, isinstance(error, NoAnswer)
            if replies.fails:
                sent(whole[:1])  # which is of this text only if a short one is answered still
            break
        replies.rows.append(row)
        replies.counted = server.usage["prompt_tokens"] - before
    replies.values = np.concatenate(found)
    return replies


def _report(
    reference: Reference,
    search: Search,
    server: ServedEncoder | ServedScorer,
    replies: Replies,
    tolerance: float | None,
    *,
    encodes: bool,
) -> ServerMatch:
    own = server.spec.own_as(ServedSettings)
    away = search.distances(replies.rows, AS_SET)
    shown = np.minimum(1 - away, 1.0) if encodes else np.sqrt(2 * away)
    allowed = tolerance if tolerance is not None else TOLERANCE if encodes else SCORE_TOLERANCE
    groups = tuple(_groups(reference, replies.rows, shown.tolist(), least=encodes))
    worst = (min if encodes else max)(group.worst for group in groups)
    explanation = search.explain()
    lengths = lengths_of(reference, search, explanation, replies.rows) if encodes else Lengths()
    causes = causes_of(reference, search, explanation, lengths)
    same = (worst >= 1 - allowed if encodes else worst <= allowed) and not lengths.differ and not replies.unusable
    left = None
    if explanation and causes:
        left = 1 - explanation.distance if encodes else float(np.sqrt(2 * explanation.distance))
    if explanation is None and not replies.unusable and (other := is_other_model(reference, search)):
        causes = [other]
    unexplained = ""
    if replies.unusable:
        unexplained = replies.unusable
    elif explanation is None:
        unexplained = "" if causes else _unexplained(search)
    elif lengths.unexplained or not (same or causes):
        unexplained = lengths.unexplained or "it is the noise of single precision, of which the tolerance allows less"
    return ServerMatch(
        name=reference.spec.name,
        revision=reference.spec.revision,
        served=Served(own.url, own.interface, own.model, server.spec.revision),
        measure="cosine" if encodes else "score",
        tolerance=allowed,
        groups=groups,
        worst=worst,
        lengths_differ=lengths.differ,
        same=same,
        unusable=bool(replies.unusable),
        settings=reference.spec.as_dict(),
        asked=own.of_vectors()["served"],
        causes=tuple(causes),
        left=left,
        unexplained=unexplained,
        notes=tuple(_notes(reference, replies)),
        texts=server.usage["texts"],
        requests=server.usage["requests"],
        finished=datetime.datetime.now(tz=datetime.UTC).isoformat(timespec="seconds"),
    )


def _groups(reference: Reference, rows: Sequence[int], shown: Sequence[float], *, least: bool) -> list[Group]:
    by_name: dict[str, list[float]] = {}
    for row, value in zip(rows, shown, strict=True):
        by_name.setdefault(reference.samples[row].group, []).append(value)
    worst = min if least else max
    return [Group(name, len(its), worst(its), float(np.median(its))) for name, its in by_name.items()]


def _unexplained(search: Search) -> str:
    if search.of_short:
        return (
            "short texts are explained, and long ones are not by any length at which they could be cut"
            if search.reference.respecified
            else "long texts are not explained"
        )
    tried = "instructions, poolings, case, white space and half precision"
    if not search.reference.respecified:
        tried = "instructions, case, white space and half precision (models of its family run under no other pooling)"
    return f"no one and no two of the causes that are tested explain it: {tried}"


def _notes(reference: Reference, replies: Replies) -> list[str]:
    limit = reference.spec.passage_max_length
    longest = max(sample.tokens for sample in reference.samples)
    notes = []
    if replies.refused:
        does = "fails on" if replies.fails else "refuses"
        notes.append(f"the server {does} a text of {replies.refused:,} tokens: longer ones are not compared")
    elif longest and longest <= limit:
        notes.append(
            f"no text is longer than {longest:,} tokens, and the checkpoint keeps {limit:,}: --longest {limit + 100} "
            "compares the whole length"
        )
    if not reference.respecified:
        notes.append("lengths are not compared: models of this family run under no other one")
    if 0 < replies.counted < longest - 1 and not replies.refused:
        notes.append(f"the server counts {replies.counted:,} tokens in a text of {longest:,}")
    return notes
