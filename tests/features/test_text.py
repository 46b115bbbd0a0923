import pytest

from pipelines.features.text import report_text


def test_whitespace_folds_to_single_blanks():
    assert report_text("  FINAL REPORT\n \n FINDINGS:\tclear ") == "FINAL REPORT FINDINGS: clear"
    assert report_text(" \n ") == ""


def test_an_unknown_choice_is_named():
    with pytest.raises(ValueError, match="report_text is 'best'; choose from full"):
        report_text("x", "best")
