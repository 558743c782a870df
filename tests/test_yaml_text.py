"""YAML with bounds: the values that files mean, and the error of each file that cannot be read."""

import os

import pytest

from geomob_dask.errors import DefinitionError, SettingsError
from geomob_dask.yaml_text import parse_yaml, read_yaml


def test_values_are_as_written():
    text = "a: &x {code: 01001, day: 2020-13-45, n: -1_000, share: 0.5, on: yes}\nb: {<<: *x, n: 2}\nc: [*x]\n"
    first = {"code": "01001", "day": "2020-13-45", "n": -1000, "share": 0.5, True: True}
    assert parse_yaml(text, "text", DefinitionError) == {"a": first, "b": {**first, "n": 2}, "c": [first]}


def bomb(item: str, last: str) -> str:
    lines = [f"a0: &a0 {last}"]
    lines += [f"a{n}: &a{n} {item.format(', '.join([f'*a{n - 1}'] * 10))}" for n in range(1, 12)]
    return "\n".join(lines)


BAD = {
    "multiplying aliases": (bomb("[{}]", "[x]"), ["aliases written out"]),
    "multiplying merge keys": (bomb("{{<<: [{}]}}", "{k: 1}"), ["aliases written out"]),
    "an alias of itself": ("x: &a [*a]", ["line 1", "'a'"]),
    "many keys": ("\n".join(f"k{n}: 0" for n in range(100_001)), ["line 100000", "200,000"]),
    "deep lists": ("a: 1\nb: " + "[" * 100_000, ["line 2", "deep"]),
    "deep blocks": ("- " * 100_000, ["line 1", "deep"]),
    "a key twice": ("a: 1\nb: 2\na: 3", ["line 3", "'a' twice"]),
    "a key twice, further in": ("a:\n  - {b: 1, c: 2, b: 3}", ["line 2", "'b' twice"]),
    "a list as a key": ("a: 1\n? [b]\n: 1", ["line 2", "as a key"]),
    "a word as an integer": ("x: !!int abc", ["line 1", "'abc'", "int"]),
    "an impossible date": ("x: !!timestamp 2020-13-01", ["line 1", "'2020-13-01'", "timestamp"]),
    "a long integer": ("x: !!int " + "9" * 5000, ["line 1", "5,000 digits"]),
    "an integer in base 60": ("x: !!int " + ":".join(["1"] * 100_000), ["line 1", "199,999 digits"]),
    "pairs of nothing": ("x: !!pairs q", ["line 1", "sequence"]),
    "a tag of Python": ("x: !!python/object/apply:os.system [ls]", ["line 1", "tag"]),
    "an unknown tag": ("a: 1\nx: !mine 3", ["line 2", "!mine"]),
    "a broken tag": ("x: !<", ["line 1"]),
    "an open list": ("a: 1\nx: [1", ["line 3", "not YAML"]),
    "a control character": ("a: 1\nb: \x07", ["line 2", "control characters"]),
    "two documents": ("---\na\n---\nb", ["line 3", "another document"]),
}


@pytest.mark.parametrize("case", BAD)
def test_a_text_that_cannot_be_read_is_one_error_with_its_line(case):
    text, words = BAD[case]
    with pytest.raises(DefinitionError) as refused:
        parse_yaml(text, "night.yaml", DefinitionError)
    message = str(refused.value)
    assert message.startswith("night.yaml: ")
    assert all(word in message for word in words), message
    assert len(message) < 400


def test_files_that_are_none(tmp_path):
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"a: 1\nb: caf\xe9\n")
    (tmp_path / "large.yaml").write_bytes(b"#" * (2 * 2**20 + 1))
    cases = {
        "pipe.yaml": "pipe",
        ".": "folder",
        "latin.yaml": "line 2",
        "large.yaml": "2 MiB",
        "absent.yaml": "No such file",
        "n" * 300: "too long",
        "nul\0.yaml": "null byte",
    }
    for name, word in cases.items():
        with pytest.raises(SettingsError) as refused:
            read_yaml(f"{tmp_path}/{name}", SettingsError, "the cluster file")
        assert word in str(refused.value)
        assert "the cluster file" in str(refused.value)
        assert "\0" not in str(refused.value)


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path):
    (tmp_path / "a.yaml").write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert read_yaml(tmp_path / "a.yaml", SettingsError, "settings") == {"a": 1}
