"""The public functions give the same wherever they are called: in memory, on Dask, in a notebook, on any cluster."""

import os
from pathlib import Path

import dask
import dask.dataframe as dd
import dask_geopandas
import distributed
import nbclient
import nbformat
import pandas as pd
import pytest
from public_calls import calls, country

import geomob_dask as gd

TESTS = Path(__file__).parent


@pytest.fixture(autouse=True)
def _text_stays_text():
    """Let Dask leave text as pandas has it, so that frames can be compared type for type."""
    with dask.config.set({"dataframe.convert-string": False}):
        yield


@pytest.fixture(scope="module")
def in_memory() -> dict[str, pd.DataFrame]:
    return calls(*country())


def on_dask(partitions: int) -> dict[str, dd.DataFrame]:
    tracts, measures = country()
    return calls(
        dask_geopandas.from_geopandas(tracts, npartitions=partitions),
        dd.from_pandas(measures, npartitions=max(1, partitions // 2)),
    )


def assert_same(found: dict[str, pd.DataFrame], expected: dict[str, pd.DataFrame]) -> None:
    assert found.keys() == expected.keys()
    for name, table in expected.items():
        plain = {column: "object" for column in table if table[column].dtype.kind not in "fiub"}
        pd.testing.assert_frame_equal(found[name].astype(plain), table.astype(plain), check_exact=True)


@pytest.mark.parametrize("partitions", [1, 2, 50])
def test_the_same_from_any_partitions(in_memory, partitions):
    lazy = on_dask(partitions)
    for name, frame in lazy.items():
        assert isinstance(frame, dd.DataFrame), name
        assert list(frame.columns) == list(in_memory[name].columns), name
    found = dict(zip(lazy, dask.compute(*lazy.values(), scheduler="synchronous"), strict=True))
    assert_same(found, in_memory)


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_the_same_from_any_number_of_workers(in_memory, workers):
    with (
        distributed.LocalCluster(
            n_workers=workers, threads_per_worker=1, processes=workers == 2, dashboard_address="127.0.0.1:0"
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        lazy = on_dask(5)
        futures = client.compute(list(lazy.values()))
        assert_same(dict(zip(lazy, client.gather(futures), strict=True)), in_memory)


def test_graphs_are_built_from_metadata_alone(monkeypatch):
    """No partition is read and nothing is computed before a user asks for it."""
    tracts, measures = country()
    reads = []

    def read(part, frame):
        reads.append(part)
        return frame.iloc[part::4].sort_index()

    def unread(frame):
        divisions = (*(f"9{number}" for number in range(1, 5)), "~")
        return dd.from_map(read, range(4), frame=frame, meta=frame.iloc[:0], divisions=divisions)

    def refuse(*_, **__):
        raise AssertionError("computed while the graph was built")

    lazy_tracts = unread(tracts)
    assert isinstance(lazy_tracts, dask_geopandas.GeoDataFrame)
    with monkeypatch.context() as patched:
        patched.setattr(dask, "compute", refuse)
        patched.setattr("dask.base.compute", refuse)
        patched.setattr(dd.DataFrame, "compute", refuse)
        lazy = calls(lazy_tracts, unread(measures))
        for frame in lazy.values():
            frame.optimize().__dask_graph__()
    assert reads == []
    lazy["mixing"].compute(scheduler="synchronous")
    assert sorted(reads) == [0, 1, 2, 3]


NOTEBOOK = """
import dask, dask.dataframe as dd, dask_geopandas, pandas as pd
from distributed import Client
from public_calls import calls, country
dask.config.set({"dataframe.convert-string": False})
client = await Client(processes=False, n_workers=2, dashboard_address="127.0.0.1:0", asynchronous=True)
tracts, measures = country()
memory = calls(tracts, measures)
lazy = calls(dask_geopandas.from_geopandas(tracts, npartitions=3), dd.from_pandas(measures, npartitions=2))
found = dict(zip(lazy, await client.gather(client.compute(list(lazy.values())))))
for name, table in memory.items():
    plain = {column: "object" for column in table if table[column].dtype.kind not in "fiub"}
    pd.testing.assert_frame_equal(found[name].astype(plain), table.astype(plain), check_exact=True)
await client.close()
print("the same:", ", ".join(found))
"""


def test_the_same_in_a_notebook_with_an_asynchronous_client(monkeypatch):
    paths = [str(TESTS), str(TESTS.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(NOTEBOOK)])
    nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    told = "".join(output.get("text", "") for output in notebook.cells[0].outputs)
    assert "the same: neighbors, opportunity" in told


def test_the_readme_on_an_example_of_another_package():
    """Ten lines on a GeoDataFrame that came from somewhere else, without a store."""
    text = (TESTS.parent / "README.md").read_text(encoding="utf-8")
    code = text.split("```python\n")[1].split("```")[0]
    assert "libpysal" in code
    names: dict[str, object] = {}
    exec(code, names)
    counties = names["counties"]
    found = gd.segregation(counties, groups=["white", "other"], by="half", indices=["dissimilarity"])
    assert found.index.tolist() == ["east", "west"]
    assert found["dissimilarity_white"].between(0, 1).all()
