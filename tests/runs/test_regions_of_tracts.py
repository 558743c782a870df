"""Tables of regions, of every form, into the store, and the regions of a state's tracts out of it."""

import json

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from exposure_sample import metro_json
from rich.console import Console
from stores import contents, stored_regions

from geomob_dask.errors import GeometryError, InputError
from geomob_dask.runs.landing import ingest
from geomob_dask.runs.places import Options, ingest_areas
from geomob_dask.sources.areas import areas_by_state, read_areas
from geomob_dask.sources.regions import RegionColumns, read_regions
from geomob_dask.store import Store

QUIET = Console(quiet=True)
TRACTS = ["91001000100", "91001000200", "91003000100"]


def measures(**columns):
    return pd.DataFrame(columns, index=pd.Index(TRACTS, name="geoid"))


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path / "store"))


def saved(tmp_path, text, name="regions.csv"):
    path = tmp_path / name
    path.write_text(text)
    return str(path)


def test_counties_and_states_are_known_from_keys(store):
    county = stored_regions(store, "county", "2020", "91", measures())
    assert county["region"].tolist() == ["91001", "91001", "91003"]
    assert county["afact"].tolist() == [1, 1, 1]
    state = stored_regions(store, "state", "2020", "91", measures())
    assert set(state["region"]) == {"91"}
    assert set(state["region_name"]) == {"Sample State A (made up)"}


def test_a_column_of_codes_is_text_and_a_blank_is_no_region(store):
    by = stored_regions(store, "zone", "2020", "91", measures(zone=[35620.0, np.nan, 100.0]))
    assert by["region"].to_dict() == {TRACTS[0]: "35620", TRACTS[2]: "100"}
    with pytest.raises(InputError, match=rf"zone, tract {TRACTS[1]}: found 0.5"):
        stored_regions(store, "zone", "2020", "91", measures(zone=[1.0, 0.5, 2.0]))


def test_json_of_counties_gives_tracts_their_area_across_state_lines(store, tmp_path):
    ingest(store, "regions", file=saved(tmp_path, json.dumps(metro_json()), "m.json"), name="cbsa", vintage="2020")
    here = stored_regions(store, "cbsa", "2020", "91", measures())
    assert here["region"].to_dict() == {TRACTS[0]: "10001", TRACTS[1]: "10001"}
    assert set(here["region_name"]) == {"Twin Cities"}
    assert stored_regions(store, "cbsa", "2020", "94", measures().iloc[:0]).empty


def test_a_csv_of_pieces_of_keys_and_names(tmp_path):
    table = read_regions(saved(tmp_path, "cz,state,county,czname\n100,1,3,Alpha\n100,91,1,Beta\n"), "cz")
    assert table.key == "county"
    assert table.rows.index.tolist() == ["01003", "91001"]
    assert table.rows["region_name"].tolist() == ["Alpha", "Beta"]


def test_columns_of_any_name_with_shares(tmp_path):
    text = "id,zone,part\n91001000100,a,0.25\n91001000100,b,0.75\n91001000200,a,1\n"
    columns = RegionColumns(key="id", region="zone", afact="part")
    table = read_regions(saved(tmp_path, text), "x", columns)
    assert table.key == "tract"
    assert table.rows["afact"].tolist() == [0.25, 0.75, 1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("GEOID,cbsa\n91001000100,1\n91001000100,2\n", r"91001000100: shares sum to 2, expected 1 at most"),
        ("GEOID,cbsa\n91001000100,1\n91001,2\n", r"found counties \(5 digits\) and tracts \(11\) among the keys"),
        ("GEOID,zone\n91001000100,1\n", r"found the columns GEOID, zone, expected one of cbsa, region, code"),
        ("place,cbsa\n91001000100,1\n", r"expected one of GEOID, .* with the keys of tracts or counties"),
        ("GEOID,cbsa\nnowhere,1\n", r"found 'nowhere'"),
        ("GEOID,cbsa\n97001000100,1\n", r"no key of a known state"),
    ],
)
def test_a_table_that_does_not_fit_is_named(tmp_path, text, message):
    with pytest.raises(InputError, match=rf"regions\.csv.*{message}"):
        read_regions(saved(tmp_path, text), "cbsa")


@pytest.mark.parametrize(
    ("text", "message"),
    [("[1]", "expected JSON of keys"), ('{"91001": [5]}', r"key 91001: found \[5\], expected a"), ("{", "cannot be")],
)
def test_json_that_does_not_fit_is_named(tmp_path, text, message):
    with pytest.raises(InputError, match=rf"m\.json.*{message}"):
        read_regions(saved(tmp_path, text, "m.json"), "cbsa")


GEOCORR = "county,tract,state,placefp,placenm,afact,afact2\n"


def test_a_wrong_years_crosswalk_is_refused(store, tmp_path):
    rows = "".join(f"91001,{number:04d}.50,91,00100,Town,1,0.1\n" for number in range(1, 6))
    ingest(store, "regions", file=saved(tmp_path, GEOCORR + rows), name="place", vintage="2020")
    with pytest.raises(InputError, match=r"regions place and the measures: 5 of 5 tracts of the crosswalk are not in"):
        stored_regions(store, "place", "2020", "91", measures())


def test_shares_of_counties_do_not_tell_where_tracts_lie(store, tmp_path):
    text = "county,state,placefp,placenm,afact,afact2\n91001,91,00100,Town,0.4,1\n91001,91,99999,,0.6,1\n"
    ingest(store, "regions", file=saved(tmp_path, text), name="place", vintage="2020")
    with pytest.raises(InputError, match=r"0\.4 of county 91001 lies in region 9100100; which of its tracts"):
        stored_regions(store, "place", "2020", "91", measures())


def test_regions_that_are_not_there_are_named_with_those_that_are(store, tmp_path):
    ingest(store, "regions", file=saved(tmp_path, json.dumps(metro_json()), "m.json"), name="cbsa", vintage="2010")
    with pytest.raises(InputError, match=r"--by cbsa: .*\(zone\).* of vintage 2020 in the store \(cbsa/2010\)"):
        stored_regions(store, "cbsa", "2020", "91", measures(zone=1.0))
    with pytest.raises(InputError, match=r"name county: known from every tract's key"):
        ingest(store, "regions", file="m.json", name="county", vintage="2020")


# From polygons -----------------------------------------------------------------------------------


def overlay(store, files, name, *, vintage="2020", client=None, **options):
    return ingest_areas(store, Options.of(files=files, name=name, vintage=vintage, **options), client, QUIET)


KM = 1000.0


def squares():
    """Return six tracts of 1 km in a row, three in each of two states."""
    keys = [f"{state}00100{number}00" for state in ("91", "92") for number in ("01", "02", "03")]
    return gpd.GeoDataFrame(
        {"GEOID": [key.ljust(11, "0") for key in keys]},
        geometry=[shapely.box(x * KM, 0, (x + 1) * KM, KM) for x in range(6)],
        crs="EPSG:5070",
    )


def place_layer(**boxes):
    return gpd.GeoDataFrame(
        {"GEOID": [name.lstrip("p") for name in boxes], "NAMELSAD": [f"Town {name}" for name in boxes]},
        geometry=[shapely.box(*(KM * np.array(box))) for box in boxes.values()],
        crs="EPSG:5070",
    )


def files(tmp_path, places):
    squares().to_parquet(tmp_path / "tracts.parquet")
    places.to_parquet(tmp_path / "places.parquet")
    return str(tmp_path / "tracts.parquet"), [str(tmp_path / "places.parquet")]


@pytest.mark.parametrize("crs", ["EPSG:5070", "EPSG:4269"])
def test_places_by_area_stay_in_their_state(store, tmp_path, client, crs):
    # The first place leans over the state line by a quarter of a tract: its own state's part counts.
    places = place_layer(p9100100=(0.5, 0, 3.25, 1), p9200100=(3.25, 0, 4, 1)).to_crs(crs)
    tracts, layers = files(tmp_path, places)
    ingest(store, "tracts", files=[tracts], vintage="2020")
    done = overlay(store, layers, "place", client=client)
    assert done.rows == {"91": 3, "92": 1}
    names = squares()["GEOID"].tolist()
    here = stored_regions(store, "place", "2020", "91", pd.DataFrame(index=pd.Index(names[:3], name="geoid")))
    np.testing.assert_allclose(here["afact"], [0.5, 1, 1], rtol=1e-3)
    np.testing.assert_allclose(here["afact2"], np.array([0.5, 1, 1]) / 2.75, rtol=1e-3)
    assert set(here["region_name"]) == {"Town p9100100"}
    table = store.read(store.snapshot("regions/place/2020").parts["91"])
    np.testing.assert_allclose(table.groupby(level=0)["afact"].sum(), 1, atol=1e-9)


def test_regions_across_state_lines_by_area(store, tmp_path):
    tracts, layers = files(tmp_path, place_layer(metro=(2, 0, 4.5, 1)))
    ingest(store, "tracts", files=[tracts], vintage="2020")
    done = overlay(store, layers, "zone")
    assert done.rows == {"91": 1, "92": 2}
    assert areas_by_state(read_areas(layers)[0], ["91"]).keys() == {"all"}


def test_slivers_can_be_left_out(store, tmp_path):
    tracts, layers = files(tmp_path, place_layer(metro=(0.999, 0, 2, 1)))
    ingest(store, "tracts", files=[tracts], vintage="2020")
    assert overlay(store, layers, "zone").rows == {"91": 2, "92": 0}
    assert overlay(store, layers, "zone", least=0.01).rows == {"91": 1, "92": 0}


def test_polygons_that_cannot_be_used_leave_the_store_as_it_was(store, tmp_path):
    tracts, layers = files(tmp_path, place_layer(a=(0, 0, 2, 1), b=(1, 0, 3, 1)))
    ingest(store, "tracts", files=[tracts], vintage="2020")
    before = contents(store)
    with pytest.raises(GeometryError, match=r"source 91001000200: targets cover 2.0000 of its area"):
        overlay(store, layers, "zone")
    _, far = files(tmp_path, place_layer(a=(50, 50, 51, 51)))
    with pytest.raises(InputError, match=r"no polygon shares an area with a tract of vintage 2020"):
        overlay(store, far, "zone")
    _, elsewhere = files(tmp_path, place_layer(p9300100=(0, 0, 1, 1)))
    with pytest.raises(InputError, match=r"found places of the states 93, expected some of 91, 92"):
        overlay(store, elsewhere, "place")
    with pytest.raises(InputError, match=r"no tracts/1990.*available: 2020"):
        overlay(store, far, "zone", vintage="1990")
    with pytest.raises(InputError, match=r"least: .* found 1.0"):
        overlay(store, far, "zone", least=1.0)
    assert contents(store) == before


def test_files_of_areas_are_checked(tmp_path):
    twice = pd.concat([place_layer(a=(0, 0, 1, 1)), place_layer(a=(1, 0, 2, 1))])
    no_crs = place_layer(a=(0, 0, 1, 1)).set_crs(None, allow_override=True)
    point = place_layer(a=(0, 0, 1, 1)).set_geometry([shapely.Point(0, 0)], crs="EPSG:5070")
    for layer, message in (
        (twice, "region a"),
        (no_crs, "no coordinate system"),
        (point, "region a: found no polygon"),
        (place_layer(a=(0, 0, 1, 1)).rename(columns={"GEOID": "other"}), "expected GEOID or"),
    ):
        layer.to_parquet(tmp_path / "layer.parquet")
        with pytest.raises(InputError, match=message):
            read_areas([str(tmp_path / "layer.parquet")])
    bow = place_layer(a=(0, 0, 1, 1)).set_geometry([shapely.Polygon([(0, 0), (1, 1), (1, 0), (0, 1)])], crs="EPSG:5070")
    bow.to_parquet(tmp_path / "layer.parquet")
    areas, lines = read_areas([str(tmp_path / "layer.parquet")])
    assert areas.is_valid.all()
    assert lines[1] == "1 polygon repaired: a"
    with pytest.raises(InputError, match=r"cannot be read"):
        read_areas([saved(tmp_path, "no map", "layer.geojson")])
