"""The house's rules, held to what is really in it: imports point down, heavy packages stay out, bodies stay short."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("data_contracts", "lake", "medcsp_model", "pipelines")
HEAVY = ("torch", "torchvision", "transformers", "timm", "open_clip", "pydicom", "cv2", "matplotlib")
PURE = ("sources", "features", "synthetic", "report")
MOST_LINES_OF_A_BODY = 25

FORBIDDEN = {
    "data_contracts": ("lake", "pipelines", "medcsp_model", "dagster"),
    "lake": ("pipelines", "medcsp_model", "dagster"),
    "medcsp_model": ("data_contracts", "lake", "pipelines", "dagster", "polars", "duckdb"),
    **{
        f"pipelines/{room}": (
            "dagster",
            "pipelines.assets",
            "pipelines.definitions",
            "pipelines.resources",
            *(f"pipelines.{other}" for other in PURE if other != room),
        )
        for room in PURE
    },
    "pipelines/assets": ("pipelines.definitions", "pipelines.automation", "pipelines.run"),
}
"""What the modules of a folder never import, at no depth."""


def modules(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def imported(path: Path) -> set[str]:
    """Every module named by an import anywhere in a file, absolute; `from x import y` gives `x` and `x.y`."""
    package = path.relative_to(ROOT).parts[:-1]
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*above, *filter(None, [node.module])])
            names |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
    return names


def reaches(names: set[str], forbidden: str) -> set[str]:
    return {name for name in names if name == forbidden or name.startswith(f"{forbidden}.")}


def committed_files() -> list[Path]:
    """The files of the repository, tracked or about to be; in a copy without git, everything that looks like one."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True
    )
    if listed.returncode == 0:
        return [path for line in listed.stdout.splitlines() if (path := ROOT / line).is_file()]
    hidden = {".venv", ".git", ".medcsp", ".medcsp-ehr", "__pycache__"}
    return [path for path in ROOT.rglob("*") if path.is_file() and not hidden & set(path.relative_to(ROOT).parts)]


@pytest.mark.parametrize("folder", FORBIDDEN)
def test_imports_point_down(folder: str) -> None:
    found = modules(folder)
    assert found
    wrong = {
        str(path.relative_to(ROOT)): sorted(hits)
        for path in found
        if (hits := {name for rule in FORBIDDEN[folder] for name in reaches(imported(path), rule)})
    }
    assert wrong == {}


def circle(paths: list[Path]) -> list[str]:
    """A circle of modules that import each other, at any depth and for any reason; empty where there is none."""
    names = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in paths}
    arrows = {}
    for name, path in names.items():
        found = imported(path) & names.keys()
        inside = {other for other in found if any(deeper.startswith(f"{other}.") for deeper in found)}
        arrows[name] = found - inside - {name}  # of `from x import y` with a module y, y alone
    try:
        TopologicalSorter(arrows).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


@pytest.mark.parametrize("package", PACKAGES)
def test_no_module_imports_itself_by_a_detour(package: str) -> None:
    assert circle(modules(package)) == []


def test_a_planted_circle_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    texts = {"a": "from p.b import x", "b": "def f():\n    from p import c", "c": "import p.a", "d": "import p.a"}
    (tmp_path / "p").mkdir()
    paths = [tmp_path / "p" / f"{name}.py" for name in texts]
    for path in paths:
        path.write_text(texts[path.stem])
    assert sorted(set(circle(paths))) == ["p.a", "p.b", "p.c"]
    paths[2].write_text("import p.other")
    assert circle(paths) == []


def test_lake_and_contracts_import_only_what_is_below_them() -> None:
    ours = {name for path in modules("lake") for name in imported(path) if name.split(".")[0] in PACKAGES}
    assert {name.split(".")[0] for name in ours} == {"lake", "data_contracts"}
    below = {name.split(".")[0] for path in modules("data_contracts") for name in imported(path)}
    assert below & set(PACKAGES) == {"data_contracts"}


def test_pipelines_know_of_the_model_its_corpus_and_its_settings_alone() -> None:
    names = {name for path in modules("pipelines") for name in reaches(imported(path), "medcsp_model")}
    assert {".".join(name.split(".")[:2]) for name in names} <= {
        "medcsp_model",
        "medcsp_model.corpus",
        "medcsp_model.settings",
    }


def test_nothing_imports_the_fork_server() -> None:
    """A worker of a sweep runs it again as its main module: imported before by anything else, it would be two."""
    wrong = [str(path) for path in modules("medcsp_model") if reaches(imported(path), "medcsp_model.fork_server")]
    assert wrong == []


def test_a_planted_import_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    planted = tmp_path / "pipelines" / "features" / "bad.py"
    planted.parent.mkdir(parents=True)
    planted.write_text("def late():\n    from pipelines.sources import TABLES\n    from ..report import page\n")
    assert reaches(imported(planted), "pipelines.sources") == {"pipelines.sources", "pipelines.sources.TABLES"}
    assert reaches(imported(planted), "pipelines.report") == {"pipelines.report", "pipelines.report.page"}
    assert reaches(imported(planted), "dagster") == set()


@pytest.mark.parametrize("what", ["from pipelines.definitions import defs; defs()", "import medcsp_model.corpus"])
def test_importing_is_light(what: str) -> None:
    code = f"import sys; {what}; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def bodies(path: Path) -> Iterator[tuple[str, int]]:
    """Name and number of lines of every function, docstrings left out."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            statements = [item for item in node.body if ast.get_docstring(node) is None or item is not node.body[0]]
            yield node.name, (statements[-1].end_lineno or 0) - statements[0].lineno + 1 if statements else 0


def test_glue_stays_short() -> None:
    assets = [path for path in modules("pipelines/assets") if path.name not in ("glue.py", "step.py")]
    assert len(assets) > 5
    long = {
        f"{path.name}:{name}": lines
        for path in assets
        for name, lines in bodies(path)
        if lines > MOST_LINES_OF_A_BODY + 2
    }
    assert long == {}


def test_modules_stay_small_and_say_what_they_are() -> None:
    every = [path for package in PACKAGES for path in modules(package)]
    assert {str(path) for path in every if len(path.read_text().splitlines()) > 600} == set()
    assert {str(path) for path in every if not ast.get_docstring(ast.parse(path.read_text()))} == set()


WRONG_TEXT = {
    "an absolute path of somebody's machine": re.compile(r"(?<![\w.])/(?:work|home|Users|root|mnt|data)/\w+"),
    "a folder of one machine": re.compile(r"(?<![\w.])/tmp/\w+"),
    "a package registry": re.compile(r"https?://(?:[\w-]+\.)*(?:pypi\.org|pythonhosted\.org|anaconda\.org)"),
    "an index of packages": re.compile(r"--(?:extra-)?index-url[ =]\S*://"),
}


@pytest.mark.parametrize("what", WRONG_TEXT)
def test_no_file_names(what: str) -> None:
    files = [path for path in committed_files() if path != Path(__file__).resolve()]
    assert len(files) > 100
    found = {
        str(path.relative_to(ROOT)): match.group(0)
        for path in files
        if (match := WRONG_TEXT[what].search(path.read_text(errors="ignore")))
    }
    assert found == {}


def test_every_make_target_in_the_readme_exists() -> None:
    readme = (ROOT / "README.md").read_text()
    named = set(re.findall(r"`make ([a-z-]+)", readme)) | set(re.findall(r"^\s*make ([a-z-]+)", readme, flags=re.M))
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.M))
    assert {"demo", "test", "run"} <= named
    assert named - targets == set()


def test_every_make_target_says_what_it_does() -> None:
    makefile = (ROOT / "Makefile").read_text()
    told = set(re.findall(r"^([a-z-]+):.*## ", makefile, flags=re.M))
    assert {"help", "setup", "demo", "run", "test", "dev", "sql", "refresh", "lint", "bench"} <= told


def test_nobody_catches_everything_pickles_or_leaves_work() -> None:
    wrong = re.compile(
        r"except Exception|except:|\bimport pickle\b|torch\.load\((?!.*weights_only=True)|\bTODO\b|\bFIXME\b"
    )
    every = [path for package in PACKAGES for path in modules(package)]
    assert {str(path): hit.group(0) for path in every if (hit := wrong.search(path.read_text()))} == {}
