"""Stored text and checksums keep their form: stores of earlier versions stay readable and up to date."""

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geomob_dask.options import Options
from geomob_dask.products.product import Prepared, Target
from geomob_dask.store import Commit, Part, Provenance, Receipt, Snapshot
from geomob_dask.store.provenance import canonical_json, sha256

MADE = Provenance(
    "join",
    {"file ñ.csv": "0" * 8, "measures/x/2020": "ab"},
    {
        "states": ["18"],
        "dollars": None,
        "deep": {"b": [1, 2.5, True], "a": {}, "e": []},
        "ties": {10: "ten", 9: "nine"},
    },
    {"rows": 3},
    {"geomob-dask": "0.1.0", "numpy": "2.4.6"},
)
PARTS = {
    "39": Part("measures/x/2020/39-0123456789abcdef.parquet", "ef" * 32, 7, 0, "", ""),
    "18": Part(
        "measures/x/2020/18-0123456789abcdef.parquet", "cd" * 32, 7, 2, "18001", "18003", (-1.5, 0.0, 2.0, 3.25)
    ),
}
COMMIT = Commit("measures/x/2020", PARTS, MADE, {"vintage": "2020", "reach": {18: ["39"]}})
SNAPSHOT = Snapshot(
    "measures/x/2020", COMMIT.made(), {MADE.identity: MADE.plain(), "unused": {}}, dict(COMMIT.attributes)
)


def test_stored_bytes_keep_their_form():
    """The checksums are those of the first version."""
    assert MADE.identity == "252c0713413210fd"
    assert SNAPSHOT.checksum() == "479904fd54f179c152db5cd0c175994bc0db3e601cd180d0479fc1da2c0d7736"
    assert sha256(SNAPSHOT.to_bytes()) == "60203bace25593fded890b0ee1422ab107167e35fde1e5d0d22f7fdfe2cdd6b4"
    assert (
        sha256(Receipt("18", (COMMIT,)).to_bytes())
        == "d8120dabc4581cfd3baece547adea6058329494e0b858721fdc91cbb449a6a6f"
    )


def test_what_is_stored_is_read_back():
    read = Snapshot.from_bytes(SNAPSHOT.to_bytes(), "here")
    assert dict(read.parts) == dict(sorted(COMMIT.made().items()))
    assert list(read.runs) == [MADE.identity]
    assert read.to_bytes() == SNAPSHOT.to_bytes()
    receipt = Receipt.from_bytes(Receipt("18", (COMMIT,)).to_bytes(), "here")
    assert receipt.commits[0].parts == PARTS
    assert receipt.to_bytes() == Receipt("18", (COMMIT,)).to_bytes()


def test_names_of_files_that_are_no_text_are_kept():
    name = os.fsdecode(b"\xff\xfe.csv")
    text = canonical_json({"file": name, "other": "Doña"})
    assert json.loads(text) == {"file": name, "other": "Doña"}
    assert "Doña".encode() in text


@pytest.mark.parametrize("value", [float("nan"), {"a": [float("inf")]}, {"a": {1, 2}}, object()])
def test_what_json_cannot_hold_is_refused(value):
    with pytest.raises((ValueError, TypeError)):
        canonical_json(value)


OPTIONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
).filter(lambda value: not any(0xE000 <= ord(letter) < 0xE010 for letter in json.dumps(value, ensure_ascii=False)))


class Made(Options):
    """Options of a product with states."""

    states: tuple[str, ...] | None = None


@given(OPTIONS)
def test_identities_of_many_states_are_those_of_each(options):
    other = Snapshot("neighbors/2020", {"39": PARTS["39"]}, {}, {"state": "sha256", "more": options})
    states = ("18", "39", "72")
    inputs = {"measures": SNAPSHOT, "edges": other}
    prepared = Prepared(
        "made",
        Made(),
        inputs,
        {"result": Target("results/made")},
        states,
        states,
        found={"chosen": options},
        by_state=True,
    )
    assert list(prepared.identities(states)) == [prepared.of_state(state).provenance.identity for state in states]
    assert len(set(prepared.identities(states))) == 3
