"""Rooms and floors (docs/architecture.md): a module imports only lower floors, or what stands before it on its own."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "mien"

FLOORS: list[str] = [
    "version shown words errors reading arrays movement planes labels media crop config facts temporary exchange"
    " atomic locks progress"
    " machine calibration metrics statistics",
    "data.samples data.store data.corpora data.drawn data.prepare data.audit data.findings data.gallery"
    " data.clean data.join"
    " data.deal data.splits data.blocks data.window data.batches data.augment data classifier"
    " models faces card familiar modelfile"
    " bundle data.teach session container video"
    " data.flow spot data.clips images predict micro summary annotate explain.occlusion",
    "runs origins device ranks chunks hooks checkpoint mirror ensembles optimise losses waiting threads space signals"
    " inference from_onnx start freezing initial material train committee room methods stages to_onnx fit_softnet"
    " joined_network export",
    "rows compare joining engines loggers tune examine explain",
    "judge",
    "report",
    "__init__ web server cli __main__",
]
"""From the ground up. A name stands for a module, or for a package with all that is in it."""

PLACES = {name: (number, place) for number, floor in enumerate(FLOORS) for place, name in enumerate(floor.split())}


def modules() -> dict[str, Path]:
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)] = path
    return found


MODULES = modules()


def room(module: str) -> str:
    """The longest listed name that holds the module."""
    parts = module.split(".")
    names = [".".join(parts[:n]) for n in range(len(parts), 0, -1)]
    return next((name for name in names if name in PLACES), "")


def imports(module: str) -> set[str]:
    """All modules of mien that a module imports, wherever in its text the import stands."""
    path = MODULES[module]
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {a.name.removeprefix("mien").lstrip(".") for a in node.names if a.name.split(".")[0] == "mien"}
        elif isinstance(node, ast.ImportFrom):
            start = node.module or ""
            if node.level:
                above = ["mien", *package.split(".")] if package not in ("", "__init__") else ["mien"]
                start = ".".join([*above[: len(above) - node.level + 1], *([start] if start else [])])
            if start.split(".")[0] == "mien":
                base = start.removeprefix("mien").lstrip(".")
                for alias in node.names:
                    inner = f"{base}.{alias.name}".lstrip(".")
                    found.add(inner if inner in MODULES else base)
    return {name or "__init__" for name in found}


@pytest.mark.parametrize("module", MODULES)
def test_every_module_has_a_room(module: str) -> None:
    assert room(module), f"{module} has no place in FLOORS. Give it one, here and in docs/architecture.md."


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_down(module: str) -> None:
    here = room(module)
    wrong = {name for name in imports(module) if room(name) != here and PLACES[room(name)] >= PLACES[here]}
    assert not wrong, f"{module} imports {sorted(wrong)}, which do not stand below it."


def test_the_parser_sees_every_kind_of_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.py"
    path.write_text(
        "import mien.runs\nfrom mien import crop\nfrom ..labels import SEVEN\nfrom .store import Store\n"
        "def f():\n    from mien.models import vgg\n    from .. import __version__\n    import torch\n"
    )
    monkeypatch.setitem(MODULES, "data.x", path)
    assert imports("data.x") == {"runs", "crop", "labels", "data.store", "models.vgg", "__init__"}


def test_there_are_no_circles() -> None:
    graph = {module: imports(module) - {module} for module in MODULES}
    assert list(TopologicalSorter(graph).static_order())


def test_there_is_no_room_for_leftovers() -> None:
    words = {word for module in MODULES for word in module.split(".")}
    assert not words & {"utils", "util", "common", "helpers", "misc", "core", "base"}


def test_rooms_are_not_listed_twice() -> None:
    names = [name for floor in FLOORS for name in floor.split()]
    assert len(names) == len(set(names))
