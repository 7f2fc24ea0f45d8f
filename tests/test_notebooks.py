"""The notebooks run from the first cell to the last, one after the other in one folder, as their texts say."""

import json
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[1] / "docs" / "notebooks"


def cells(name: str) -> list[dict[str, Any]]:
    return list(json.loads((FOLDER / name).read_text(encoding="utf-8"))["cells"])


def code_of(name: str) -> list[str]:
    return ["".join(cell["source"]) for cell in cells(name) if cell["cell_type"] == "code"]


@pytest.mark.long
def test_they_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("compare.ipynb", "read-a-report.ipynb"):
        names: dict[str, Any] = {"__name__": "__main__"}
        for code in code_of(name):
            exec(compile(code, name, "exec"), names)
    printed = capsys.readouterr().out
    assert (tmp_path / "notebook" / "report" / "report.html").is_file()
    assert "compact-s" in printed
    assert "Scores(" in printed


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.ipynb")), ids=lambda path: path.name)
def test_they_hold_no_outputs(path: Path) -> None:
    """Outputs name machines and times, and make every run a change."""
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells(path.name))
