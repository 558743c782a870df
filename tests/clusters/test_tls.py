"""TLS: files that are checked at the door, clusters that run with it, and clients that are refused."""

import dataclasses
import os
import stat
from pathlib import Path

import distributed
import pytest
from certificates import Files, make_files

from geomob_dask.clusters import connect
from geomob_dask.clusters.security import security_of, tls_line
from geomob_dask.errors import SettingsError
from geomob_dask.sections import AddressSection, LocalSection
from geomob_dask.settings import Settings


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tls")


@pytest.fixture(scope="module")
def files(folder: Path) -> Files:
    return make_files(folder, "own")


@pytest.fixture(scope="module")
def foreign(folder: Path) -> Files:
    return make_files(folder, "foreign")


def line_of(files: Files) -> str:
    return tls_line(LocalSection(tls=files.section()))


def test_files_that_fit_are_named_with_the_day_they_end(files, capsys):
    line = line_of(files)
    assert all(path in line for path in files.section().values())
    assert "valid until 20" in line
    assert capsys.readouterr().err == ""


def wrong(folder: Path, files: Files, foreign: Files) -> dict[str, tuple[Files, str]]:
    """Return wrong files, and what is said of them."""
    text = folder / "text.pem"
    text.write_text("no PEM")
    old = make_files(folder, "old", (-30, -2))
    early = make_files(folder, "early", (2, 30))
    hidden = make_files(folder, "hidden", passphrase=b"open")
    gone = str(folder / "gone.pem")
    return {
        "missing": (dataclasses.replace(files, ca=gone), rf"tls\.ca {gone}: cannot be read"),
        "folder": (dataclasses.replace(files, key=str(folder)), r"tls\.key .*found a folder"),
        "text": (dataclasses.replace(files, certificate=str(text)), r"text\.pem: holds no certificate in PEM"),
        "no key": (dataclasses.replace(files, key=files.certificate), r"tls\.key .*holds no private key"),
        "old": (old, r"old-certificate\.pem: expired on 20\d\d-\d\d-\d\d"),
        "early": (early, r"early-certificate\.pem: valid from 20\d\d-\d\d-\d\d"),
        "passphrase": (hidden, r"hidden-key\.pem: needs a passphrase"),
        "other key": (dataclasses.replace(files, key=foreign.key), r"foreign-key\.pem: found the key of another"),
        "other authority": (
            dataclasses.replace(files, ca=foreign.ca),
            r"own-certificate\.pem: found .*issued by CN=own",
        ),
    }


@pytest.mark.parametrize(
    "case",
    ["missing", "folder", "text", "no key", "old", "early", "passphrase", "other key", "other authority"],
)
def test_wrong_files_are_refused_before_anything_starts(case, folder, files, foreign):
    given, told = wrong(folder, files, foreign)[case]
    with pytest.raises(SettingsError, match=told):
        line_of(given)
    one = connect(Settings(clusters={"local": LocalSection(workers=1, tls=given.section())}))
    with pytest.raises(SettingsError, match=told), one:
        pass


def test_a_key_that_others_read_is_told(folder, capsys):
    open_key = make_files(folder, "open")
    os.chmod(open_key.key, 0o644)
    line_of(open_key)
    assert f"chmod 600 {open_key.key}" in capsys.readouterr().err


def test_a_temporary_certificate_is_its_owners_alone_and_goes(tmp_path):
    with security_of(LocalSection(tls="temporary"), str(tmp_path)) as security:
        [place] = tmp_path.iterdir()
        assert stat.S_IMODE(place.stat().st_mode) == 0o700
        assert {stat.S_IMODE(path.stat().st_mode) for path in place.iterdir()} == {0o600}
        assert security.tls_worker_key.startswith(str(place))
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def encrypted(files: Files) -> distributed.Client:
    section = LocalSection(workers=1, dashboard="127.0.0.1:0", tls=files.section())
    with connect(Settings(clusters={"local": section})) as client:
        yield client


def at(client: distributed.Client, tls: Files) -> Settings:
    section = AddressSection(address=client.scheduler.address, timeout=5.0, tls=tls.section())
    return Settings(cluster="address", clusters={"address": section})


def test_client_scheduler_and_workers_are_encrypted(encrypted, files):
    info = encrypted.scheduler_info()
    assert info["address"].startswith("tls://127.0.0.1:")
    assert all(address.startswith("tls://127.0.0.1:") for address in info["workers"])
    with connect(at(encrypted, files)) as joined:
        assert joined.submit(sum, [1, 2], pure=False).result() == 3


def test_a_client_of_another_authority_is_refused(encrypted, foreign):
    with pytest.raises(SettingsError, match=r"address tls://.*no answer"), connect(at(encrypted, foreign)):
        pass


def test_a_plain_client_is_refused(encrypted):
    address = encrypted.scheduler.address.replace("tls://", "tcp://")
    section = AddressSection(address=address, timeout=5.0)
    plain = connect(Settings(cluster="address", clusters={"address": section}))
    with pytest.raises(SettingsError, match=r"address tcp://.*no answer"), plain:
        pass
    with pytest.raises(TypeError):
        distributed.Client(encrypted.scheduler.address, timeout=5, set_as_default=False)


def test_a_temporary_certificate_runs_a_cluster():
    section = LocalSection(workers=1, dashboard="127.0.0.1:0", tls="temporary")
    with connect(Settings(clusters={"local": section})) as client:
        assert client.scheduler.address.startswith("tls://")
        assert client.submit(sum, [1, 2]).result() == 3
