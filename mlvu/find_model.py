"""The model of a run on MLVU: a checkpoint, a built-in baseline, or a model behind a server."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flagbench import UNTOLD, BadInput
from flagbench.mlvu.options import FramesAs, MlvuOptions
from flagbench.models.loading.resolve import Model, resolve_generator
from flagbench.runners.generation.server_options import ServerLimits
from flagbench.runners.request import RunRequest, options_of

if TYPE_CHECKING:
    from flagbench.models.contract import Adapter
    from flagbench.models.video import VideoSettings


@dataclass(frozen=True)
class ServerModel(Model):
    """A model behind a server, and how the server is asked, which moves no score.

    Attributes:
        limits: Of the requests.
    """

    limits: ServerLimits = field(default_factory=ServerLimits)

    def load(self, **_: Any) -> Adapter:
        """Connect, and see that the server is there.

        Raises:
            BadInput: It is not, or it does not take the key.
        """
        from flagbench.models.servers.chat_model import ApiModel, connected

        return connected(ApiModel(self.spec, self.limits.rate_limit()))


def find_model(request: RunRequest, settings: VideoSettings, on_cpu: Callable[[], bool]) -> Model:
    """The model asked for, not loaded.

    Args:
        request: What was asked for.
        settings: How it is to see videos and answer.
        on_cpu: Says whether it will run on the processor.

    Raises:
        BadInput: There is no such model, it sees no videos, or flags contradict one another.
    """
    options = options_of(request, MlvuOptions)
    options.check_server()
    if not options.api_base:
        return resolve_generator(
            request.model,
            request.revision,
            settings,
            request.overrides,
            trust_remote_code=request.trust_remote_code,
            allow_pickle=request.allow_pickle,
            on_cpu=on_cpu,
        )
    if request.overrides.dtype or request.overrides.adapters or request.batch_size:
        raise BadInput("--dtype, --adapter and --batch-size are the server's affair: drop them, or --api-base")
    return server_model(
        request.model,
        options.api_base,
        settings,
        revision=request.revision,
        images=options.frames_as,
        extra=options.extra(),
        limits=options,
    )


def server_model(
    name: str,
    base: str,
    settings: VideoSettings,
    *,
    revision: str | None = None,
    images: FramesAs = "image_url",
    extra: Mapping[str, Any] | None = None,
    limits: ServerLimits,
) -> ServerModel:
    """A model behind an OpenAI-compatible server.

    Args:
        name: As the server calls it.
        base: Its address, up to and with ``/v1``.
        settings: How it is to see videos and answer.
        revision: Of the weights, where the user knows it.
        images: How it gets frames.
        extra: More fields of every request.
        limits: Of the requests.

    Raises:
        BadInput: One of them is not possible.
    """
    from flagbench.models.servers.chat_model import api_model
    from flagbench.models.servers.http import key_line

    spec = api_model(name, base, settings, images=images, extra=extra, revision=revision or UNTOLD)
    evidence = (f"server: {base}, which does not say which weights it runs", key_line())
    return ServerModel(spec, evidence, None, limits=limits)
