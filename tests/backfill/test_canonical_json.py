"""The one JSON text of a value is that of the standard library, key for key and space for space."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geomob_dask.store.provenance import Template, canonical_json, hole

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=5), inner, max_size=4)
        | st.dictionaries(st.integers(), inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
    ),
    max_leaves=20,
)


@given(PLAIN)
def test_it_is_the_text_of_the_standard_library(value):
    expected = json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    assert canonical_json(value).decode("utf-8", "surrogatepass") == expected


@pytest.mark.parametrize("value", [float("nan"), {"a": [float("inf")]}, {"a": {1, 2}}, object()])
def test_what_json_does_not_know_is_refused(value):
    with pytest.raises((ValueError, TypeError)):
        canonical_json(value)


@given(st.text(alphabet="0123456789abcdef", min_size=1), st.text(alphabet="0123456789", min_size=1), PLAIN)
def test_a_template_is_the_text_with_the_holes_filled(checksum, state, rest):
    template = Template([{hole("state"): hole("checksum")}, {"states": [hole("state")], "more": rest}])
    assert template.filled(state=state, checksum=checksum) == canonical_json(
        [{state: checksum}, {"states": [state], "more": rest}]
    )
