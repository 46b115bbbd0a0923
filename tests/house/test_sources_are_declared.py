"""Sources are declared: beyond its own files and the registry, nothing names a third one."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("data_contracts", "lake", "medcsp_model", "pipelines", "sql")

OWN = (
    "data_contracts/films.py",
    "data_contracts/tables/*.py",
    "pipelines/sources/open_i.py",
    "pipelines/sources/__init__.py",
    "pipelines/synthetic/*.py",
    "pipelines/report/formats.py",
    "pipelines/report/exhibits.py",
    "data_contracts/radiology.py",
    "pipelines/assets/evaluation_sets.py",
    "pipelines/assets/radiology.py",
    "medcsp_model/evaluation/exposure.py",
    "sql/records/open_i_*.sql",
    "sql/checks/open_i_*.sql",
    "sql/checks/warnings/open_i_*.sql",
)
"""Contracts, reader and registry, the generator of its raw tree, its name for people, its evaluation and its SQL."""

NAMED = re.compile(r"(?<!retrieval_)open[_-]i\b|(?<!Retrieval)OpenI(?=[A-Z]|\b)|(?<!retrieval_)open_i_")
"""The source in code; `retrieval_open_i` is an evaluation of what was never trained on."""


def naming(pattern: re.Pattern[str], *, root: Path = ROOT) -> set[str]:
    """Files of the rooms that match, below the root."""
    files = [path for room in ROOMS for path in (root / room).rglob("*") if path.suffix in (".py", ".sql")]
    return {path.relative_to(root).as_posix() for path in files if pattern.search(path.read_text())}


def test_open_i_is_named_by_its_own_files_alone() -> None:
    own = {path.relative_to(ROOT).as_posix() for pattern in OWN for path in ROOT.glob(pattern)}
    found = naming(NAMED)
    assert {"pipelines/sources/open_i.py", "sql/records/open_i_films.sql"} <= found
    assert found <= own


def test_a_planted_name_is_found(tmp_path: Path) -> None:
    for number, line in enumerate(
        ['SOURCES = ("ehr", "open_i")', "OpenIFilms", "from open_i_films", "retrieval_open_i"]
    ):
        file = tmp_path / "pipelines" / f"module_{number}.py"
        file.parent.mkdir(exist_ok=True)
        file.write_text(line)
    assert naming(NAMED, root=tmp_path) == {f"pipelines/module_{number}.py" for number in range(3)}
