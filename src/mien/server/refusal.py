"""The answer to a request that cannot be served: a status, one sentence, and the number of the request."""

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["Busy", "Refused"]


class Refused(Exception):
    """Ends a request with a status and a sentence."""

    def __init__(
        self,
        status: int,
        sentence: str,
        *,
        headers: Mapping[str, str] | None = None,
        failures: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        super().__init__(sentence)
        self.status, self.sentence = status, sentence
        self.headers = dict(headers or {})
        self.failures = list(failures)


class Busy(Refused):
    """Too much at a time (429): the same request may succeed after some seconds."""

    def __init__(self, sentence: str, after_s: int) -> None:
        super().__init__(429, f"{sentence} Try again in {after_s} s.", headers={"Retry-After": str(after_s)})
