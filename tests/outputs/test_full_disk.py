"""Files that cannot be written whole: the run failed, in one line, and nothing is left."""

import resource
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely

from geomob_dask.errors import RunError, StoreFailedError
from geomob_dask.outputs.page import write_page
from geomob_dask.outputs.tables import SUFFIXES, export

N = 2000
KEYS = pd.Index([f"18001{number:06d}" for number in range(N)], name="geoid")
TABLE = pd.DataFrame({"a": np.random.default_rng(0).random(N)}, index=KEYS)


def polygons() -> gpd.GeoSeries:
    return gpd.GeoSeries([shapely.box(x, 0, x + 1, 1) for x in range(N)], index=KEYS, crs=3857)


@pytest.fixture
def full() -> Iterator[None]:
    """Let no file grow beyond a few bytes, as on a disk that is full."""
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


WRITERS: dict[str, Callable[[str], None]] = {
    **{suffix: lambda file: export(TABLE, file, polygons) for suffix in SUFFIXES},
    ".html": lambda file: write_page("--report", file, "x" * 50_000),
}


@pytest.mark.parametrize("suffix", WRITERS)
def test_a_full_disk_fails_the_run_and_keeps_the_file_before(tmp_path: Path, full: None, suffix: str) -> None:
    file = tmp_path / f"result{suffix}"
    file.write_text("before")
    with pytest.raises(RunError, match=rf"^--(export|report) .*result\{suffix}: cannot be written") as failed:
        WRITERS[suffix](str(file))
    assert failed.value.exit_code == 1
    assert [path.name for path in tmp_path.iterdir()] == [file.name]
    assert file.read_text() == "before"


def test_a_store_that_fails_meanwhile_is_named_itself(tmp_path: Path) -> None:
    def fails() -> gpd.GeoSeries:
        raise StoreFailedError("cannot read s3://bucket/tracts")

    with pytest.raises(StoreFailedError, match="cannot read s3://bucket/tracts"):
        export(TABLE, str(tmp_path / "result.gpkg"), fails)
    assert list(tmp_path.iterdir()) == []
