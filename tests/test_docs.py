"""The pages keep their word: links lead somewhere, commands parse, examples run, tables are what the scripts print."""

import ast
import importlib
import importlib.util
import itertools
import re
import shlex
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from mien import cli
from mien.config import override, parse_overrides, read_recipe, recipe_names
from mien.data.clips.corpora import CLIP_CORPORA
from mien.data.corpora import CORPORA
from mien.errors import MienError
from mien.models import NETWORKS
from test_architecture import FLOORS

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
NAMES = [page.relative_to(ROOT).as_posix() for page in PAGES]

FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
DIRECTIVE = re.compile(r"^::: (mien[a-z_.]*)$", re.MULTILINE)
INLINE = re.compile(r"`([^`\n]+(?:\n[^`\n]+)?)`")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
SETTING = re.compile(r"^(data|model|train|augment)\.(?!(?:json|safetensors|py)$)[a-z_]+(=.+)?$")
PLACE = re.compile(r"^(src|tests|docs|scripts|benchmarks)/[\w./-]+(::\w+)?$")
DOTTED = re.compile(r"^mien(\.[a-zA-Z_]\w*)+$")
EXAMPLES = {"src/mien/models/tiny.py", "src/mien/data/corpora/toy.py"}
"""Files that a reader is told to write."""
FORBIDDEN = re.compile(
    r"(?<![\w.])/(?:work|home|root|tmp|mnt|Users)/\w|\bsessions?\b|\bagents?\b|\bhelpers?\b|noreply|localhost|\bsandbox\b"
    r"|\b[A-Z]{3,}_[A-Z_]{3,}\b"
)
"""Places and people of one workplace, and placeholders that nobody filled in.

The class `Session` and its module are code, which is not looked at.
"""
DATA_VERBS = ("prepare", "draw", "audit", "teach", "join", "info")
STOPS = {"|", "||", "&&", ";", ">", ">>", "<", "&"}


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def prose_of(page: str) -> str:
    """The page without its code blocks, and without the lines that name a module for the site to document."""
    return DIRECTIVE.sub("", FENCE.sub("", text_of(page)))


def inline(page: str) -> list[str]:
    """The code between single backticks, a line break in it taken as a blank."""
    return [code.replace("\n", " ") for code in INLINE.findall(prose_of(page))]


def commands(page: str) -> Iterator[list[str]]:
    """The words of every command line behind a `$` that calls mien, without comments and what follows a pipe."""
    for info, body in FENCE.findall(text_of(page)):
        if info.strip() not in ("console", "sh", "bash"):
            continue
        for line in body.replace("\\\n", " ").splitlines():
            if line.startswith("$ "):
                yield from mien_commands(shlex.split(line[2:], comments=True))


def mien_commands(words: list[str]) -> Iterator[list[str]]:
    command: list[str] = []
    for word in [*words, ";"]:
        if word not in STOPS:
            command.append(word)
            continue
        if command[:1] == ["mien"]:
            yield command[1:]
        command = []


def spoken(page: str) -> Iterator[list[str]]:
    """The words of commands and of loose options in the prose: `mien data audit STORE`, `--set optimizer.lr=1`."""
    for code in inline(page):
        if code.startswith(("mien ", "--")):
            yield shlex.split(code.removeprefix("mien "))


def parse(words: list[str]) -> None:
    """Parse a command line to its last verb and run nothing; raises the parser's own error."""
    command: Any = typer.main.get_command(cli.app)
    context, name = None, "mien"
    while True:
        context = command.make_context(name, list(words), parent=context)
        if not hasattr(command, "resolve_command") or context.params.get("show"):
            return
        name, command, words = command.resolve_command(context, [*context._protected_args, *context.args])


def options_of(words: list[str]) -> set[str]:
    """All options of the verb that `words` begin with."""
    command: Any = typer.main.get_command(cli.app)
    context = typer.Context(command)
    for word in words:
        inner = command.get_command(context, word) if hasattr(command, "get_command") else None
        if inner is None:
            break
        command = inner
    return {name for option in command.params for name in (*option.opts, *option.secondary_opts)} | {"--help", "-h"}


def all_options() -> set[str]:
    verbs = [[verb] for verb in cli.VERBS] + [["data", verb] for verb in DATA_VERBS]
    return set().union(*(options_of(verb) for verb in verbs), {"--version"})


def values_after(words: list[str], *options: str) -> list[str]:
    return [after for word, after in itertools.pairwise(words) if word in options]


def slug(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading.strip().lower())
    return re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")


@pytest.mark.parametrize("page", NAMES)
def test_links_lead_somewhere(page: str) -> None:
    prose = INLINE.sub("", prose_of(page))
    for target in LINK.findall(prose):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (ROOT / page).parent / path if path else ROOT / page
        assert file.exists(), f"{page} links to {target}, which is not there"
        if anchor and file.suffix == ".md":
            anchors = {slug(heading) for heading in HEADING.findall(FENCE.sub("", file.read_text(encoding="utf-8")))}
            assert anchor in anchors, f"{page} links to {target}; the headings are {sorted(anchors)}"


@pytest.mark.parametrize("page", NAMES)
def test_commands_parse(page: str) -> None:
    for words in commands(page):
        try:
            parse(words)
        except (cli.UsageError, MienError) as error:
            pytest.fail(f"{page}: mien {shlex.join(words)}: {error}")
        except typer.Exit:
            pass  # --help, --version


@pytest.mark.parametrize("page", NAMES)
def test_verbs_and_options_in_prose_exist(page: str) -> None:
    known = all_options()
    for words in spoken(page):
        verbs = [word for word in words if not word.startswith("-")]
        is_command = not words[0].startswith("-")
        assert not is_command or verbs[0] in cli.VERBS, f"{page} speaks of mien {verbs[0]}, which is no verb"
        here = options_of(verbs) if is_command else known
        options = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}
        assert options <= here, f"{page}: {' '.join(words)} has {sorted(options - here)}, which are no options of it"


@pytest.mark.parametrize("page", NAMES)
def test_recipes_corpora_and_settings_exist(page: str) -> None:
    for words in [*commands(page), *spoken(page)]:
        changes = parse_overrides(values_after(words, "--set", "-s"))
        recipe = "paper"
        if words[:1] == ["compare"] and len(words) > 1 and re.fullmatch(r"[a-z][\w-]*", words[1]):
            recipe = words[1]
        assert recipe in recipe_names(), f"{page} speaks of the recipe {recipe}"
        assert list(read_recipe(recipe).changed(changes).cells())
        networks: Any = changes.get("model.name", [])
        assert {networks} if isinstance(networks, str) else set(networks) <= set(NETWORKS)
        corpora = {name for name in values_after(words, "--corpus", "-c") if name not in ("NAME", "toy")}
        assert corpora <= {*CORPORA, *CLIP_CORPORA}, f"{page} speaks of the corpora {corpora}"
    for name in re.findall(r"\brecipes? `([\w-]+)`", prose_of(page)):
        assert name in recipe_names(), f"{page} speaks of the recipe {name}"
    rooms = " ".join(FLOORS).split()
    for code in inline(page):
        if not SETTING.match(code) or code in rooms:
            continue
        key, equals, _ = code.partition("=")
        settings = read_recipe("paper").settings
        assert key in settings.flat(), f"{page} speaks of the setting {key}"
        if equals:
            override(settings, parse_overrides([code]))


@pytest.mark.parametrize("page", NAMES)
def test_files_tests_and_names_exist(page: str) -> None:
    for code in inline(page):
        if PLACE.match(code) and code not in EXAMPLES:
            path, _, test = code.partition("::")
            assert (ROOT / path).exists(), f"{page} names {path}, which is not there"
            assert not test or f"def {test}(" in text_of(path), f"{page} names {code}, which is not there"
        elif DOTTED.match(code):
            assert found(code), f"{page} names {code}, which cannot be imported"


def found(dotted: str) -> bool:
    """Whether a dotted name is a module of mien or something in one."""
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        try:
            value = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for name in parts[length:]:
            if not hasattr(value, name):
                return False
            value = getattr(value, name)
        return True
    return False


@pytest.mark.parametrize("page", NAMES)
def test_pages_speak_of_mien_alone(page: str) -> None:
    seen = FORBIDDEN.findall(INLINE.sub("", prose_of(page))) + re.findall(
        r"(?<![\w.])/(?:work|home|root)/\w", text_of(page)
    )
    assert not seen, f"{page} says {seen}"


RUNNABLE = [page for page in NAMES if re.search(r"^```python runnable", text_of(page), re.MULTILINE)]


@pytest.mark.parametrize("page", RUNNABLE)
def test_examples_run(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks marked `runnable` share their names, in order, in an empty folder; `as=MODULE` makes one a module.

    Functions called `test_…` are run too, each with a folder of its own.
    """
    monkeypatch.chdir(tmp_path)
    corpora, networks = dict(CORPORA), dict(NETWORKS)
    names: dict[str, Any] = {"__name__": "example"}
    try:
        for info, body in FENCE.findall(text_of(page)):
            if not info.startswith("python runnable"):
                continue
            module = info.partition("as=")[2].strip()
            exec(compile(body, page, "exec"), module_names(module, monkeypatch) if module else names)
        for number, test in enumerate(value for name, value in list(names.items()) if name.startswith("test_")):
            folder = tmp_path / str(number)
            folder.mkdir()
            test(folder)
    finally:
        for table, before in ((CORPORA, corpora), (NETWORKS, networks)):
            table.clear()
            table.update(before)  # type: ignore[arg-type]


def module_names(name: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The namespace of a new module under its place in mien."""
    package, _, last = name.rpartition(".")
    module = types.ModuleType(name)
    module.__package__ = package
    monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(importlib.import_module(package), last, module, raising=False)
    return vars(module)


@pytest.mark.parametrize("page", NAMES)
def test_python_is_python_and_imports_what_exists(page: str) -> None:
    """All blocks, also those that need runs or models of the reader's own."""
    for info, body in FENCE.findall(text_of(page)):
        if info.split()[:1] != ["python"]:
            continue
        for node in ast.walk(ast.parse(body, page)):
            if isinstance(node, ast.ImportFrom) and not node.level and (node.module or "").startswith("mien"):
                wrong = [alias.name for alias in node.names if not found(f"{node.module}.{alias.name}")]
                assert set(wrong) <= {"toy", "Tiny"}, f"{page} imports {wrong} from {node.module}"


@pytest.mark.long
def test_the_papers_tables_are_what_the_script_prints() -> None:
    spec = importlib.util.spec_from_file_location("paper_table", ROOT / "scripts" / "paper_table.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    page = text_of("docs/paper.md")
    assert script.filled(page, script.tables()) == page, "Run: python scripts/paper_table.py docs/paper.md"


def test_the_architecture_page_lists_the_rooms_that_are_held() -> None:
    rows = re.findall(r"^\| (\d) \| (.+?) \|", text_of("docs/architecture.md"), re.MULTILINE)
    listed = [re.findall(r"`([\w.]+)`", rooms) for _, rooms in rows]
    assert [number for number, _ in rows] == [str(n) for n in range(len(FLOORS))]
    for number, (rooms, floor) in enumerate(zip(listed, FLOORS, strict=True)):
        row = f"| {number} | {' '.join(f'`{name}`' for name in floor.split())} |"
        assert rooms == floor.split(), f"The row of docs/architecture.md begins {row}"


def test_every_corpus_is_described() -> None:
    page = text_of("docs/corpora.md")
    assert not [name for name in CORPORA if f"`{name}`" not in page]
    page = text_of("docs/clips.md")
    assert not [name for name in CLIP_CORPORA if f"`{name}`" not in page]


def test_a_wrong_word_is_seen() -> None:
    """The checks above can fail: each is shown something that is wrong."""
    with pytest.raises(cli.UsageError):
        parse(["compare", "--sede", "1"])
    with pytest.raises(cli.UsageError):
        parse(["data", "prepare", "x"])
    parse(["data", "audit", "store", "--drop", "leaks", "--out", "clean"])
    assert list(mien_commands(shlex.split("ls && mien report runs | less"))) == [["report", "runs"]]
    assert slug("Nested `code`, and *stars*: (one)") == "nested-code-and-stars-one"
    assert FORBIDDEN.search("lies in /home/someone")
    assert not found("mien.statistics.no_such_test")
