"""Polygons under the codes of another vintage of the same polygons."""

from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely

from geomob_dask.errors import InputError
from geomob_dask.sources.recoded import recoded
from geomob_dask.sources.tracts import Options, read
from geomob_dask.sources.vintages import recoding


def tracts(*keys: str) -> gpd.GeoDataFrame:
    shapes = [shapely.box(number, 0, number + 1, 1) for number in range(len(keys))]
    columns = {"geometry": shapes, "aland": 10.0 + np.arange(len(keys)), "awater": np.nan}
    return gpd.GeoDataFrame(columns, index=pd.Index(keys, dtype="str", name="geoid"), crs=5070)


def test_connecticut_by_planning_regions() -> None:
    given = tracts("09001010101", "09013528100", "44001030100")
    found, lines = recoded(given, "2020", "2022")
    assert found.index.tolist() == ["09110528100", "09190010101", "44001030100"]
    assert found.geometry["09190010101"].equals(given.geometry["09001010101"])
    assert found["aland"].tolist() == [11.0, 10.0, 12.0]
    assert "2 of 3 tracts" in lines[0]
    back, _ = recoded(found, "2022", "2020")
    assert back.index.tolist() == given.index.tolist()
    assert back.geometry.geom_equals(given.geometry).all()


def test_every_tract_of_connecticut_with_people() -> None:
    table = recoding("2022").query("kind == 'recode'")
    found, _ = recoded(tracts(*table["source"]), "2020", "2022")
    assert found.index.tolist() == sorted(table["target"])


def test_water_that_is_divided_is_left_out_and_water_that_is_joined_is_united() -> None:
    found, lines = recoded(tracts("09001010101", "09001990000", "09007990100"), "2020", "2022")
    assert found.index.tolist() == ["09130990100", "09190010101"]
    assert "09001990000" in lines[1]
    found, _ = recoded(tracts("09120990000", "09190990000"), "2022", "2020")
    assert found.index.tolist() == ["09001990000"]
    assert found.geometry.iloc[0].equals(shapely.box(0, 0, 2, 1))
    assert found["aland"].tolist() == [21.0]
    found, _ = recoded(tracts("36085008900", "36085009700"), "census2010", "2010")
    assert found.index.tolist() == ["36085009700"]


@pytest.mark.parametrize(
    ("key", "what"),
    [("09001999999", "not in the table of codes"), ("09190010101", "has its code of vintage 2022 already")],
)
def test_codes_that_are_not_of_the_vintage_are_refused(key: str, what: str) -> None:
    with pytest.raises(InputError, match=rf"tract {key}: .*{what}.*expected codes of vintage 2020"):
        recoded(tracts("44001030100", key), "2020", "2022")


def test_a_tract_under_both_of_its_codes_is_refused() -> None:
    with pytest.raises(InputError, match="tract 36053030101: has its code of vintage 2010 already"):
        recoded(tracts("36053030101", "36053940101"), "census2010", "2010")


@pytest.mark.parametrize("source", ["2010", "2022", "1999"])
def test_other_polygons_are_refused_before_a_file_is_read(source: str) -> None:
    with pytest.raises(InputError, match=rf"{source}.*2020"):
        read(Options.of(files=["none.gpkg"], vintage="2022", recode_from=source))


def test_the_command_reads_and_recodes(tmp_path: Path) -> None:
    tracts("09001010101", "44001030100").reset_index().to_parquet(tmp_path / "t.parquet")
    tables = read(Options.of(files=[str(tmp_path / "t.parquet")], vintage="2022", recode_from="2020"))
    tables = tables if hasattr(tables, "parts") else tables[0]
    assert {state: part.index.tolist() for state, part in tables.parts.items()} == {
        "09": ["09190010101"],
        "44": ["44001030100"],
    }
    assert tables.options["recode_from"] == "2020"
    assert any("1 of 2 tracts" in line for line in tables.lines)
