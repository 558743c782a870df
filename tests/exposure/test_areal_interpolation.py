import dask_geopandas
import geopandas as gpd
import numpy as np
import oracles_exposure as oracle
import pandas as pd
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from geomob_dask.errors import GeometryError, InputError, RunError
from geomob_dask.frames.overlay import area_weights
from geomob_dask.transforms import crosswalk as cw
from geomob_dask.transforms.exact_sums import ExactSums, merged


@st.composite
def linked(draw):
    """Counts of up to eight sources, given to up to three targets and to nobody."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_sources = draw(st.integers(1, 8))
    shares = random.dirichlet([0.5] * 4, size=n_sources)[:, :3]
    shares[random.random(shares.shape) < 0.3] = 0.0
    source, target = np.indices(shares.shape)
    links = cw.Links(source.ravel(), target.ravel(), shares.ravel())
    values = random.integers(0, 5000, n_sources).astype(float)
    return values, random.integers(0, 300, n_sources).astype(float), links


def triples(links):
    return list(zip(links.source, links.target, links.share, strict=True))


@settings(max_examples=60)
@given(linked())
def test_counts_are_split_as_by_plain_loops_and_nobody_is_lost(case):
    values, moes, links = case
    found, errors = cw.interpolate_extensive(values[:, None], moes[:, None], links, 3)
    expected, expected_errors = oracle.extensive(values, moes, triples(links), 3)
    np.testing.assert_allclose(found[:, 0], expected, rtol=1e-14)
    np.testing.assert_allclose(errors[:, 0], expected_errors, rtol=1e-14)
    cw.check_links(links, [str(row) for row in range(len(values))])
    cw.check_mass_balance(values, found, values * cw.outside(links, len(values)))


@settings(max_examples=40)
@given(linked())
def test_rates_are_averaged_as_by_plain_loops_and_lie_between_their_sources(case):
    rates, weights, links = case
    found, _, coverage = cw.interpolate_intensive(rates[:, None], np.zeros((len(rates), 1)), weights, links, 3)
    np.testing.assert_allclose(found[:, 0], oracle.intensive(rates, weights, triples(links), 3), rtol=1e-13)
    known = ~np.isnan(found[:, 0])
    assert (found[known] <= rates.max() * (1 + 1e-15)).all()
    assert (found[known] >= rates.min() * (1 - 1e-15)).all()
    assert (coverage[known] == 1).all()


@settings(max_examples=40)
@given(linked(), st.randoms(use_true_random=False))
def test_links_in_any_partitions_give_the_same_bytes(case, random):
    values, moes, links = case
    rows = list(range(len(links.share)))
    random.shuffle(rows)
    cut = random.randrange(len(rows) + 1)
    parts = []
    for part in (rows[:cut], rows[cut:]):
        source = links.source[part]
        terms = cw.extensive_terms(values[source, None], moes[source, None], links.share[part])
        parts.append(ExactSums.of(terms, links.target[part], 3))
    apart = cw.extensive_from_sums(merged(parts).rounded())
    together = cw.interpolate_extensive(values[:, None], moes[:, None], links, 3)
    assert [part.tobytes() for part in apart] == [part.tobytes() for part in together]


def test_shares_of_classes_sum_to_one_and_the_largest_leads():
    links = cw.Links(np.array([0, 1, 2, 3]), np.array([0, 0, 0, 1]), np.array([1.0, 0.5, 0.5, 1.0]))
    shares, dominant = cw.interpolate_categorical(np.array([2, 1, 1, -1]), 3, np.array([10.0, 10, 10, 10]), links, 3)
    np.testing.assert_array_equal(shares[0], [0, 0.5, 0.5])
    assert dominant.tolist() == [1, -1, -1]
    assert np.isnan(shares[1:]).all()


def test_a_missing_count_makes_its_target_unknown_and_a_missing_rate_is_left_out():
    links = cw.Links(np.array([0, 1, 1]), np.array([0, 0, 1]), np.array([1.0, 0.5, 0.0]))
    values, moes = np.array([[4.0], [np.nan]]), np.array([[1.0], [1.0]])
    counts, errors = cw.interpolate_extensive(values, moes, links, 2)
    assert np.isnan(counts[:, 0]).tolist() == np.isnan(errors[:, 0]).tolist() == [True, False]
    rates, _, coverage = cw.interpolate_intensive(values, moes, np.array([30.0, 20.0]), links, 2)
    assert rates[0, 0] == 4
    assert coverage[0, 0] == 0.75
    assert np.isnan(rates[1, 0])


@pytest.mark.parametrize(
    ("share", "complete", "message"),
    [
        ([0.5, 1.2], False, r"crosswalk, b: found the share 1.2, expected one from 0 to 1"),
        ([0.5, -0.1], False, r"crosswalk, b: found the share -0.1"),
        ([np.nan, 0.1], False, r"crosswalk, a: found the share nan"),
        ([0.6, 0.6], False, r"crosswalk, a: shares sum to 1.2, expected 1 at most \(1 of 2 sources\)"),
        ([0.5, 0.3], True, r"crosswalk, b: shares sum to 0, expected 1 \(2 of 2 sources\)"),
    ],
)
def test_shares_that_create_or_lose_people_are_named(share, complete, message):
    source = np.array([0, 0]) if abs(sum(share)) in (1.2, 0.8) else np.array([0, 1])
    with pytest.raises(InputError, match=message):
        cw.check_links(cw.Links(source, np.array([0, 1]), np.array(share)), ["a", "b"], complete=complete)


def test_a_lost_person_is_missed():
    with pytest.raises(RunError, match=r"100.000000 people before, 99.000000 after"):
        cw.check_mass_balance(np.array([40.0, 60.0]), np.array([80.0]), np.array([19.0]))


def test_bad_weights_and_classes_are_named():
    links = cw.Links(np.array([0]), np.array([0]), np.array([1.0]))
    with pytest.raises(InputError, match=r"weight of source 0: found -1"):
        cw.interpolate_intensive(np.array([[1.0]]), np.array([[1.0]]), np.array([-1.0]), links, 1)
    with pytest.raises(InputError, match=r"class of source 0: found 3, expected −1 to 2"):
        cw.interpolate_categorical(np.array([3]), 3, np.array([1.0]), links, 1)


def squares():
    """Four tracts of 1 km, and a place that covers one, half of the next and a quarter-strip of water outside."""
    tracts = np.array(
        [shapely.box(1000 * x, 1000 * y, 1000 * x + 1000, 1000 * y + 1000) for x in (0, 1) for y in (0, 1)]
    )
    return tracts, np.array([shapely.box(0, 0, 1500, 1000), shapely.box(0, 1000, 1000, 2000)])


def test_areas_of_squares():
    links = cw.area_links(*squares())
    assert list(zip(links.source, links.target, strict=True)) == [(0, 0), (1, 1), (2, 0)]
    np.testing.assert_allclose(links.share, [1, 1, 0.5])
    np.testing.assert_allclose(links.share_of_target, [2 / 3, 1, 1 / 3])
    np.testing.assert_allclose(cw.outside(links, 4), [0, 0, 0.5, 1])


def test_blocks_of_sources_are_linked_as_the_whole():
    tracts, places = squares()
    whole = cw.area_links(tracts, places)
    blocks = [cw.area_links(tracts[rows], places) for rows in (slice(0, 1), slice(1, 4))]
    assert np.concatenate([block.share for block in blocks]).tobytes() == whole.share.tobytes()
    assert np.concatenate([blocks[0].source, blocks[1].source + 1]).tolist() == whole.source.tolist()


@pytest.mark.parametrize(
    ("tracts", "places", "message"),
    [
        (
            [shapely.box(-83, 40, -82, 41)],
            [shapely.box(0, 0, 900, 900)],
            r"sources lie within -83.00 … -82.00, .* degrees",
        ),
        ([shapely.box(0, 0, 900, 900)], [shapely.box(-83, 40, -82, 41)], r"targets lie within -83.00"),
        (
            [shapely.box(0, 0, 900, 900)],
            [shapely.box(0, 0, 900, 900)] * 2,
            r"source 0: targets cover 2.0000 of its area",
        ),
        ([shapely.Polygon()], [shapely.box(0, 0, 900, 900)], r"source 0: found no polygon"),
        ([None], [shapely.box(0, 0, 900, 900)], r"source 0: found no polygon"),
        (
            [shapely.Polygon([(0, 0), (900, 900), (900, 0), (0, 900)])],
            [shapely.box(0, 0, 900, 900)],
            r"source 0: Self-intersection",
        ),
    ],
)
def test_polygons_without_areas_are_named(tracts, places, message):
    with pytest.raises(GeometryError, match=message):
        cw.area_links(np.array(tracts, dtype=object), np.array(places, dtype=object))


def test_layers_in_degrees_are_projected_where_they_say_so():
    tracts = gpd.GeoDataFrame(geometry=[shapely.box(-83, 40, -82, 41)], index=["39001000100"], crs="EPSG:4269")
    places = gpd.GeoDataFrame(geometry=[shapely.box(-83, 40, -82, 40.5)], index=["3900001"], crs="EPSG:4326")
    table = area_weights(tracts, places)
    assert list(table["region"].items()) == [("39001000100", ""), ("39001000100", "3900001")]
    # The southern half of a cell of the sphere is the larger one.
    assert 0.501 < table["afact"].iloc[1] < 0.505
    assert table["afact"].sum() == pytest.approx(1)
    assert table["afact2"].iloc[1] == pytest.approx(1)
    with pytest.raises(GeometryError, match="regions"):
        area_weights(tracts, places.set_crs(None, allow_override=True))


@pytest.mark.parametrize("partitions", [1, 2, 4])
def test_weights_of_any_partitions_are_those_of_the_whole(partitions):
    tracts, places = squares()
    outlines = gpd.GeoDataFrame({"people": 1}, geometry=tracts, index=[7, 8, 9, 11])
    regions = gpd.GeoDataFrame({"region_name": ["Town", "Village"]}, geometry=places, index=[1, 2])
    whole = area_weights(outlines, regions)
    assert list(whole["region"].items()) == [(7, "1"), (8, "2"), (9, ""), (9, "1"), (11, "")]
    assert whole["region_name"].tolist() == ["Town", "Village", "", "Town", ""]
    lazy = area_weights(dask_geopandas.from_geopandas(outlines, npartitions=partitions), regions)
    pd.testing.assert_frame_equal(lazy._meta, whole.iloc[:0])
    pd.testing.assert_frame_equal(lazy.compute(scheduler="synchronous"), whole, check_exact=True)


def test_slivers_are_left_out_and_go_to_no_region():
    tracts, places = squares()
    outlines = gpd.GeoDataFrame(geometry=tracts, index=list("abcd"))
    found = area_weights(outlines, gpd.GeoDataFrame(geometry=places, index=["1", "2"]), least=0.6)
    assert list(found["region"].items()) == [("a", "1"), ("b", "2"), ("c", ""), ("d", "")]
