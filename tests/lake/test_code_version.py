"""The version of code: comments change nothing, what runs changes it, and glue modules do not tie assets together."""

import textwrap
from collections.abc import Callable
from pathlib import Path

import dataframely as dy
import polars as pl
import pytest

from data_contracts.base import Contract
from lake import code_version, contract_hash, ids
from lake.code import function_code

SOURCE = {
    "pipelines/__init__.py": "",
    "pipelines/assets.py": '''
        """Glue."""
        import dagster as dg
        from pipelines import codes, notes
        from pipelines.helpers import clean
        LIMIT = 3
        TABLE = {}
        TABLE["a"] = 1

        @dg.asset(description="words")
        def ehr_codes():
            """Codes."""
            return codes.read(LIMIT)

        @dg.asset
        def ehr_notes():
            from pipelines.late import late
            return clean(notes.read(TABLE), late)
        ''',
    "pipelines/codes.py": "from . import fields\ndef read(limit):\n    return fields.CODE[:limit]\n",
    "pipelines/notes.py": "import numpy as np\ndef read(table):\n    return np.zeros(3)\n",
    "pipelines/fields.py": "CODE = 'abc'\n",
    "pipelines/helpers/__init__.py": "from .text import clean\n",
    "pipelines/helpers/text.py": "def clean(text, late):\n    return text.strip()\n",
    "pipelines/late.py": "late = 1\n",
    "pipelines/apart.py": "import pipelines.codes\n",
    "sql/codes.sql": "select subject_id, 'A' as a -- one row per code\nfrom codes order by all\n",
    "data/map.csv": "a,b\n",
}

Edit = Callable[[str, str, str], None]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    for name, text in SOURCE.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    return tmp_path


@pytest.fixture
def edit(repository: Path) -> Edit:
    def replace(name: str, old: str, new: str) -> None:
        path = repository / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    return replace


def versions(root: Path) -> dict[str, str]:
    entries = ("pipelines.assets:ehr_codes", "pipelines.assets:ehr_notes", "pipelines.apart", "pipelines.assets")
    return {entry.rpartition(".")[2]: code_version(entry, packages=["pipelines"], root=root) for entry in entries}


def changed(root: Path, before: dict[str, str]) -> set[str]:
    return {name for name, version in versions(root).items() if version != before[name]}


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("pipelines/codes.py", "def read", "# a comment\n\ndef read"),
        ("pipelines/codes.py", "return", "'''A docstring.'''\n    return"),
        (
            "pipelines/fields.py",
            "CODE = 'abc'",
            '"""A module."""\n\nCODE = "abc"  # the same string\n"""About CODE."""',
        ),
        ("pipelines/assets.py", '"""Codes."""', '"""Other words."""'),
    ],
)
def test_comments_docstrings_and_layout_change_nothing(repository, edit, name, old, new):
    before = versions(repository)
    edit(name, old, new)
    assert changed(repository, before) == set()


@pytest.mark.parametrize(
    ("name", "old", "new", "touched"),
    [
        ("pipelines/fields.py", "abc", "abd", {"assets:ehr_codes", "apart", "assets"}),
        ("pipelines/codes.py", "[:limit]", "[limit:]", {"assets:ehr_codes", "apart", "assets"}),
        ("pipelines/notes.py", "zeros(3)", "zeros(4)", {"assets:ehr_notes", "assets"}),
        ("pipelines/helpers/text.py", "strip()", "lower()", {"assets:ehr_notes", "assets"}),
        ("pipelines/late.py", "1", "2", {"assets:ehr_notes", "assets"}),
        ("pipelines/assets.py", "LIMIT = 3", "LIMIT = 4", {"assets:ehr_codes", "assets"}),
        ("pipelines/assets.py", '["a"] = 1', '["a"] = 2', {"assets:ehr_notes", "assets"}),
        ("pipelines/assets.py", "read(LIMIT)", "read(LIMIT + 1)", {"assets:ehr_codes", "assets"}),
        ("pipelines/assets.py", 'description="words"', 'description="other"', {"assets"}),
        ("pipelines/assets.py", "codes, notes", "notes, codes", {"assets"}),
        ("pipelines/assets.py", "from pipelines import codes,", "from other import codes\nfrom pipelines import",
         {"assets:ehr_codes", "assets"}),
    ],
)  # fmt: skip
def test_what_runs_changes_exactly_those_who_run_it(repository, edit, name, old, new, touched):
    before = versions(repository)
    edit(name, old, new)
    assert changed(repository, before) == touched


def test_an_excluded_module_is_not_followed(repository, edit):
    options = {"packages": ["pipelines"], "root": repository, "exclude": ["pipelines.fields"]}
    before = code_version("pipelines.codes", **options)
    edit("pipelines/fields.py", "abc", "abd")
    assert code_version("pipelines.codes", **options) == before


def test_sql_counts_by_its_tokens_and_data_by_its_bytes(repository, edit):
    def version() -> str:
        files = {"sql_texts": [(repository / "sql/codes.sql").read_text()], "data_files": [repository / "data/map.csv"]}
        return code_version("pipelines.fields", **files, packages=["pipelines"], root=repository)

    before = version()
    edit("sql/codes.sql", "-- one row per code\nfrom codes", "/* codes */\n\n  FROM   codes")
    assert version() == before
    edit("sql/codes.sql", "'A'", "'a'")
    assert version() != before
    edit("sql/codes.sql", "'a'", "'A'")
    assert version() == before
    edit("data/map.csv", "b", "c")
    assert version() != before


def test_what_is_not_there_is_an_error(repository):
    options = {"packages": ["pipelines"], "root": repository}
    with pytest.raises(ValueError, match=r"no module 'pipelines.nowhere'"):
        code_version("pipelines.nowhere", **options)
    with pytest.raises(ValueError, match=r"'pipelines.assets' defines no 'nothing'"):
        code_version("pipelines.assets:nothing", **options)
    with pytest.raises(ValueError, match=r"none.csv cannot be read"):
        code_version("pipelines.codes", **options, data_files=[repository / "none.csv"])


def test_modules_functions_and_their_names_are_the_same_entry_points():
    by_module = code_version(ids, packages=["lake"])
    by_function = code_version(ids.shard_of, packages=["lake"])
    assert by_module == code_version("lake.ids", packages=["lake"]) != by_function
    assert by_function == code_version("lake.ids:shard_of", packages=["lake"])


# ---- contracts ------------------------------------------------------------------------------------------------

HIGHEST = 10


def bounded(limit: int) -> Callable[[pl.Expr], pl.Expr]:
    def check(value: pl.Expr) -> pl.Expr:
        return value < limit

    return check


def contract(*, limit: int = HIGHEST, description: str = "", order: tuple[str, ...] = (), loose: bool = False):
    class Base(Contract):
        table = "t"
        layer = "tables"

    Base.order = order
    columns = {"a": dy.Int64(description=description or None, check=bounded(limit)), "b": dy.String(nullable=loose)}
    return type("T", (Base,), {**columns, "__doc__": description})


def test_words_do_not_count_in_a_contract_and_demands_do():
    same = contract_hash(contract())
    assert contract_hash(contract(description="words")) == same
    different = [contract(limit=9), contract(order=("b",)), contract(loose=True)]
    assert len({same, *map(contract_hash, different)}) == 4


def test_rules_count_by_their_code_and_the_constants_they_name():
    class Small(Contract):
        table = "t"
        layer = "tables"
        a = dy.Int64()

        @dy.rule()
        def few(cls):  # noqa: N805
            """Words."""
            return cls.a.col < HIGHEST

    class Many(Small):
        @dy.rule()
        def few(cls):  # noqa: N805
            return cls.a.col <= HIGHEST

    assert contract_hash(Small) != contract_hash(Many)
    text = function_code(vars(Small)["few"].validation_fn)
    assert "HIGHEST" in text and "value=10" in text and "Words" not in text
    one = lambda x: x + 1  # noqa: E731
    two = lambda x: x + 2  # noqa: E731
    assert function_code(one) != function_code(two)
