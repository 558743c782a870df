"""Rankings: what is said of the highest and lowest, and which differences are larger than their margins."""

import json

import numpy as np
import pytest
from browser import PHONE, Visit
from pages import data_of

from geomob_dask.outputs.page import Section, report
from geomob_dask.outputs.ranking import Estimates, Measure, Ranking, above, answer, sure_pairs

NAMES = ["Adams County, Ohio", "Allen County, Ohio", "King County, Washington", "Ferry County, Washington", "Empty"]
CODES = ["39001", "39003", "53033", "53019", "99001"]


def estimates(seed: int = 3, number: int = 40) -> Estimates:
    """Values with intervals that are not symmetric; some have no interval, one no value."""
    rng = np.random.default_rng(seed)
    value = rng.uniform(0, 1, number)
    lower, upper = value - rng.uniform(0, 0.2, number), value + rng.uniform(0, 0.4, number)
    lower[3], value[5] = np.nan, np.nan
    return Estimates(value, lower, upper)


def counties() -> Ranking:
    value = np.array([0.30, 0.34, 0.80, 0.50, np.nan])
    margin = np.array([0.02, 0.05, 0.01, np.nan, np.nan])
    flags = ["1, good", "2, fair", "1, good", "error unknown", ""]
    rows = Estimates(value, value - margin, value + margin, raw=value - 0.01, flags=flags)
    missing = ["", "", "", "", "nobody of the group lives here"]
    other = Measure("Other", [Estimates(value, label="2019"), Estimates(1 - value, label="2020")], compares=False)
    return Ranking(("county", "counties"), NAMES, [Measure("Group", [rows], missing=missing), other], codes=CODES)


def test_a_difference_is_sure_beyond_the_arms_that_point_to_each_other() -> None:
    given = estimates()
    assert given.lower is not None
    assert given.upper is not None
    sure = 0
    for one in range(len(given.value)):
        found = above(given, one)
        for other in range(len(given.value)):
            difference = given.value[other] - given.value[one]
            high, low = (other, one) if difference > 0 else (one, other)
            margin = ((given.value[high] - given.lower[high]) ** 2 + (given.upper[low] - given.value[low]) ** 2) ** 0.5
            # A comparison with NaN is false: without an interval nothing is sure.
            known = not np.isnan([given.lower[one], given.lower[other]]).any()
            expected = int(np.sign(difference)) if known and abs(difference) > margin else 0
            assert found[other] == expected, (one, other)
            sure += expected != 0
    pairs = int(given.known.sum())
    assert given.known.sum() == 38
    assert sure_pairs(given) == pytest.approx(sure / (pairs * (pairs - 1)))
    assert 0.1 < sure_pairs(given) < 0.9


def test_blocks_of_pairs_are_all_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = sure_pairs(estimates())
    monkeypatch.setattr("geomob_dask.outputs.ranking._BLOCK", 7)
    assert sure_pairs(estimates()) == whole


def test_symmetric_intervals_have_the_usual_margin_of_a_difference() -> None:
    value, margin = np.array([0.0, 4.99, 5.01]), np.array([3.0, 4.0, 4.0])
    assert above(Estimates(value, value - margin, value + margin), 0).tolist() == [0, 0, 1]


def test_the_answer_names_the_ends_with_their_intervals() -> None:
    ranking = counties()
    assert answer(ranking, ranking.measures[0]) == (
        "Highest of 4 counties: King County, Washington, 0.800 (90% interval 0.790 to 0.810). Lowest: Adams County, "
        "Ohio, 0.300 (90% interval 0.280 to 0.320). Median: 0.420. By more than the margin of the difference, the "
        "highest is above all 2 others, the lowest below 1 of the 2 others; 67% of all pairs of counties differ."
    )
    # Of years, the last; without intervals, no difference is said to be sure.
    assert answer(ranking, ranking.measures[1]) == (
        "Highest of 4 counties in 2020: Adams County, Ohio, 0.700. Lowest: King County, Washington, 0.200. "
        "Median: 0.580."
    )


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([np.nan, np.nan], "No county has a value."),
        ([np.nan, 0.5], "One county has a value: Allen County, Ohio, 0.500."),
    ],
)
def test_few_values(values: list[float], text: str) -> None:
    measure = Measure("One", [Estimates(np.array(values))])
    ranking = Ranking(("county", "counties"), NAMES[:2], [measure])
    assert answer(ranking, measure) == text


def test_by_size_the_farthest_from_zero_are_named() -> None:
    value = np.array([0.1, -0.7, 0.4])
    measure = Measure("r", [Estimates(value, value - 0.2, value + 0.2)], by_size=True, compares=False)
    assert answer(Ranking(("attribute", "attributes"), ["a", "b", "c"], [measure]), measure) == (
        "Farthest from zero of 3 attributes: b, -0.700 (90% interval -0.900 to -0.500); c, 0.400 (90% interval 0.200 "
        "to 0.600); a, 0.100 (90% interval -0.100 to 0.300). The intervals of 2 of 3 do not hold zero."
    )


def test_the_page_holds_each_number_once_and_without_nan() -> None:
    data = data_of(report("A", "b", [Section("Ranked", "", ranking=counties())]))
    first = data["measures"][0]["estimates"][0]
    assert first["value"] == [0.3, 0.34, 0.8, 0.5, None]
    assert first["upper"] == [0.32, 0.39, 0.81, None, None]
    assert "NaN" not in json.dumps(data)
    assert data["measures"][1]["estimates"][0]["lower"] is None


ROWS = "rows => rows.map(row => Array.from(row.cells, cell => cell.innerText.replaceAll('\\n', ' | ')))"


def rows_of(page) -> list[list[str]]:
    return page.eval_on_selector_all(".ranking tbody tr", ROWS)


def test_in_a_browser_each_interval_is_in_the_row_of_its_name(visit: Visit, tmp_path) -> None:
    file = tmp_path / "page.html"
    file.write_text(report("A", "b", [Section("Ranked", "", ranking=counties())]), encoding="utf-8")
    page = visit(file)
    assert rows_of(page) == [
        ["1", "King County, Washington 53033", "", "0.800", "0.790 to 0.810", "1, good", "compared with"],
        ["2", "Ferry County, Washington 53019", "", "0.500", "—", "error unknown", "—"],
        ["3", "Allen County, Ohio 39003", "", "0.340", "0.290 to 0.390", "2, fair", "▼ lower"],
        ["4", "Adams County, Ohio 39001", "", "0.300", "0.280 to 0.320", "1, good", "▼ lower"],
        ["", "Empty 99001", "nobody of the group lives here"],
    ]
    # The drawing is where the axis says: the dot between the ends of its bar.
    middles = page.evaluate(
        """() => Array.from(document.querySelectorAll(".ranking tbody tr")).flatMap((row) => {
          const middle = (one) => (one.getBoundingClientRect().left + one.getBoundingClientRect().right) / 2;
          const bar = row.querySelector(".bar");
          return bar ? [middle(bar) - middle(row.querySelector(".dot"))] : [];
        })"""
    )
    assert len(middles) == 3
    assert max(map(abs, middles)) < 1
    # Another row is compared with, by the keyboard.
    page.get_by_role("button", name="Adams County, Ohio").press("Enter")
    assert [row[-1] for row in rows_of(page)] == [
        "▲ higher", "—", "≈ within margin", "compared with", "nobody of the group lives here"
    ]  # fmt: skip
    page.get_by_role("button", name="County", exact=True).click()
    assert [row[1].split(" ")[0] for row in rows_of(page)] == ["Adams", "Allen", "Empty", "Ferry", "King"]
    page.select_option(".measure", "Other")
    assert rows_of(page)[0][3] == "2019: 0.300 | 2020: 0.700"
    assert "in 2020: Adams County" in page.text_content(".ranking .answer")


def test_a_long_ranking_is_searched_by_name_and_code(visit: Visit, tmp_path) -> None:
    value = np.arange(300.0)
    names = [f"Župa {k}" for k in range(300)]
    codes = [f"{k:05d}" for k in range(300)]
    ranking = Ranking(("region", "regions"), names, [Measure("N", [Estimates(value, value - 1, value + 1)])], codes)
    file = tmp_path / "page.html"
    file.write_text(report("A", "b", [Section("Ranked", "", ranking=ranking)]), encoding="utf-8")
    page = visit(file, PHONE)
    assert len(rows_of(page)) == 15
    page.fill(".ranking input", "zupa 29")
    assert {row[1] for row in rows_of(page)} >= {"Župa 29 00029", "Župa 290 00290"}
    assert page.text_content(".count") == "13 of 300 regions found", "codes are searched too: 00129, 00229"
    page.fill(".ranking input", "00017")
    assert [row[0] for row in rows_of(page)] == ["283"]
    page.fill(".ranking input", "")
    page.get_by_role("button", name="Show all 300").click()
    assert len(rows_of(page)) == 300
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
