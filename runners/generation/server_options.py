"""Flags of benchmarks whose models may run behind a server. Imported for every --help: nothing heavy here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flagbench import BadInput
from flagbench.files import MIB, parse_json
from flagbench.flags import flag, flags_of
from flagbench.runners.arguments import positive, seconds, size

if TYPE_CHECKING:
    from flagbench.models.servers.http import RateLimit


@dataclass(frozen=True)
class ServerLimits:
    """How a server is asked, and what is waited for and read of it. None of it moves a score.

    Attributes:
        concurrency: Concurrent requests to the server.
        requests_a_minute: Largest number of requests per minute; None for any.
        request_timeout: Seconds of a whole request.
        body_timeout: Seconds from the first byte of a reply's body to its last.
        reply_size: Bytes of a reply at most, decompressed.
    """

    concurrency: int = flag(4, "concurrent requests to the server", metavar="N", parse=positive)
    requests_a_minute: int | None = flag(
        None, "requests per minute to the server", shown="any number", metavar="N", parse=positive
    )
    request_timeout: float = flag(
        300.0, "seconds that a whole request to the server may take", shown="300", metavar="SECONDS", parse=seconds
    )
    body_timeout: float = flag(
        10.0,
        "seconds from the first byte of a reply's body to its last; more for servers that send blanks while they work",
        shown="10",
        metavar="SECONDS",
        parse=seconds,
    )
    reply_size: int = flag(
        4 * MIB, "largest reply of the server, decompressed", shown="4MiB", metavar="SIZE", parse=size
    )

    def rate_limit(self) -> RateLimit:
        """The same as the client of a server takes it."""
        from flagbench.models.servers.http import RateLimit

        return RateLimit(
            concurrency=self.concurrency,
            per_minute=float(self.requests_a_minute or 0),
            timeout=self.request_timeout,
            body_timeout=self.body_timeout,
            largest_reply=self.reply_size,
        )


@dataclass(frozen=True)
class ServerOptions(ServerLimits):
    """The server that runs the model under evaluation.

    Attributes:
        api_base: Address of an OpenAI-compatible server that runs the model; None for a model of one's own.
        api_extra: Additional fields of every request, as JSON text; empty for none.
    """

    api_base: str | None = flag(
        None,
        "address of an OpenAI-compatible server that runs MODEL; its key is read from FLAGBENCH_API_KEY",
        shown="none",
        metavar="URL",
    )
    api_extra: str = flag("", "additional fields of every request to the server, as JSON", shown="none", metavar="JSON")

    def check_server(self) -> None:
        """See that there is a server where flags say how it is asked.

        Raises:
            BadInput: There is none.
        """
        flags = [each for each in flags_of(ServerOptions) if each.field != "api_base"]
        given = [each.name for each in flags if getattr(self, each.field) != each.default]
        if given and not self.api_base:
            raise BadInput(
                f"{', '.join(given)}: there is no server that this is for; name one with --api-base, or drop it"
            )

    def extra(self) -> dict[str, Any]:
        """The fields of ``--api-extra``.

        Raises:
            BadInput: It is not a JSON object.
        """
        try:
            fields = parse_json(self.api_extra or "{}")
        except ValueError as error:
            raise BadInput(f"--api-extra {error}: give an object, such as '{{\"top_k\": 1}}'") from error
        if not isinstance(fields, dict):
            raise BadInput("--api-extra is not a JSON object: give one, such as '{\"top_k\": 1}'")
        return fields
