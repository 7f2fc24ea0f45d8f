"""The container file and the systemd unit say what this project and systemd understand."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

ROOT = Path(__file__).parents[1]
UNIT = (ROOT / "deploy" / "mien.service").read_text(encoding="utf-8")
CONTAINER = (ROOT / "deploy" / "Containerfile").read_text(encoding="utf-8")
ANALYZE = shutil.which("systemd-analyze")


@pytest.mark.skipif(ANALYZE is None, reason="there is no systemd-analyze")
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    """A wrong name or value is a warning, not an error, so nothing at all may be said."""
    for changed, says in ((UNIT, ""), (UNIT.replace("PrivateTmp=yes", "PrivatTmp=yes"), "PrivatTmp")):
        unit = tmp_path / "mien.service"
        unit.write_text(changed.replace("/opt/mien/bin/mien", sys.executable), encoding="utf-8", newline="\n")
        done = subprocess.run([ANALYZE or "", "verify", unit], capture_output=True, text=True, check=False)
        said = "\n".join(line for line in (done.stdout + done.stderr).splitlines() if "mien.service" in line)
        assert (says in said) if says else not said


def test_both_start_the_server_with_options_that_it_has() -> None:
    from mien.cli import app

    told = CliRunner().invoke(app, ["serve", "--help"], env={"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"}).output
    (started,) = re.findall(r"^ExecStart=\S+ (.*)", UNIT, re.M)
    entry = re.search(r'^ENTRYPOINT \["mien", (.*)\]', CONTAINER, re.M)
    assert entry
    words = [*started.split(), *re.findall(r'"([^"]*)"', entry[1])]
    assert words.count("serve") == 2
    options = {word for word in words if word.startswith("--")}
    assert options == {"--models", "--allow-host", "--host"}
    assert all(option in told for option in options)


def test_the_container_is_made_of_what_there_is() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (extras,) = re.findall(r"\.whl\)\[([\w,]+)\]", CONTAINER)
    assert set(extras.split(",")) <= set(project["optional-dependencies"])
    copied = [word for line in re.findall(r"^COPY (.*)", CONTAINER, re.M) for word in line.split()[:-1]]
    mounted = re.findall(r"type=bind,source=(\S+?),", CONTAINER)
    assert all((ROOT / name).exists() for name in [*copied, *mounted])
    assert {"pyproject.toml", "src", project["readme"], *project["license-files"]} <= set(copied)
    assert "\nUSER 10001\n" in CONTAINER
    assert "/readyz" in CONTAINER
