import pytest

from geomob_dask.errors import SettingsError
from geomob_dask.settings import (
    AddressSection,
    Limits,
    LocalSection,
    limits_in_use,
    load_limits,
    load_settings,
    using_limits,
)


@pytest.fixture(autouse=True)
def _nothing_around(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("GEOMOB_STORE", "GEOMOB_CLUSTER", "GEOMOB_CONFIG", "GEOMOB_ADDRESS"):
        monkeypatch.delenv(name, raising=False)


def test_without_anything_a_local_cluster_and_a_folder():
    settings = load_settings()
    assert settings.store == "store"
    assert isinstance(settings.section, LocalSection)
    with pytest.raises(ValueError, match="frozen"):
        settings.store = "elsewhere"


def test_flags_win_over_environment_over_file(tmp_path, monkeypatch):
    (tmp_path / "cluster.yaml").write_text("store: from-file\nclusters: {local: {kind: local, workers: 3}}\n")
    assert load_settings().store == "from-file"
    assert load_settings().section.workers == 3
    monkeypatch.setenv("GEOMOB_STORE", "s3://from/environment")
    assert load_settings().store == "s3://from/environment"
    assert load_settings(store="from-flag").store == "from-flag"


def test_the_address_comes_from_the_environment(monkeypatch):
    monkeypatch.setenv("GEOMOB_ADDRESS", "tcp://10.0.0.1:8786")
    section = load_settings(cluster="address").section
    assert isinstance(section, AddressSection)
    assert section.address == "tcp://10.0.0.1:8786"


def test_the_file_of_the_repository_is_valid(monkeypatch):
    from pathlib import Path

    shipped = Path(__file__).parents[1] / "cluster.yaml"
    settings = load_settings(str(shipped))
    assert set(settings.clusters) == {"local", "address", "serial"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "stor: x",
            r"cluster.yaml: unknown key 'stor'; did you mean 'store'\? Expected some of store, store_timeout, ",
        ),
        (
            "clusters: {local: {kind: local, wokers: 2}}",
            "clusters.local: unknown key 'wokers'; did you mean",
        ),
        (
            "clusters: {local: {kind: local, workers: 0}}",
            "workers: expected 1 or more, found 0",
        ),
        (
            "clusters: {big: {kind: mainframe}}",
            "clusters.big: unknown kind 'mainframe'; expected local, address",
        ),
        ("store: [1", "not YAML"),
        ("- a\n- b", "found a list, expected keys store, cluster, clusters"),
        ("cluster: huge", "cluster.yaml: cluster 'huge': no such section; available: local, address, serial"),
    ],
)
def test_a_wrong_file_is_explained(tmp_path, text, message):
    (tmp_path / "cluster.yaml").write_text(text)
    with pytest.raises(SettingsError, match=message):
        load_settings()


def test_a_file_asked_for_must_be_there():
    with pytest.raises(SettingsError, match=r"nowhere\.yaml: cannot be read"):
        load_settings("nowhere.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("limits: {byte: 1}", "limits: unknown key 'byte'"),
        ("limits: {bytes: many}", "bytes.*'many'"),
        ("limits: {rows: 0}", "rows: expected 1 or more"),
        ("limits: [1]", "limits"),
    ],
)
def test_wrong_limits_are_explained(tmp_path, text, message):
    (tmp_path / "cluster.yaml").write_text(text)
    for load in (load_settings, load_limits):
        with pytest.raises(SettingsError, match=rf"cluster\.yaml.*{message}"):
            load()


def test_limits_in_use_are_given_back(tmp_path, monkeypatch):
    (tmp_path / "cluster.yaml").write_text("limits: {bytes: 3MiB, rows: 7}")
    monkeypatch.setenv("GEOMOB_LIMIT_ROWS", "8")
    assert load_settings().limits == limits_in_use() == Limits(bytes=3 * 2**20, rows=8)
    with using_limits(Limits(rows=1)):
        assert limits_in_use() == Limits(rows=1)
    assert limits_in_use().rows == 8
