"""Pieces of messages."""

import pytest

from geomob_dask.errors import InputError
from geomob_dask.messages import counted, listed, one_line, reason, shown_path, without_passwords


def test_a_list_shows_its_first_names_and_their_number() -> None:
    assert listed(["a", "b"], 2) == "a, b"
    assert listed(range(1_200), 3) == "0, 1, 2, … (1,200 in total)"
    # Only the first are at hand.
    assert listed(["a", "b", "c", "d"], 3, total=40) == "a, b, c, … (40 in total)"
    assert listed(["a"], 3, total=1) == "a"
    assert listed(iter([])) == ""


def test_a_long_name_in_a_list_is_cut() -> None:
    text = listed(["x" * 10_000, "b"])
    assert text.endswith("…, b")
    assert len(text) < 100
    path = f"/{'folder/' * 20}a.csv"
    assert listed([path, "b.csv"]) == f"{path}, b.csv"


@pytest.mark.parametrize(
    ("count", "noun", "plural", "text"),
    [
        (1, "tract", None, "1 tract"),
        (0, "tract", None, "0 tracts"),
        (1_181, "tract", None, "1,181 tracts"),
        (1, "county", None, "1 county"),
        (3, "county", None, "3 counties"),
        (2, "survey", None, "2 surveys"),
        (2, "column of numbers", "columns of numbers", "2 columns of numbers"),
        (1, "column of numbers", "columns of numbers", "1 column of numbers"),
    ],
)
def test_a_noun_agrees_with_its_count(count: int, noun: str, plural: str | None, text: str) -> None:
    assert counted(count, noun, plural) == text


def test_errors_are_told_in_one_line_that_can_be_printed() -> None:
    assert one_line(ValueError("a\n  b\x1b[31m")) == "a b?[31m"
    assert reason(FileNotFoundError(2, "No such file or directory", "a.csv")) == "No such file or directory"
    assert reason(InputError()) == "InputError"
    assert len(reason(ValueError("x" * 1_000))) == 301


def test_a_path_is_quoted_only_where_it_needs_to_be() -> None:
    assert shown_path("folder/a b.csv") == "folder/a b.csv"
    assert shown_path("a\x1b.csv") == "'a\\x1b.csv'"
    assert len(shown_path("x" * 5_000)) == 1_000


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("s3://u:p@b: 'simplecache::s3:/u:p@b'", "s3://…@b: 'simplecache::s3:/…@b'"),
        ("s3://b/a:c@d and me@home", "s3://b/a:c@d and me@home"),
        ("12:30 a:b@c, 1://u:p@b", "12:30 a:b@c, 1://u:p@b"),
        ("a1s3://:@b", "a1s3://…@b"),
    ],
)
def test_users_and_passwords_are_taken_out_of_addresses(text: str, told: str) -> None:
    assert without_passwords(text) == told


@pytest.mark.parametrize("text", ["a" * 3_000_000, "a://b:" * 300_000, "a:/" * 500_000, "@:/" * 200_000])
def test_a_name_of_millions_of_characters_is_looked_through_once(text: str) -> None:
    # A search that took the square of the length would not end here.
    assert without_passwords(text) == text
