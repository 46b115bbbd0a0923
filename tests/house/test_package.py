"""What `pip install .` brings: the model whole, nothing else of the project, and what a machine that trains needs."""

import os
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

from tests.model.node_without import ALLOWED, distribution

ROOT = Path(__file__).resolve().parents[2]
UV = Path(sys.executable).with_name("uv")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [UV, "build", "--wheel", "--offline", "--quiet", "--out-dir", folder, ROOT]
    subprocess.run(command, check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    return path


def test_it_holds_every_file_of_the_model_and_no_other(wheel: Path) -> None:
    held = {name for name in zipfile.ZipFile(wheel).namelist() if not name.endswith("/") and ".dist-info/" not in name}
    files = (path for path in (ROOT / "medcsp_model").rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    assert held == {path.relative_to(ROOT).as_posix() for path in files}
    assert sum(name.endswith(".toml") for name in held) >= 12, "prompts"


def test_it_requires_what_the_model_runs_with(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as held:
        (name,) = (name for name in held.namelist() if name.endswith(".dist-info/METADATA"))
        about = Parser().parsestr(held.read(name).decode())
    assert {distribution(rule) for rule in about.get_all("Requires-Dist", [])} == ALLOWED


def test_it_works_apart_from_this_folder(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    code = """
from medcsp_model.evaluation import zero_shot
print(zero_shot.__file__)
print(sum(len(zero_shot.read_prompts(zero_shot.PROMPTS / task)) for task in ("chexpert", "covid19")))
"""
    surroundings = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    printed = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=surroundings, capture_output=True, text=True, check=True
    ).stdout.split()
    assert Path(printed[0]).is_relative_to(tmp_path / "site")
    assert int(printed[1]) >= 12
