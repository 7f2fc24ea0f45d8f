"""Whatever the description of the server allows, and what it does not: codes and shapes are the described ones."""

from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the server needs pip install 'mien[serve]'")
schemathesis = pytest.importorskip("schemathesis", reason="needs pip install schemathesis")

from hypothesis import HealthCheck, given, settings  # noqa: E402

from serving import Running, running, settings_for  # noqa: E402
from tiny_bundle import write_bundle  # noqa: E402

pytestmark = [pytest.mark.long, pytest.mark.filterwarnings("default")]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    model = write_bundle(tmp_path_factory.mktemp("model") / "tiny.onnx")
    with running(settings_for(model)) as server:
        yield server


@schemathesis.serializer("image/*", "video/*")  # type: ignore[untyped-decorator, unused-ignore]
def as_it_is(context: object, value: Any) -> bytes:
    """A picture or a video is its bytes."""
    raw = getattr(value, "data", value)
    return raw if isinstance(raw, bytes) else str(raw).encode()


PATIENT = settings(
    max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None
)


def test_codes_are_the_described_ones(server: Running) -> None:
    """Schemathesis' own plugin does not know this pytest, so its operations are tried one by one here."""
    described = schemathesis.openapi.from_url(f"{server.address}openapi.json")
    operations = [found.ok() for found in described.get_all_operations()]
    assert len(operations) >= 7
    for operation in operations:
        codes = {int(code) for code in operation.definition.raw["responses"]}
        seen = _codes(operation)
        assert seen <= codes | {400, 415, 422}, f"{operation.label}: {sorted(seen - codes)}"
        assert 500 not in seen


def _codes(operation: Any) -> set[int]:
    """What the server answers to whatever its description allows."""
    seen: set[int] = set()

    @PATIENT
    @given(case=operation.as_strategy())
    def ask(case: Any) -> None:
        seen.add(case.call().status_code)

    ask()
    return seen
