"""Runs commands of the model as on a machine that has nothing of the project but the model.

    python node_without.py embed:embed.json evaluate:evaluate.json -m medcsp_model.train --settings train.json

Packages that the project depends on and the model must not need cannot be found in this process. The commands before
`-m` run first; the one behind it is what a Launcher appends. Exit status 99 if one of those packages is loaded after
all.
"""

import re
import sys
import tomllib
from importlib import import_module
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
ALLOWED = {"torch", "torchvision", "numpy", "pyarrow", "safetensors", "transformers", "timm", "open-clip-torch"}
OURS = {"data_contracts", "lake", "pipelines"}


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
    wanted = [rule for group in project["dependency-groups"].values() for rule in group if isinstance(rule, str)]
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


def run(module: str, path: str) -> int:
    """Exit status of a command."""
    sys.argv = [module, "--settings", path]
    return import_module("medcsp_model.command").start(import_module(module).main)


def main(gone: set[str]) -> int:
    """Exit status of the first command that fails, or of the last."""
    *before, dash, module, _, path = sys.argv[1:]
    assert dash == "-m"
    commands = [("medcsp_model." + name, of) for name, _, of in (one.partition(":") for one in before)]
    for command in [*commands, (module, path)]:
        status = run(*command)
        if loaded := gone & {name.split(".")[0] for name in sys.modules}:
            print(f"loaded: {sorted(loaded)}", file=sys.stderr)
            return 99
        if status:
            return status
    return 0


if __name__ == "__main__":
    NAMES = absent()
    assert {"dagster", "polars", "duckdb", "dataframely", "pydicom", "cv2"} <= NAMES
    sys.meta_path[:] = [Without(finder, NAMES) for finder in sys.meta_path]
    sys.exit(main(NAMES))
