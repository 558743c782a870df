"""Real files: all that the catalog lists is read, or refused for the reason it gives."""

from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest

from geomob_dask.errors import InputError
from geomob_dask.sources.matching import match_keys
from geomob_dask.sources.measures import read_measures
from geomob_dask.sources.tracts import read_tracts

pytestmark = pytest.mark.real_data


def test_the_measures_of_2018(real_data: Path) -> None:
    file = real_data / "opportunity_2018" / "measures.csv.gz"
    frame, report = read_measures(file)
    assert frame.shape == (73_056, 23)
    assert (frame.dtypes == np.float64).all()
    assert (frame["population"] == 0).sum() == 645
    assert report.missing["fordq_rate"] == 21_390
    texts = pd.read_csv(file, dtype=str, keep_default_na=False, index_col="GEOID").sort_index()
    by_python = texts.map(lambda text: float(text) if text else np.nan)
    assert np.array_equal(frame.to_numpy(), by_python.to_numpy(float), equal_nan=True)


OEPS = {
    "Access02_T": (74_119, 3),
    "Access03_T": (72_837, 3),
    "Access04_T": (74_118, 3),
    "Access05_T": (74_118, 3),
    "Access06_T": (74_119, 3),
    "Access07_T": (74_099, 3),
    "BE02_T_ruca": (74_002, 3),
    "DS03_T_svi2018_themes": (72_837, 5),
    "EC01_T_jobs_by_industry": (73_056, 6),
    "EC02_T_essential_workers": (73_056, 4),
    "EC03_T_unemp_poverty_pci": (73_056, 4),
    "EC04_T_foreclosure": (72_837, 6),
    "EC05_T_internet_2019": (73_056, 8),
    "commuting_tract18": (73_056, 3),
    "commuting_tract23": (84_400, 3),
    "insurance_tract18": (73_056, 4),
    "internet_tract18": (73_056, 3),
    "internet_tract23": (84_400, 3),
    "tract-2019": (72_615, 4),
    "tract-sdoh-2014": (73_874, 5),
}


def test_all_oeps_files_are_named_here(real_data: Path) -> None:
    found = {file.name.removesuffix(".csv.gz") for file in (real_data / "measures" / "oeps").iterdir()}
    assert found == {*OEPS, "BE01_T_housing"}


@pytest.mark.parametrize("name", OEPS)
def test_a_table_of_oeps(real_data: Path, name: str) -> None:
    frame, report = read_measures(real_data / "measures" / "oeps" / f"{name}.csv.gz")
    assert frame.shape == OEPS[name]
    assert report.keys.rows == len(frame)
    assert (frame.index.str.len() == 11).all()


def test_keys_without_their_zeros(real_data: Path) -> None:
    folder = real_data / "measures" / "oeps"
    frame, report = read_measures(folder / "tract-sdoh-2014.csv.gz")
    assert len(report.keys.padded) == 13_679
    other, _ = read_measures(folder / "tract-2019.csv.gz")
    assert len(frame.index.intersection(other.index)) == 72_615


def test_infinite_density_is_refused_or_missing(real_data: Path) -> None:
    file = real_data / "measures" / "oeps" / "BE01_T_housing.csv.gz"
    with pytest.raises(InputError, match=r"column 'unitDens', tract 25025990101: found inf, expected a finite"):
        read_measures(file)
    frame, report = read_measures(file, infinite="missing")
    assert frame.shape == (72_837, 7)
    assert report.infinite == {"unitDens": 1}
    assert report.missing["unitDens"] == 98 + 1


def test_codes_of_the_bureau_are_refused(real_data: Path) -> None:
    file = real_data / "measures" / "acs5" / "B19113_2023.csv.gz"
    with pytest.raises(
        InputError, match=r"column 'B19113_001E', tract \d{11}: found -666666666, expected a number, not"
    ):
        read_measures(file)
    assert len(read_measures(real_data / "measures" / "acs5" / "B25001_2023.csv.gz")[0]) == 85_381


def test_a_table_of_data_census_gov(real_data: Path, tmp_path: Path) -> None:
    import zipfile

    with zipfile.ZipFile(real_data / "exposure" / "acs5_2018_B02001_all_states.zip") as archive:
        name = next(name for name in archive.namelist() if "data_with_overlays" in name)
        header, labels, *rows = archive.read(name).splitlines()
    file = tmp_path / "B02001.csv"
    file.write_bytes(b"\n".join([header, labels, *rows]))
    with pytest.raises(InputError, match=r"column GEO_ID, row 1: found 'id', which looks like a second header row"):
        read_measures(file)
    file.write_bytes(b"\n".join([header, *rows]))
    with pytest.raises(InputError, match=r"found '0100000US', the row of the whole country"):
        read_measures(file)
    file.write_bytes(b"\n".join([header, *(row for row in rows if b"0100000US" not in row)]))
    frame, _ = read_measures(file, columns=["B02001_001E"])
    assert len(frame) == 74_001


def test_polygons_of_2010(real_data: Path) -> None:
    tracts, report = read_tracts([real_data / "tracts" / "cb500k_2010_vintage.parquet"])
    assert len(tracts) == report.rows == report.tracts == 70_534
    assert sorted(report.repaired) == [
        "06029004604",
        "06029006007",
        "06039000202",
        "06071010424",
        "12091020800",
        "51191010200",
    ]
    assert tracts.geometry.is_valid.all()
    # Where a shell lay inside a shell there is another tract: the repair made it a hole.
    for outer, inner in (("06029006007", "06029006002"), ("51191010200", "51520020400")):
        assert tracts.geometry[outer].intersection(tracts.geometry[inner]).area == 0
    measures, _ = read_measures(real_data / "opportunity_2018" / "measures.csv.gz", columns=["population"])
    match = match_keys(measures.index, tracts.index)
    assert match.matched + len(match.no_polygon) == len(measures)
    assert match.matched + len(match.no_measures) == len(tracts)
    assert sum(key.startswith("39") for key in match.no_polygon) == 4


def test_polygons_as_published(real_data: Path) -> None:
    tracts, report = read_tracts([real_data / "tracts" / "cb_2018_geojson_5_states.zip"])
    assert len(tracts) == report.rows == 8_827
    assert len(report.files) == 5
    assert set(tracts.index.str[:2]) == {"18", "21", "26", "39", "54"}
    assert tracts["aland"].ge(0).all()


def test_the_polygons_of_the_grid(real_data: Path) -> None:
    file = real_data / "opportunity_grid" / "ooi_tracts.gpkg"
    tracts, report = read_tracts([file])
    as_given = gpd.read_file(file).set_index("GEOID").sort_index()
    assert len(tracts) == report.tracts == 200
    assert tracts.geometry.geom_equals(as_given.geometry.rename_axis("geoid")).all()
    assert tracts.crs == as_given.crs
