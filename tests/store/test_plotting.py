"""A collection drawn on the polygons of its vintage."""

import sys

import pytest
from stores import build_graph, build_index, ingest_sample

from geomob_dask.errors import InputError, SettingsError
from geomob_dask.store import Store

RESULT = "results/opportunity/sample/sample/2020/all-selected"


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    folder = tmp_path_factory.mktemp("plots")
    store = ingest_sample(str(folder / "store"), folder)
    build_graph(store)
    build_index(store)
    return store


def test_a_result_is_plotted_and_explored(store, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "Agg")
    axes = store.plot(RESULT, "opportunity", states=["91"], legend=True)
    assert len(axes.collections[0].get_paths()) >= 200
    page = store.explore(RESULT, "opportunity", states=["93"]).get_root().render()
    assert "93015000100" in page


def test_a_missing_package_is_named_with_its_extra(store, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(SettingsError, match=r"geomob-dask\[plot\]"):
        store.plot(RESULT, "opportunity", states=["93"])


def test_what_cannot_be_drawn_is_named(store):
    with pytest.raises(InputError, match=r"nothing.*opportunity"):
        store.plot(RESULT, "nothing", states=["93"])
    with pytest.raises(InputError, match="norms/opportunity"):
        store.plot("norms/opportunity/sample/sample/2020/all-selected", "first")
