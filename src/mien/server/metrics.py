"""The counters in Prometheus' text format. They contain nothing of a picture, a client or a file name."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.process_collector import ProcessCollector

__all__ = ["Metrics"]

SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
FACES = (0, 1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """The counters of one server."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter("mien_requests", "Requests answered.", ["route", "status"], registry=self._registry)
        self._seconds = Histogram(
            "mien_request_seconds", "From a request's header to the end of its answer.", ["route"],
            buckets=SECONDS, registry=self._registry,
        )  # fmt: skip
        self._batch = Histogram(
            "mien_batch_faces", "Faces in a pass of the network.", buckets=FACES, registry=self._registry
        )
        self._events = Counter(
            "mien_dropped", "Work that the model never saw, by why.", ["why"], registry=self._registry
        )
        ProcessCollector(registry=self._registry)

    def watch(self, name: str, what: str, value: Callable[[], float]) -> None:
        """Register a number that is read on request."""
        Gauge(name, what, registry=self._registry).set_function(value)

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count an answered request."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def count(self, event: str, value: float) -> None:
        """Count an event of the batcher: the faces of a batch, or dropped work."""
        if event == "batch":
            self._batch.observe(value)
        else:
            self._events.labels(event).inc(value)

    def text(self) -> bytes:
        """All counters as text."""
        return generate_latest(self._registry)
