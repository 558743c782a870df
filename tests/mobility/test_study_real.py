"""The study's real files; the numbers of docs/mobility.md. Skipped by name without GEOMOB_DATA."""

import numpy as np
import openpyxl
import pandas as pd
import pytest
import xlrd

from geomob_dask.definition import read_definition
from geomob_dask.frames.neighbors import neighbors
from geomob_dask.models.clusters import elbow
from geomob_dask.models.exploration import correlations
from geomob_dask.models.labels import make_labels
from geomob_dask.models.mutual_information import mutual_information
from geomob_dask.products.mobility_study import Universe
from geomob_dask.products.zones_study import zones_counts, zones_polygons
from geomob_dask.runs.landing import ingest
from geomob_dask.sources.county_zones import read_county_zones, zones_of_counties
from geomob_dask.sources.opportunity_insights import (
    CHARACTERISTICS,
    OUTCOMES,
    UPWARD_MOBILITY,
    minority_tracts,
    read_white_shares,
    read_workbook,
    zone_columns,
)
from geomob_dask.store import Store

pytestmark = pytest.mark.real_data


def zones_of(store, **options):
    return Universe("zones", **options).read(store)


def tracts_of(store, measures, **options):
    return Universe("tracts", measures=tuple(measures), **options).read(store)


@pytest.fixture(scope="module")
def ingested(real_data, tmp_path_factory):
    store = Store(str(tmp_path_factory.mktemp("mobility")))
    done = ingest(
        store,
        "zones",
        workbook=str(real_data / "mobility" / "online_data_tables-8.xls"),
        county_zones=str(real_data / "mobility" / "opportunity_atlas_cz_county_crosswalk.csv"),
        cohort_counts=str(real_data / "tracts" / "census_2000_race_counts.csv.gz"),
        counties=str(real_data / "places" / "counties_2020_simplified.geojson"),
    )
    return store, done


@pytest.fixture(scope="module")
def cohort(ingested):
    return zones_of(ingested[0])


def test_workbook_against_its_cells(real_data):
    """The rows and columns that the catalog of the data names, read by number."""
    file = real_data / "mobility" / "online_data_tables-8.xls"
    book, found = xlrd.open_workbook(file), read_workbook(file)
    for sheet, header, first, table in (
        (CHARACTERISTICS, 6, 8, found.characteristics),
        (OUTCOMES, 49, 52, found.outcomes),
    ):
        cells = book.sheet_by_name(sheet)
        rows = [cells.row_values(number) for number in range(first, cells.nrows)]
        assert len(rows) == len(table) == 741
        headings = [" ".join(text.split()) for text in cells.row_values(header)]
        # Every column of the sheet is read.
        assert sorted(headings[3:]) == sorted(column.heading for column in zone_columns(sheet))
        for column in zone_columns(sheet):
            place = headings.index(column.heading)
            expected = pd.Series({f"{int(row[0]):05d}": np.nan if row[place] == "" else row[place] for row in rows})
            np.testing.assert_array_equal(table[column.name].to_numpy(), expected.loc[table.index].to_numpy(float))
    assert found.characteristics.isna().sum().sum() == 932


def test_xlsx_of_the_same_cells_is_the_same(real_data, tmp_path):
    file = real_data / "mobility" / "online_data_tables-8.xls"
    book, copy = xlrd.open_workbook(file), openpyxl.Workbook()
    copy.remove(copy.active)
    for name in (CHARACTERISTICS, OUTCOMES):
        sheet, cells = copy.create_sheet(name), book.sheet_by_name(name)
        for number in range(cells.nrows):
            sheet.append([None if cell == "" else cell for cell in cells.row_values(number)])
    copy.save(tmp_path / "book.xlsx")
    one, other = read_workbook(file), read_workbook(tmp_path / "book.xlsx")
    pd.testing.assert_frame_equal(one.characteristics, other.characteristics)
    pd.testing.assert_frame_equal(one.outcomes, other.outcomes)


def test_cohort(ingested, cohort):
    counts = zones_counts(ingested[0], ingested[0].snapshot("zones/1990"))
    assert counts["zones"] == 741
    assert counts["zones_with_outcome"] == 709
    assert counts["cohort"] == 488
    assert counts["cohort_with_outcome"] == 481
    assert counts["white_share_mean"] == pytest.approx(0.6881, abs=5e-5)
    assert len(cohort.keys) == 481
    assert make_labels(cohort.outcome, 2).counts.tolist() == [245, 236]
    assert make_labels(cohort.outcome, 4).counts.tolist() == [121, 120, 120, 120]


def test_strongest_correlate(cohort):
    found = correlations(cohort.values, cohort.outcome)
    first = int(np.argmax(np.abs(found.r)))
    assert cohort.feature_names[first] == "single_mothers_share"
    assert found.r[first] == pytest.approx(-0.723, abs=5e-4)
    assert found.lower[first] == pytest.approx(-0.763, abs=5e-4)
    assert found.upper[first] == pytest.approx(-0.678, abs=5e-4)


def test_other_readings_of_the_cohort(real_data, ingested):
    """-0.711 is what the 488 zones give with the seven missing outcomes filled by their mean."""
    book = read_workbook(real_data / "mobility" / "online_data_tables-8.xls")
    zones = read_county_zones(real_data / "mobility" / "opportunity_atlas_cz_county_crosswalk.csv")
    found = {}
    for white in ("nh.white", "white"):
        shares = read_white_shares(real_data / "tracts" / "census_2000_race_counts.csv.gz", white)
        counties = shares.index.str[:5][minority_tracts(shares.to_numpy())]
        cohort = sorted(zones_of_counties(counties, zones)[0].unique())
        outcome = book.outcomes.loc[cohort, UPWARD_MOBILITY]
        mothers = book.characteristics.loc[cohort, "single_mothers_share"]
        known = outcome.dropna()
        found[white] = (
            len(cohort),
            len(known),
            int((known > known.mean()).sum()),
            round(float(known.corr(mothers)), 3),
            round(float(outcome.fillna(known.mean()).corr(mothers)), 3),
        )
    assert found["nh.white"] == (488, 481, 236, -0.723, -0.711)
    assert found["white"][:4] == (479, 473, 231, -0.72)
    everywhere = book.outcomes[UPWARD_MOBILITY].corr(book.characteristics["single_mothers_share"])
    assert everywhere == pytest.approx(-0.764, abs=5e-4)


def test_mutual_information_puts_single_mothers_first(cohort):
    found = mutual_information(cohort.values, make_labels(cohort.outcome, 2).codes, names=cohort.feature_names)
    nats = dict(zip(cohort.feature_names, found.nats, strict=True))
    first = int(found.order[0])
    assert cohort.feature_names[first] == "single_mothers_share"
    assert found.nats[first] == pytest.approx(0.219, abs=5e-4)
    assert found.lower[first] == pytest.approx(0.152, abs=5e-4)
    assert found.upper[first] == pytest.approx(0.286, abs=5e-4)
    assert nats["black_share"] == pytest.approx(0.193, abs=5e-4)
    assert nats["teenage_labor_force_rate"] == pytest.approx(0.110, abs=5e-4)
    assert nats["state_tax_progressivity_points"] == pytest.approx(0.104, abs=5e-4)


def test_a_single_run_of_tied_mutual_information_is_noise(cohort):
    tax = cohort.columns(["state_tax_progressivity_points"])
    codes = make_labels(tax.outcome, 2).codes
    runs = [mutual_information(tax.values, codes, repeats=0, runs=1, seed=seed).nats[0] for seed in range(40)]
    assert min(runs) < 0.09
    assert max(runs) > 0.12


def test_mutual_information_of_four_classes(cohort):
    found = mutual_information(cohort.values, make_labels(cohort.outcome, 4).codes, repeats=0)
    assert cohort.feature_names[found.order[0]] == "single_mothers_share"


def test_elbow_of_the_zones(cohort):
    found = elbow(cohort.values)
    assert found.knee == 4
    assert np.nanmin(found.silhouette) > 0.09
    assert np.nanmax(found.silhouette) < 0.14


def test_polygons_and_neighbors(ingested):
    store, done = ingested
    polygons = zones_polygons(store, store.snapshot("zones/1990"))
    assert len(polygons) == 741
    assert polygons.is_valid.all()
    table = store.read(store.snapshot("zones/1990").parts["neighbors"]).reset_index()
    assert len(table) == 4100
    # Zones by their counties, and the dissolved polygons themselves: the same pairs.
    dissolved = neighbors(polygons[["geometry"]])
    assert set(zip(table["focal"], table["neighbor"], strict=True)) == set(dissolved["neighbor"].items())
    lines = "\n".join(done.lines)
    for words in (
        "02063 as 02261",
        "51515 as 51019",
        "South Dakota: 46102",
        "Alaska: 02158",
        "8 zones without a neighbor",
    ):
        assert words in lines


def test_tracts(real_data, tmp_path):
    store = Store(str(tmp_path))
    ingest(store, "atlas", file=str(real_data / "mobility" / "opportunity_atlas_tract_collapse.csv.gz"))
    measures = real_data / "opportunity_2018" / "measures.csv.gz"
    ingest(store, "measures", file=str(measures), dataset="opportunity_2018", year=2018, vintage="2010")
    study = tracts_of(store, [("opportunity_2018", 2018)])
    assert study.values.shape == (71914, 23)  # noqa: PD011
    definition = read_definition(str(real_data / "opportunity_2018" / "definition.csv"))
    named = tracts_of(store, [("opportunity_2018", 2018)], definition=definition)
    assert set(named.domains) == set(definition.domains)
    # A tract that two routes lead to.
    table = pd.read_csv(measures, dtype={"GEOID": str}).set_index("GEOID")
    row = list(study.keys).index("39035118800")
    expected = table.loc["39035118800", list(study.feature_names)].to_numpy(float)
    np.testing.assert_array_equal(study.values[row], expected)  # noqa: PD011
