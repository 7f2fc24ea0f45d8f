"""Every option of every verb, with values of the wrong type, out of range, absurd: a result or one sentence.

The options are read from the command line itself, so that a new one is tried without a line here. A refusal names
what was seen, in a length that fits a message, has exit code 2 and leaves nothing behind.
"""

import contextlib
import io
import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_type_hints

import cv2
import numpy as np
import pytest

from conftest import plan_run, write_bars
from mien import cli
from mien.cli import VERBS, main
from mien.data.drawn import draw_scene
from mien.runs import Run
from mien.stages import finish_run
from tiny_bundle import write_bundle

LONGEST = 1200
"""Letters of a refusal; some name every setting or method there is."""
MEGABYTE = "x" * (1 << 17)
"""As long as the system lets one word of a command line be."""
NUMBERS = ["abc", "", "-1", "0", "1.5", "nan", "inf", "-inf", "1e400", "9" * 30, "9" * 5000, "0x10", "１", "\x1b[2J"]
TEXTS = ["", "nonsense", "../..", "\x1b[2J\u202e", "[red]", "=1+1", "https://example.org/x", "a=b", "-", MEGABYTE]
PATHS = ["", "gone", "gone/gone", "photo.png", "photo.png/below", "folder", "store", "runs", "model.onnx", "/proc/gone",
         "/dev/null", "/dev/full", "/dev/zero", "pipe", "text.txt", "link", "camera:99", "\udcff.png", "\x1b[2J\u202e", "https://a.org/b.onnx",
         "store:99999", "store:", "x" * 300, MEGABYTE]  # fmt: skip
SETTINGS = [
    "", "=", "seed", "seed=", "seed=0,1,2", "seed=[]", "seed=[[]]", "optimizer.lr=x",
    "optimizer.lr=nan", "optimizer.lr=inf", "augment.flip=True", "augment.flip=False", "augment.flip=1", "gone.gone=1",
    "train.gone=1", "train=1", "seed=0 1", "seed={a=1}", "seed=1979-05-27", "train.epochs=1e3",
    "seed=" + "9" * 5000, "seed=" + "[" * 10_000, "model.name=gone", "model.name=[]", "model.name=[1]",
    "model.name=''", "train.sizes=[]", "train.sizes=48", "train.sizes=[1.5]", "data.folds=x", "data.protocol=loso",
    "data.protocol=Loso", "x" * 10_000, "a\nb=1", "seed=1\n[x]",
]  # fmt: skip

OWN: dict[str, list[str]] = {"--set": SETTINGS, "--vary": SETTINGS}
BASES: dict[str, list[str]] = {
    "predict": ["photo.png", "--model", "model.onnx", "--faces", "none"],
    "info": ["model.onnx"],
    "serve": ["--model", "model.onnx", "--port", "0"],
    "export": ["runs/FINISHED", "--out", "new.onnx"],
    "data prepare": ["corpus", "--corpus", "folder", "--out", "new", "--labels", "own"],
    "data draw": ["--out", "new", "--count", "14"],
    "data audit": ["store"],
    "data teach": ["store", "--model", "teacher.onnx", "--out", "new"],
    "data join": ["store", "other", "--out", "new"],
    "data info": ["store"],
    "compare": ["demo", "--data", "store", "--set", "model.name=compact-s", "--set", "train.epochs=1"],
    "ensemble": ["runs"],
    "tune": ["demo", "--data", "store", "--over", "model.dropout", "--trials", "1", "--set", "model.name=compact-s"],
    "report": ["runs"],
    "runs": ["runs"],
    "spot": ["film.avi"],
    "robustness": ["runs", "--limit", "3"],
    "across": ["runs", "--data", "store"],
    "noise": ["runs"],
    "evaluate": ["teacher.onnx", "--data", "store"],
    "explain": ["photo.png", "--model", "model.onnx", "--faces", "none"],
}
"""Of each verb, words that are right but for the one that is tried."""
UNTRAINED = {"tune": "None of 1 trials is complete."}
"""What a verb says at its end where no training is made, as here."""
QUICK = ("predict", "info", "serve", "data prepare", "data draw", "data audit", "data teach", "data join", "data info")


def verbs() -> dict[str, Any]:
    """Each verb with its command."""
    found = {}
    for name in VERBS:
        command = cli._command(name)
        if hasattr(command, "commands"):
            found |= {f"{name} {inner}": each for inner, each in command.commands.items()}
        else:
            found[name] = command
    return found


def values_of(option: str, hint: Any) -> list[str]:
    """Wrong values for an option, by the type that its verb says it has."""
    kind = str(hint)
    if option in OWN:
        return OWN[option]
    if "int" in kind or "float" in kind:
        return NUMBERS
    return PATHS if "Path" in kind else TEXTS + PATHS


def cases() -> Iterator[Any]:
    for verb, command in verbs().items():
        hints = get_type_hints(command.callback)
        for parameter in command.params:
            if parameter.name == "help" or getattr(parameter, "is_flag", False):
                continue
            longest = max(parameter.opts, key=len)
            option = longest if longest.startswith("-") else ""
            values = values_of(option, hints[parameter.name])
            yield pytest.param(verb, option, values, id=f"{verb} {option or parameter.name}")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one of each thing that a verb reads."""
    root = tmp_path_factory.mktemp("place")
    store = write_bars(root / "store")
    run = plan_run(root / "runs", store, train__epochs=1)
    finish_run(run)
    finish_run(plan_run(root / "runs", store, train__epochs=1, seed=1))
    write_bundle(root / "model.onnx")
    shutil.copytree(root / "store", root / "other")
    meta = root / "other" / "meta.json"
    meta.write_text(meta.read_text().replace(f'"corpus": "{store.meta.corpus}"', '"corpus": "other"'))
    write_bundle(root / "teacher.onnx", labels=store.meta.labels, crop=store.meta.crop)
    scene = draw_scene(1, seed=3, height=240, width=320).image
    (root / "photo.png").write_bytes(cv2.imencode(".png", scene)[1].tobytes())
    film = cv2.VideoWriter(str(root / "film.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 30, (320, 240))
    for _ in range(12):
        film.write(scene[..., ::-1].copy())
    film.release()
    for split in ("train", "test"):
        for number, name in enumerate(("a", "b")):
            folder = root / "corpus" / split / name
            folder.mkdir(parents=True)
            cv2.imwrite(str(folder / "0.png"), np.full((48, 48), 60 + 90 * number + len(split), np.uint8))
    (root / "folder").mkdir()
    (root / "text.txt").write_text("no picture")
    (root / "link").symlink_to("photo.png")
    (root / "FINISHED").write_text(run.path.name)
    return root


def words_for(verb: str, option: str, value: str, place: Path) -> list[str]:
    """The base of a verb with one word changed: an option is given (again), else the first argument is replaced."""
    base = [word.replace("FINISHED", (place / "FINISHED").read_text()) for word in BASES[verb]]
    if option:
        return [*verb.split(), *base, f"{option}={value}"]
    return [*verb.split(), *(base[1:] if base and not base[0].startswith("-") else base), "--", value]


def run_words(words: list[str]) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as end:
        main(words)
    code = end.value.code
    return code if isinstance(code, int) else 0, out.getvalue(), err.getvalue()


def test_every_verb_has_a_base() -> None:
    assert set(BASES) == set(verbs())


@pytest.mark.parametrize("verb", [pytest.param(v, marks=() if v in QUICK else pytest.mark.long) for v in BASES])
def test_the_bases_are_right(verb: str, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else every case below would be refused for another reason."""
    stand(place, tmp_path, monkeypatch)
    base = [word.replace("FINISHED", (place / "FINISHED").read_text()) for word in BASES[verb]]
    code, _, err = run_words([*verb.split(), *base])
    assert code == 0 or (verb in UNTRAINED and UNTRAINED[verb] in err), err[:500]


def stand(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a folder of its own, where all things lie; trainings are not made, and nobody is served."""
    shutil.copytree(place, tmp_path / "here", symlinks=True)
    monkeypatch.chdir(tmp_path / "here")
    if hasattr(os, "mkfifo"):
        os.mkfifo("pipe")  # nobody writes into it: who waits for that hangs
    monkeypatch.setattr("mien.engines.local.LocalEngine.finish", lambda self, runs, report, **options: None)
    monkeypatch.setattr("uvicorn.Server.run", lambda *words, **options: None)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"no picture")))


def sampled() -> list[Any]:
    """A part of the cases in each run of the tests; all of them, which takes minutes, among the long ones."""
    return [
        pytest.param(*case.values, id=case.id, marks=() if _is_quick(number, case.values[0]) else pytest.mark.long)
        for number, case in enumerate(cases())
    ]


def _is_quick(number: int, verb: object) -> bool:
    """One case in eight, of verbs that neither load a network in torch nor draw a page."""
    return number % 8 == 0 and verb in QUICK


@pytest.mark.parametrize(("verb", "option", "values"), sampled())
def test_a_wrong_value_is_a_result_or_one_sentence(
    verb: str, option: str, values: list[str], place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand(place, tmp_path, monkeypatch)
    before = listing(Path())
    for value in values:
        code, _, err = run_words(words_for(verb, option, value, place))
        said = f"{verb} {option}={value[:60]!r}: exit {code}\n{err[:300]}"
        assert code in (0, 1, 2), said
        assert "Traceback" not in err, said
        if code == 2:
            assert err.startswith("mien: "), said
            assert err.count("\n") == 1, said
            assert ". Try --help." in err or "Try --help." not in err, said
            assert len(err) < LONGEST, said + str(len(err))
            assert not set(err) & set("\x1b\u202e"), said
            assert listing(Path()) == before, said
        else:
            before = listing(Path())


def test_a_text_for_a_number_says_which_option_is_a_number(capsys: pytest.CaptureFixture[str]) -> None:
    numbers = [(verb, option) for verb, option, values in (case.values for case in cases()) if values is NUMBERS]
    assert len(numbers) > 10
    parameters = {(verb, max(each.opts, key=len)): each for verb, command in verbs().items() for each in command.params}
    for verb, option in numbers:
        words = ["abc"] * parameters[verb, option].nargs if option else ["abc"]
        with pytest.raises(SystemExit, match="2"):
            main([*str(verb).split(), *([option] if option else []), *words])
        err = capsys.readouterr().err
        assert re.search(rf"mien: {option} is a (whole )?number", err), f"{verb} {option}: {err}"


def listing(folder: Path) -> set[str]:
    return {os.path.join(root, name) for root, folders, names in os.walk(folder) for name in (*folders, *names)}


def test_the_wrong_words_are_tried(place: Path) -> None:
    """The table above is no empty one."""
    tried = {case.id for case in cases()}
    assert {"predict --threads", "compare --set", "data prepare path", "explain --out", "noise --page"} <= tried
    assert len(tried) > 50
    assert Run.open(place / "runs" / (place / "FINISHED").read_text()).finished
