"""Train, embed and evaluate by the commands' own `main` on a machine that has nothing of the project but the model.

Packages that the project depends on and the model must not need cannot be found in this process. A line of input is
`module run.json number`; the answer is `exit_code fsyncs`. With number 0 the command runs here, and finds everything
imported and warm the next time; else in a fork that kills itself by SIGKILL at its nth fsync (-1: lives).
"""

import os
import re
import signal
import sys
import tomllib
from importlib import import_module
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from multiprocessing import Value
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
ALLOWED = {"torch", "torchvision", "numpy", "pyarrow", "safetensors", "transformers", "timm", "open-clip-torch"}
OURS = {"data_contracts", "lake", "pipelines"}
FSYNC = os.fsync


def distribution(requirement: str) -> str:
    """The name alone, as pip writes it."""
    return re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0].lower().replace("_", "-")


def needed(names: set[str]) -> set[str]:
    """Packages and all that they require without extras."""
    found: set[str] = set()
    while names:
        name = names.pop()
        found.add(name)
        try:
            rules = [rule for rule in requires(name) or [] if "extra ==" not in rule]
        except PackageNotFoundError:  # of another platform
            continue
        names |= {distribution(rule) for rule in rules} - found
    return found


def absent() -> set[str]:
    """Modules that a GPU node lacks."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    wanted = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    gone = {distribution(rule) for rule in wanted} - needed(set(ALLOWED))
    modules = {name for name, of in packages_distributions().items() if {distribution(one) for one in of} & gone}
    return modules | OURS


class Without:
    """A finder of modules that does not find some."""

    def __init__(self, finder: Any, names: set[str]) -> None:
        self._finder, self._names = finder, names

    def __getattr__(self, name: str) -> Any:
        return getattr(self._finder, name)

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """Nothing, for one of the names."""
        return None if name.split(".")[0] in self._names else self._finder.find_spec(name, path, target)


def arm(last: int, count: Any) -> None:
    """Count fsyncs, and die by SIGKILL in place of the one numbered `last`; 0 and less never die."""

    def counted(descriptor: int) -> None:
        count.value += 1
        if count.value == last:
            os.kill(os.getpid(), signal.SIGKILL)
        FSYNC(descriptor)

    os.fsync = counted


def run(module: str, path: str) -> int:
    """Exit status of a command."""
    sys.argv = [module, "--settings", path]
    return import_module("medcsp_model.command").start(import_module(f"medcsp_model.{module}").main)


def serve(gone: set[str]) -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # the log stays out of the answers
    count = Value("i", 0, lock=False)
    arm(0, count)
    for line in sys.stdin:
        module, path, number = line.rsplit(maxsplit=2)
        count.value = 0
        if int(number):
            child = os.fork()
            if not child:
                arm(int(number), count)
                os._exit(run(module, path))
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        else:
            status = run(module, path)
        loaded = gone & {name.split(".")[0] for name in sys.modules}
        print(status if not loaded else f"loaded:{sorted(loaded)}", count.value, file=answers, flush=True)


if __name__ == "__main__":
    NAMES = absent()
    assert {"dagster", "polars", "duckdb", "dataframely", "pydicom", "cv2"} <= NAMES
    sys.meta_path[:] = [Without(finder, NAMES) for finder in sys.meta_path]
    serve(NAMES)
