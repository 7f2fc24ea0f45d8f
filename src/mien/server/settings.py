"""The settings of a server, and the limits for every client."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import ConfigError
from ..shown import brief

__all__ = ["LOOPBACK", "Limits", "Settings"]

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
"""The names by which a browser on the same machine calls the server."""
MOST = 1_000_000
SHIPPED = ("default", "small", "ferplus")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The limits, so that no client can take resources that others need."""

    body_mb: int = 20
    """Bytes of one request with pictures."""
    video_mb: int = 100
    """Bytes of one video, which is in memory while it is processed."""
    megapixels: int = 12
    """Of one picture."""
    files: int = 32
    """Pictures in one request."""
    faces: int = 64
    """Faces of one picture; if there are more, those with the highest score count."""
    queue: int = 64
    """Accepted requests at a time: being received, waiting, or in work. The next one is refused (429)."""
    in_flight_mb: int = 256
    """Bytes of bodies in memory at a time, of all requests together, without videos."""
    videos: int = 2
    """Videos at a time."""
    video_s: int = 600
    """Seconds of a video that are processed."""
    sockets: int = 8
    """Cameras at a time."""
    frame_mb: int = 2
    """Bytes of one frame of a camera."""
    header_s: float = 10.0
    """Seconds until a request's header must have arrived."""
    body_s: float = 30.0
    """Seconds until its body must have arrived; for a video ten times as many."""
    wait_s: float = 10.0
    """Seconds in the queue; a request that waited longer is answered with 504, and the model never sees it."""
    answer_s: float = 60.0
    """Seconds for the work, and for a client to take each part of its answer."""
    idle_s: float = 60.0
    """Seconds after which a camera that sends nothing is disconnected."""
    grace_s: int = 30
    """Seconds for accepted work when the server stops."""
    connections: int = 1000

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 0 < value <= MOST:
                raise ConfigError(f"{name} is more than 0 and at most {MOST:,}; got {brief(value)}.")

    @property
    def pixels(self) -> int:
        """Of one picture."""
        return self.megapixels * 1_000_000


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of a server."""

    models: Sequence[str] = SHIPPED
    """Files, or names of models that come with mien; the first is the default."""
    folder: Path | None = None
    """A folder: every `*.onnx` in it is served under its name, and reloaded when it is replaced."""
    detector: str = "default"
    workers: int = 0
    """Threads that classify pictures; 0 takes as many as the machine has cores."""
    hosts: Sequence[str] = ()
    """Names besides those of the loopback under which the server may be called."""
    origins: Sequence[str] = ()
    """Addresses of other pages that may use the server from a browser, such as https://example.org."""
    keys: Path | None = None
    """A file with the hashes of the keys that clients must give."""
    access_log: bool = False
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if not 0 <= self.workers <= 256:
            raise ConfigError(f"Workers are 1 to 256, or 0 for one a core; got {brief(self.workers)}.")
        if self.folder is not None and not self.folder.is_dir():
            raise ConfigError(f"--models takes a folder with NAME.onnx files; {self.folder} is none.")
        for origin in self.origins:
            scheme, _, host = origin.partition("://")
            if scheme not in ("http", "https") or not host or "/" in host:
                raise ConfigError(
                    f"An origin is a scheme and a host, such as https://example.org; got {brief(origin)}."
                )

    @property
    def threads(self) -> int:
        """Workers, counted."""
        return self.workers or cores()


def cores() -> int:
    """Of the machine, that this process may use."""
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed else os.cpu_count() or 1
