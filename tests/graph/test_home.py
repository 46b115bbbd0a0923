"""What a home remembers, and who may look into a new one."""

import shutil
import stat
import subprocess
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest
from graph_runs import tiny_workspace

from lake import Lake
from lake.store import default_home
from pipelines.definitions import build_defs
from pipelines.home import made_with, profile_of, remember
from pipelines.profiles import default, demo, paper
from pipelines.resources import REPOSITORY, workspace_from_environment


def test_a_command_without_a_profile_takes_that_of_the_home(tmp_path: Path) -> None:
    assert profile_of(tmp_path, {})[0] == "demo"
    assert profile_of(tmp_path, {"MEDCSP_MIMIC_IV": "/data"})[0] == "default"
    assert remember(tmp_path, "paper", paper()) == ""
    assert profile_of(tmp_path, {})[1] == paper()
    assert remember(tmp_path, "default", default()) == "paper", "what it was before"
    assert remember(tmp_path, "default", default()) == ""
    assert profile_of(tmp_path, {"MEDCSP_PROFILE": "paper"})[0] == "paper"


def test_a_home_of_real_sources_refuses_a_demo_and_a_demos_home_takes_both(tmp_path: Path) -> None:
    remember(tmp_path, "demo", demo())
    assert profile_of(tmp_path, {"MEDCSP_MIMIC_IV": "/data"})[0] == "demo"
    assert profile_of(tmp_path, {"MEDCSP_PROFILE": "demo_full"})[0] == "demo_full"
    assert profile_of(tmp_path, {"MEDCSP_PROFILE": "default"})[0] == "default"
    remember(tmp_path, "default", default())
    with pytest.raises(ValueError, match=r"made with profile default from real sources, and demo .* set MEDCSP_HOME"):
        profile_of(tmp_path, {"MEDCSP_PROFILE": "demo"})


def test_a_profile_of_ones_own_is_remembered_by_what_names_it(tmp_path: Path) -> None:
    workspace = tiny_workspace(tmp_path)
    assert workspace.profile_name == "tiny:tiny"
    remember(tmp_path, workspace.profile_name, replace(workspace.profile, name="other"))
    assert made_with(tmp_path).profile == "tiny:tiny"


def mode(folder: Path) -> int:
    return stat.S_IMODE(folder.stat().st_mode)


def test_a_new_home_is_its_owners_alone_and_an_old_one_stays_as_it_is(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir(mode=0o750)
    of_graph, of_lake, of_shell = (tmp_path / name for name in ("graph", "lake", "of the shell"))
    for home in (shared, of_graph):
        build_defs(workspace=tiny_workspace(home))
    Lake(of_lake).refresh_catalogue()
    for home in (shared, of_shell):
        script = f'MEDCSP_HOME="{home}"; source ./env.sh'
        subprocess.run(["bash", "-euc", script], cwd=REPOSITORY, check=True)
    assert mode(shared) == 0o750
    assert {mode(home) for home in (of_graph, of_lake, of_shell)} == {0o700}


def test_a_home_may_be_named_by_a_relative_path_and_by_a_tilde(tmp_path: Path) -> None:
    show = f'source {REPOSITORY}/env.sh; echo "$MEDCSP_HOME"; echo "$DAGSTER_HOME"'
    for named in ("homes/of mine", "~/homes/of mine"):
        done = subprocess.run(
            ["bash", "-euc", show],
            cwd=tmp_path,
            env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "MEDCSP_HOME": named},
            capture_output=True,
            text=True,
        )
        home = tmp_path / "homes" / "of mine"
        assert done.stdout.splitlines() == [str(home), str(home / "dagster")], done.stderr


def test_a_tilde_means_the_same_to_the_graph_and_to_the_lake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("MEDCSP_HOME", "~/home")
    assert workspace_from_environment().home == default_home() == tmp_path / "home"


@pytest.mark.parametrize("name", ["what?", "100%25"])
def test_a_name_that_databases_misread_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=r"MEDCSP_HOME is .* take another"):
        workspace_from_environment({"MEDCSP_HOME": str(tmp_path / name)})
    assert workspace_from_environment({"MEDCSP_HOME": str(tmp_path / "a 100% [good] 'home'#1")})


def test_dagster_in_a_home_reports_to_nobody_and_asks_nobody_for_an_address(tmp_path: Path) -> None:
    shutil.copy(REPOSITORY / "dagster.yaml", tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", str(tmp_path))
        with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
            assert not instance.telemetry_enabled and not instance.nux_enabled
