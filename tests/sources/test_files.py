"""Files as input: what they are, what is in a container, and how much of it."""

import gzip
import io
import os
import re
import zipfile
from pathlib import Path

import pytest

from geomob_dask.errors import InputError
from geomob_dask.settings import Limits
from geomob_dask.sources.files import Archive, read_bytes, regular_file, unpacked
from geomob_dask.sources.json_files import read_json

TABLE = b"GEOID,a\n39001961400,1\n"
CSV = (".csv",)


def zipped(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def one_member(info: zipfile.ZipInfo, data: bytes = TABLE) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(info, data)
    return buffer.getvalue()


def test_no_regular_file_is_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "broken.csv").symlink_to(tmp_path / "nowhere.csv")
    for path, found in (
        (tmp_path / "pipe.csv", r"pipe\.csv: .*a pipe, socket or device"),
        (Path("/dev/zero"), "/dev/zero: .*a pipe, socket or device"),
        (tmp_path / "folder.csv", r"folder\.csv: .*Is a directory"),
        (tmp_path / "none.csv", r"none\.csv: .*No such file"),
        (tmp_path / "broken.csv", r"broken\.csv: .*No such file"),
        (f"{tmp_path}/a\0b.csv", r"a\\x00b\.csv"),
        (tmp_path / ("x" * 256 + ".csv"), "xxx.*File name too long"),
    ):
        with pytest.raises(InputError, match=found):
            regular_file(path)
        with pytest.raises(InputError, match=found):
            read_bytes(path)


def test_a_link_to_a_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(TABLE)
    (tmp_path / "b.csv").symlink_to(tmp_path / "a.csv")
    assert read_bytes(tmp_path / "b.csv") == TABLE


@pytest.mark.parametrize(
    ("name", "data", "label", "inner"),
    [
        ("m.csv", TABLE, "m.csv", "m.csv"),
        ("m.CSV.GZ", gzip.compress(TABLE), "m.CSV.GZ", "m.CSV"),
        ("m.zip", zipped(**{"a.csv": TABLE, "__MACOSX/._a.csv": b"", "b.md": b""}), "m.zip, member a.csv", "a.csv"),
        ("m.zip", zipped(**{"f/a.csv.gz": gzip.compress(TABLE)}), "m.zip, member f/a.csv.gz", "a.csv"),
        ("m.zip", zipped(**{"b.zip": zipped(**{"a.csv": TABLE})}), "m.zip, member b.zip, member a.csv", "a.csv"),
    ],
    ids=["plain", "gz", "zip", "gz in zip", "zip in zip"],
)
def test_the_content_of_containers(tmp_path: Path, name: str, data: bytes, label: str, inner: str) -> None:
    (tmp_path / name).write_bytes(data)
    content = unpacked(tmp_path / name, CSV)
    assert content.data == TABLE
    assert content.label == f"{tmp_path}/{label}"
    assert content.name == inner


def test_one_of_several_members_is_named(tmp_path: Path) -> None:
    (tmp_path / "m.zip").write_bytes(zipped(**{"f/a.csv": b"1", "g/b.csv": TABLE}))
    with pytest.raises(InputError, match=r"m\.zip: found 'f/a\.csv', 'g/b\.csv' in it, expected a single one"):
        unpacked(tmp_path / "m.zip", CSV)
    with pytest.raises(InputError, match=r"'f/a\.csv', 'g/b\.csv' in it.*--layer"):
        unpacked(tmp_path / "m.zip", CSV, flag="--layer")
    for member in ("g/b.csv", "b.csv", "b"):
        assert unpacked(tmp_path / "m.zip", CSV, member=member).data == TABLE
    with pytest.raises(InputError, match=r"no member 'c'; found 'f/a\.csv'"):
        unpacked(tmp_path / "m.zip", CSV, member="c")


@pytest.mark.parametrize("name", ["", "../a.csv", "/a.csv", "f/../../a.csv", "f\\a.csv", "..\\a.csv", "C:/a.csv"])
def test_members_that_lead_outside_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "m.zip").write_bytes(one_member(zipfile.ZipInfo(name)))
    with pytest.raises(InputError, match=rf"m\.zip: member {re.escape(repr(name))} leads outside"):
        unpacked(tmp_path / "m.zip", CSV)


def test_members_that_are_links_are_refused(tmp_path: Path) -> None:
    info = zipfile.ZipInfo("a.csv")
    info.external_attr = 0o120777 << 16
    (tmp_path / "m.zip").write_bytes(one_member(info, b"/etc/passwd"))
    with pytest.raises(InputError, match=r"member 'a\.csv' is a symbolic link"):
        unpacked(tmp_path / "m.zip", CSV)


def flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :]


def encrypted() -> bytes:
    data = bytearray(zipped(**{"a.csv": TABLE}))
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    return bytes(data)


def with_method(method: int) -> bytes:
    data = bytearray(zipped(**{"a.csv": TABLE}))
    data[8] = method
    data[data.index(b"PK\x01\x02") + 10] = method
    return bytes(data)


PLAIN_ZIP = zipped(**{"a.csv": TABLE})


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("m.csv.gz", TABLE, "Not a gzipped file"),
        ("m.csv.gz", gzip.compress(TABLE)[:-9], "m.csv.gz"),
        ("m.csv.gz", flipped(gzip.compress(TABLE), 14), "m.csv.gz"),
        ("m.csv.gz", b"", "is empty"),
        ("m.zip", TABLE, "m.zip"),
        ("m.zip", b"", "is empty"),
        ("m.zip", PLAIN_ZIP[:-30], "m.zip"),
        ("m.zip", flipped(PLAIN_ZIP, 40), "member a.csv"),
        ("m.zip", encrypted(), "member a.csv: is encrypted"),
        ("m.zip", with_method(zipfile.ZIP_BZIP2), "member a.csv: is compressed by method 12"),
        ("m.zip", with_method(9), "member a.csv: is compressed by method 9"),
        ("m.zip", zipped(), "found nothing"),
        ("m.zip", zipped(**{"a.pdf": b"x"}), "found 'a.pdf' in it, expected a table"),
        ("m.pdf", b"x", "suffix '.pdf'"),
    ],
)
def test_damaged_containers_are_named(tmp_path: Path, name: str, data: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError) as caught:
        unpacked(tmp_path / name, CSV)
    assert name in str(caught.value)
    assert words in str(caught.value)


SMALL = Limits(bytes=10_000, depth=2)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("m.csv", bytes(10_001)),
        ("m.csv.gz", gzip.compress(bytes(10_001))),
        # Two streams in one file: its last bytes state the length of the second alone.
        ("m.csv.gz", gzip.compress(bytes(10_001)) + gzip.compress(b"")),
        ("m.zip", zipped(**{"a.csv": bytes(10_001)})),
        ("m.zip", zipped(**{"a.csv.gz": gzip.compress(bytes(10_001))})),
    ],
    ids=["plain", "gz", "two streams", "zip", "gz in zip"],
)
def test_more_than_the_limit_is_refused_with_the_setting(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=rf"{name}.*10,000.*GEOMOB_LIMIT_BYTES.*cluster\.yaml"):
        unpacked(tmp_path / name, CSV, limits=SMALL)
    assert len(unpacked(tmp_path / name, CSV, limits=Limits(bytes=10_001)).data) == 10_001


def test_a_cut_file_is_no_large_one(tmp_path: Path) -> None:
    # Its last bytes, which state the length in a whole file, are of its content.
    whole = gzip.compress((20_000).to_bytes(4, "little") * 500, compresslevel=0)
    cut = whole[: whole.index((20_000).to_bytes(4, "little"), 1_000) + 4]
    (tmp_path / "m.csv.gz").write_bytes(cut)
    with pytest.raises(InputError, match=r"m\.csv\.gz: cannot be read \(Compressed file ended before"):
        unpacked(tmp_path / "m.csv.gz", CSV, limits=SMALL)


def test_members_count_together(tmp_path: Path) -> None:
    (tmp_path / "m.zip").write_bytes(zipped(**{"a.csv": bytes(6_000), "b.csv": bytes(6_000)}))
    archive = Archive(str(tmp_path / "m.zip"), limits=SMALL)
    assert len(archive.read("a.csv")) == 6_000
    with pytest.raises(InputError, match=r"member b\.csv.*GEOMOB_LIMIT_BYTES"):
        archive.read("b.csv")
    with pytest.raises(InputError, match=r"member b\.csv.*GEOMOB_LIMIT_BYTES"):
        Archive(str(tmp_path / "m.zip"), limits=SMALL).extract(["a.csv", "b.csv"], tmp_path)


def test_the_limits_of_the_environment_and_of_the_cluster_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.csv").write_bytes(bytes(2000))
    assert len(unpacked("m.csv", CSV).data) == 2000
    (tmp_path / "cluster.yaml").write_text("limits: {bytes: 1kB}")
    with pytest.raises(InputError, match=r"found 2,000 .* at most 1,000"):
        unpacked("m.csv", CSV)
    monkeypatch.setenv("GEOMOB_LIMIT_BYTES", "2kB")
    assert len(unpacked("m.csv", CSV).data) == 2000


def test_large_files_are_counted_before_they_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("geomob_dask.sources.files._KEPT_AT_ONCE", 5_000)
    (tmp_path / "m.csv.gz").write_bytes(gzip.compress(TABLE * 300))
    assert unpacked(tmp_path / "m.csv.gz", CSV, limits=SMALL).data == TABLE * 300


def test_containers_in_containers_end(tmp_path: Path) -> None:
    data = zipped(**{"c.zip": zipped(**{"b.zip": zipped(**{"a.csv": TABLE})})})
    (tmp_path / "m.zip").write_bytes(data)
    with pytest.raises(InputError, match=r"member b\.zip.*GEOMOB_LIMIT_DEPTH"):
        unpacked(tmp_path / "m.zip", CSV, limits=SMALL)
    assert unpacked(tmp_path / "m.zip", CSV, limits=Limits(depth=3)).data == TABLE


def test_json(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('\ufeff{"a": [1]}', encoding="utf-8")
    assert read_json(tmp_path / "a.json") == {"a": [1]}
    (tmp_path / "a.json.gz").write_bytes(gzip.compress(b"[2]"))
    assert read_json(tmp_path / "a.json.gz") == [2]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"[" * 200_000, "nested too deep"),
        (b"[1", "cannot be read"),
        (b"", "cannot be read"),
        (b'"\xff"', "cannot be read"),
        (b'{"k": 1, "k": 2}', "found 'k' twice"),
        (b"9" * 5000, "cannot be read"),
    ],
)
def test_json_that_is_none(tmp_path: Path, data: bytes, words: str) -> None:
    (tmp_path / "a.json").write_bytes(data)
    with pytest.raises(InputError, match=rf"a\.json: .*{words}"):
        read_json(tmp_path / "a.json")
