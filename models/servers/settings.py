"""Settings that only models behind a server have."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self

from flagbench.models.video import VideoSettings


@dataclass(frozen=True, kw_only=True)
class ServerSettings(VideoSettings):
    """Video settings of a model behind a server, and the fields sent to the server.

    Attributes:
        url: Up to and with ``/v1``.
        model: The model's name there.
        images: How frames are sent.
        jpeg: How they are compressed.
        extra: More fields of every request, a JSON object.
        seed: Seed of every request; none is sent when None.
    """

    owner: ClassVar[str] = "a model behind a server"
    title: ClassVar[str] = "models behind a server"

    url: str
    model: str
    images: str
    jpeg: str
    extra: str = "{}"
    seed: int | None = None

    @classmethod
    def of(cls, video: VideoSettings, **wire: Any) -> Self:
        """These settings of a server with those of videos."""
        return cls(**asdict(video), **wire)

    def wire(self) -> dict[str, Any]:
        """Request settings by name; a seed that is not sent is left out."""
        of_videos = {*VideoSettings.names(), *(["seed"] if self.seed is None else [])}
        return {name: getattr(self, name) for name in self.names() if name not in of_videos}

    def as_dict(self) -> dict[str, Any]:
        """Request settings and video settings by name."""
        return super().as_dict() | {"search": self.wire()}
