"""Who may look into a new home."""

import stat
import subprocess
from pathlib import Path

from graph_runs import tiny_workspace

from lake import Lake
from pipelines.definitions import build_defs
from pipelines.resources import REPOSITORY


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
