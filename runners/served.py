"""Flags of embedders and rerankers behind a server. Imported for every --help: nothing heavy here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flagbench import BadInput
from flagbench.files import MIB
from flagbench.flags import flag
from flagbench.models.served.settings import KINDS, SIDES, Kind, Side
from flagbench.runners.arguments import positive, seconds, size
from flagbench.runners.generation.server_options import ServerOptions

if TYPE_CHECKING:
    from flagbench.models.loading.overrides import Overrides
    from flagbench.models.served.resolve import ServedModel


@dataclass(frozen=True)
class ServedOptions(ServerOptions):
    """The servers that embed the texts, and that re-rank what was retrieved.

    Attributes:
        api_base: Address of the server that runs MODEL; None for a model of one's own.
        api_kind: Its interface.
        api_model: MODEL's name there; None for MODEL.
        api_revision: Of the weights, where the user knows it.
        api_instructions: Who puts instructions before texts.
        api_dimensions: Numbers of a vector that the server is asked for; None for all.
        api_format: How it sends vectors, which moves no score.
        reranker_api_base: Address of the server that runs the reranker.
        reranker_api_kind: Its interface.
        reranker_api_model: The reranker's name there; None for its name here.
        may_be_down: Whether the servers need not be there yet, as nothing is sent.
    """

    api_base: str | None = flag(
        None,
        "address of the server that runs MODEL; its key is read from FLAGBENCH_API_KEY",
        shown="none",
        metavar="URL",
    )
    api_kind: Kind = flag(
        "openai",
        "interface of the server: openai (/v1/embeddings), tei (text-embeddings-inference: /embed, /embed_sparse, "
        "/rerank), cohere or jina (/rerank), vllm (/score)",
        choices=KINDS,
    )
    api_model: str | None = flag(None, "name of MODEL on the server", shown="MODEL", metavar="NAME")
    api_revision: str | None = flag(
        None,
        "revision of the weights on the server, a part of what cached vectors are found by",
        shown="what the server says",
        metavar="TEXT",
    )
    api_instructions: Side = flag(
        "client", "who puts instructions before texts: FlagBench, or the server", choices=SIDES
    )
    api_dimensions: int | None = flag(
        None, "dimensions that the server is asked for", shown="all", metavar="N", parse=positive
    )
    api_format: str = flag("float", "how vectors are sent", choices=("float", "base64"))
    reranker_api_base: str | None = flag(
        None, "address of the server that runs the reranker of --reranker", shown="none", metavar="URL"
    )
    reranker_api_kind: Kind = flag("tei", "interface of that server", choices=KINDS)
    reranker_api_model: str | None = flag(
        None, "name of the reranker on its server", shown="that of --reranker", metavar="NAME"
    )
    body_timeout: float = flag(
        60.0,
        "seconds from the first byte of a reply's body to its last",
        shown="60",
        metavar="SECONDS",
        parse=seconds,
    )
    reply_size: int = flag(
        64 * MIB, "largest reply of the server, decompressed", shown="64MiB", metavar="SIZE", parse=size
    )
    may_be_down: bool = False

    def model(self, name: str, overrides: Overrides, *, as_reranker: bool = False) -> ServedModel:
        """The model behind ``api_base``.

        Args:
            name: As the user calls it.
            overrides: What the user says of it.
            as_reranker: It is to score pairs.

        Raises:
            BadInput: See ``served_model``.
        """
        return self._model(
            name,
            overrides,
            as_reranker=as_reranker,
            url=str(self.api_base),
            kind=self.api_kind,
            model=self.api_model,
            revision=self.api_revision,
            extra=self.extra(),
            dimensions=self.api_dimensions,
            instructions=self.api_instructions,
        )

    def reranker(self, name: str, overrides: Overrides) -> ServedModel:
        """The reranker behind ``reranker_api_base``; see ``model``."""
        return self._model(
            name,
            overrides,
            as_reranker=True,
            url=str(self.reranker_api_base),
            kind=self.reranker_api_kind,
            model=self.reranker_api_model,
        )

    def check(self, reranker: str | None) -> None:
        """Refuse what is said of a server that there is none of.

        Args:
            reranker: The reranker asked for; None for none.

        Raises:
            BadInput: It is.
        """
        plain = ServedOptions()
        of_model = (
            "api_model",
            "api_revision",
            "api_extra",
            "api_kind",
            "api_instructions",
            "api_dimensions",
            "api_format",
        )
        given = [name for name in of_model if getattr(self, name) != getattr(plain, name)]
        if given and not self.api_base:
            raise BadInput(f"--{given[0].replace('_', '-')} is about the server of MODEL: name it with --api-base")
        if self.reranker_api_base and not reranker:
            raise BadInput("--reranker-api-base is the server of a reranker: name that with --reranker")
        of_reranker = ("reranker_api_model", "reranker_api_kind")
        given = [name for name in of_reranker if getattr(self, name) != getattr(plain, name)]
        if given and not self.reranker_api_base:
            flag_ = f"--{given[0].replace('_', '-')}"
            raise BadInput(f"{flag_} is about the server of the reranker: name it with --reranker-api-base")

    def _model(self, name: str, overrides: Overrides, *, as_reranker: bool, **address: Any) -> ServedModel:
        from flagbench.models.served.connection import Connection
        from flagbench.models.served.resolve import Address, served_model

        connection = Connection(self.rate_limit(), as_base64=self.api_format == "base64")
        where = Address(**address, connection=connection, may_be_down=self.may_be_down)
        return served_model(name, where, overrides, as_reranker=as_reranker)
