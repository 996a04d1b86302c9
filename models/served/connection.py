"""The connection to a server of embeddings or scores: what it says of itself, and what adapters of both kinds share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from flagbench import UNTOLD, BadInput, ModelFault, counted
from flagbench.models.contract import Tokens
from flagbench.models.served.requests import MOST_TEXTS, Requests
from flagbench.models.served.settings import ServedSettings
from flagbench.models.servers.exchange import one_line
from flagbench.models.servers.http import CLOCK, RATE_LIMIT, Client, Clock, RateLimit, Refused
from flagbench.models.spec import ModelSpec


@dataclass(frozen=True)
class Connection:
    """How a server is asked. None of it moves a score.

    Attributes:
        rate_limit: How often.
        as_base64: Vectors come in base64 where the server has a choice, which is less than half as long.
        texts: Texts of a request; None for ``MOST_TEXTS``, or fewer where the server says so.
    """

    rate_limit: RateLimit = RATE_LIMIT
    as_base64: bool = False
    texts: int | None = None


@dataclass(frozen=True)
class Info:
    """What a text-embeddings-inference says of itself (``GET /info``); nothing of other servers.

    Attributes:
        model: The model's name there.
        revision: Commit of its weights; empty where it does not know.
        tokens: Where it cuts a text; 0 where that is not known.
        texts: Of a request at most; 0 where that is not known.
        scores: Whether it scores pairs; None where that is not known.
        dtype: Of the weights.
    """

    model: str = ""
    revision: str = ""
    tokens: int = 0
    texts: int = 0
    scores: bool | None = None
    dtype: str = ""

    @classmethod
    def of(cls, answer: Any) -> Info:
        """As ``/info`` answers; what is not as documented is not known."""
        said: Mapping[str, Any] = answer if isinstance(answer, Mapping) else {}

        def text(name: str) -> str:
            value = said.get(name)
            return one_line(value) if isinstance(value, str) else ""

        def count(name: str) -> int:
            value = said.get(name)
            return value if type(value) is int and 0 < value < 1 << 31 else 0

        kinds = said.get("model_type")
        known = set(kinds) & {"embedding", "reranker"} if isinstance(kinds, Mapping) else set()
        return cls(
            text("model_id"),
            text("model_sha"),
            count("max_input_length"),
            count("max_client_batch_size"),
            "reranker" in known if known else None,
            text("model_dtype"),
        )


class Connected:
    """A model behind a server, connected.

    Attributes:
        spec: Its settings.
        odd: What is odd about the server, in one line; empty where nothing is known of it.
        info: What the server says of itself.
        dimension: Numbers of a vector; 0 before the first.
        tokenizer: The model's, by which the tokens that the server counts are checked; None where it is not known.
    """

    device = "server"
    backend = "api"

    def __init__(self, spec: ModelSpec, connection: Connection | None = None, clock: Clock = CLOCK) -> None:
        """Connect to nothing yet.

        Args:
            spec: With ``ServedSettings``, which have the url.
            connection: How the server is asked; None for the default.
            clock: What time is.

        Raises:
            BadInput: The key cannot be sent.
        """
        self.spec = spec
        self.connection = connection or Connection()
        self.own = spec.own_as(ServedSettings)
        self.odd = ""
        self.info = Info()
        self.dimension = 0
        self.tokenizer: Tokens | None = None
        self.lanes = self.connection.rate_limit.concurrency
        self.client = Client(self.own.url, spec.name, rate_limit=self.connection.rate_limit, clock=clock, fix=self._fix)

    @cached_property
    def requests(self) -> Requests[Any]:
        """What is sent of many texts; what a server refused once is not tried again."""
        return Requests(self.connection.texts or min(MOST_TEXTS, self.info.texts or MOST_TEXTS))

    @property
    def usage(self) -> Counter[str]:
        """Counts of the calls: ``requests`` (failed ones too), ``texts``, ``prompt_tokens`` as the server says, and
        where it says fewer than there are ``cut_requests`` and ``cut_tokens``.
        """
        return self.client.usage

    @property
    def notes(self) -> tuple[str, ...]:
        """What a result says of the server."""
        cut, limit = self.info.tokens, self.spec.passage_max_length
        said = (
            [f"the server cuts texts at {cut:,} tokens, the model's settings at {limit:,}"]
            if cut < limit and cut
            else []
        )
        if requests := self.usage["cut_requests"]:
            fewer = counted(self.usage["cut_tokens"], "token")
            said.append(
                f"the server cuts texts: in {counted(requests, 'request')} it counted {fewer} fewer than there are"
            )
        return tuple(said)

    def close(self) -> None:
        """Give up what is on its way, and close the connections."""
        self.client.close()

    def check(self) -> None:
        """Ask the server what it is, before any text: one request, never repeated.

        Raises:
            BadInput: No server answers there, it does not take the key, is not ready, or has another model.
        """
        if self.own.interface == "tei":
            self.info = Info.of(self.client.get("info"))
            self._check_info()
        elif self.own.interface == "openai":
            odd = self.client.unlisted(self.own.model)
            self.odd = odd and f"{odd}: name it with --api-model"

    def _check_info(self) -> None:
        info, revision = self.info, self.spec.revision
        if info.scores is not None and info.scores != (self.spec.ability == "score"):
            does = "scores pairs" if info.scores else "gives vectors"
            raise BadInput(f"{self.client.url} has {info.model}, which {does}: name a server of {self.spec.name}")
        if info.revision and revision != UNTOLD and info.revision != revision:
            raise BadInput(
                f"{self.client.url} has revision {info.revision} of {info.model}, and not {revision}: name a server of "
                "that one, or correct --api-revision"
            )
        self.odd = "; ".join(self.notes)

    def refused(self, text: str, refusal: Refused) -> BadInput:
        """What is said of a text that is refused although it is sent alone."""
        return BadInput(
            f"{refusal}; the text that it refuses has {len(text):,} characters and begins '{one_line(text[:40])}': if "
            "it is too long, have the server cut it (a field of --api-extra, or a setting of the server)"
        )

    def check_length(self, given: int) -> None:
        """See that vectors are all of one length.

        Raises:
            ModelFault: They are not.
        """
        self.dimension = self.dimension or given
        if given != self.dimension:
            raise ModelFault(
                f"{self.spec.name}: the server gives vectors of {given} numbers, and gave {self.dimension} before: are "
                "there several models behind the address?"
            )

    def _fix(self, status: int, message: str) -> str:
        """Advice against a refusal."""
        if status == 404:
            return (
                f"is '{self.own.model}' its name there (--api-model), is its interface {self.own.interface} "
                "(--api-kind), and does the url end as it should?"
            )
        return f"does it take the fields of --api-kind {self.own.interface}, and of --api-extra?"
