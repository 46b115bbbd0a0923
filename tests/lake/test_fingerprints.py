"""A fingerprint is equal exactly when everything a table is made from is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lake import fingerprint

SETTINGS = st.dictionaries(
    st.text(max_size=3), st.one_of(st.integers(), st.text(max_size=3), st.booleans()), max_size=3
)
VERSIONS = st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=3)
PARTS = st.tuples(st.text(max_size=3), VERSIONS, SETTINGS, st.text(max_size=3))


def of(parts: tuple) -> str:
    code, inputs, settings, contract = parts
    return fingerprint(code_version=code, inputs=inputs, settings=settings, contract_hash=contract)


@given(PARTS, PARTS)
def test_equal_parts_and_only_they_have_equal_fingerprints(left, right):
    assert (of(left) == of(right)) == (repr(left[0:1]) == repr(right[0:1]) and typed(left) == typed(right))


def typed(parts: tuple) -> tuple:
    """Equality that keeps 1 and True apart, whatever the order of keys."""
    code, inputs, settings, contract = parts
    return code, sorted(inputs.items()), sorted((k, type(v).__name__, repr(v)) for k, v in settings.items()), contract


def test_the_order_of_keys_does_not_matter():
    assert of(("c", {"a": "1", "b": "2"}, {"x": 1, "y": {"p": 1, "q": 2}}, "")) == of(
        ("c", {"b": "2", "a": "1"}, {"y": {"q": 2, "p": 1}, "x": 1}, "")
    )


@pytest.mark.parametrize("value", [{1, 2}, object(), float("nan")])
def test_settings_that_json_cannot_hold_are_an_error(value):
    with pytest.raises(ValueError, match="JSON"):
        of(("c", {}, {"x": value}, ""))
