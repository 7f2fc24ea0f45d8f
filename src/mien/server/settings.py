"""What a server can be told, and the limits that hold for every client. Facts alone."""

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
    """How much of everything; each is there so that no client can take what others need."""

    body_mb: int = 20
    """Of one request with pictures."""
    video_mb: int = 100
    """Of one video; it lies in memory while it is looked at."""
    megapixels: int = 12
    """Of one picture."""
    files: int = 32
    """Pictures in one request."""
    faces: int = 64
    """Of one picture; where there are more, the surest count."""
    queue: int = 64
    """Requests that are taken on at a time: being received, waiting, or in work. The next one is refused (429)."""
    in_flight_mb: int = 256
    """Bodies in memory at a time, all requests together, videos apart."""
    videos: int = 2
    """Videos at a time."""
    video_s: int = 600
    """Of a video, this much is looked at."""
    sockets: int = 8
    """Cameras at a time."""
    frame_mb: int = 2
    """Of one frame of a camera."""
    header_s: float = 10.0
    """Until a request's header has come."""
    body_s: float = 30.0
    """Until its body has come; for a video ten times as long."""
    wait_s: float = 10.0
    """In the queue; what waited longer is answered with 504, and the model never sees it."""
    answer_s: float = 60.0
    """For the work, and until a client has taken each part of its answer."""
    idle_s: float = 60.0
    """A camera that sends nothing is hung up on."""
    grace_s: int = 30
    """For what is in work when the server is told to stop."""
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
    """What a server is told."""

    models: Sequence[str] = SHIPPED
    """Files, or names of models that come with mien; the first is the one that answers unless another is asked for."""
    folder: Path | None = None
    """Every `*.onnx` in it is served under its name, and noticed when it is replaced."""
    detector: str = "default"
    workers: int = 0
    """Threads that look at pictures; 0 takes as many as the machine has cores."""
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
