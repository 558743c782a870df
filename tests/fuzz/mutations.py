"""Mutants of files, each changed within its own form; text, JSON, YAML and XML are in `text_mutations`.

A file that is only flipped at random is refused by its first check. So a container is opened, a member is changed in
its own form, and the container is closed again with true checksums.
"""

import gzip
import io
import sqlite3
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import PurePosixPath
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from fuzz.text_mutations import (
    BYTES,
    INTEGERS,
    JSON,
    TABLE,
    WORDS,
    XML,
    YAML,
    Mutation,
    appended,
    flipped,
    json_node,
    json_text,
    overwritten,
)

# More than the limit of bytes that the worker sets.
BOMB = 120_000_000


def mutate(data: bytes, name: str, random: Random) -> bytes:
    """Return a file changed once, twice or three times, in its own form."""
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        data = _once(data, name, random)
    return data


def _once(data: bytes, name: str, random: Random) -> bytes:
    own = _BY_SUFFIX.get(PurePosixPath(name).suffix.lower())
    if own is not None and random.random() < 0.75:
        try:
            return random.choice(own)(data, random)
        # What was changed before may not be read as its form any more.
        except Exception:
            pass
    return random.choice(BYTES)(data, random)


# Containers --------------------------------------------------------------------------------------


def _members(data: bytes) -> list[tuple[zipfile.ZipInfo, bytes]]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return [(info, archive.read(info)) for info in archive.infolist()]


def _zipped(members: Sequence[tuple[zipfile.ZipInfo | str, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive, warnings.catch_warnings():
        # Members of one name are what is wanted.
        warnings.simplefilter("ignore")
        for info, content in members:
            archive.writestr(info, content)
    return buffer.getvalue()


def _member(data: bytes, random: Random) -> bytes:
    members = _members(data)
    place = random.randrange(len(members))
    info, content = members[place]
    return _zipped([*members[:place], (info, _once(content, info.filename, random)), *members[place + 1 :]])


def _other_members(data: bytes, random: Random) -> bytes:
    members = _members(data)
    info, content = random.choice(members)
    name = info.filename
    link = zipfile.ZipInfo(f"link{PurePosixPath(name).suffix}")
    link.external_attr = 0o120777 << 16
    added: list[tuple[zipfile.ZipInfo | str, bytes]] = random.choice(
        [
            [(f"../{name}", content)],
            [(f"/tmp/{name}", content)],
            [(f"C:\\{name}", content)],
            [(link, b"/etc/passwd")],
            [(name, content)],
            [(f"other/{name}", content)],
            [(f"n{number}", b"") for number in range(3000)],
            [("a" * 60_000, b"")],
        ]
    )
    if random.random() < 0.2:
        members.remove((info, content))
    return _zipped([*members, *added] if random.random() < 0.5 else [*added, *members])


def _renamed(data: bytes, random: Random) -> bytes:
    members = _members(data)
    place = random.randrange(len(members))
    name = members[place][0].filename
    new = random.choice(
        (name.upper(), f".{name}", f"__MACOSX/{name}", f"{name}.txt", "x", f"a/../{name}", f"\x1b[31m{name}")
    )
    return _zipped([*members[:place], (new, members[place][1]), *members[place + 1 :]])


def _bomb(data: bytes, random: Random) -> bytes:
    """Return the archive with one member that unpacks to more than the limit, whatever size it states."""
    members = _members(data)
    info, _ = random.choice(members)
    body = _deflated_zeros()
    stated = random.choice((BOMB, 10, 0xFFFFFFFE))
    name = info.filename.encode()
    head = struct.pack("<4sHHHHHIIIHH", b"PK\3\4", 20, 0, 8, 0, 33, 0, len(body), stated, len(name), 0) + name + body
    entry = struct.pack(
        "<4sHHHHHHIIIHHHHHII", b"PK\1\2", 20, 20, 0, 8, 0, 33, 0, len(body), stated, len(name), 0, 0, 0, 0, 0, 0
    )
    end = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, 1, 1, len(entry) + len(name), len(head), 0)
    return head + entry + name + end


def _deflated_zeros(_kept: list[bytes] = []) -> bytes:  # noqa: B006
    if not _kept:
        packer = zlib.compressobj(1, zlib.DEFLATED, -15)
        _kept.append(b"".join(packer.compress(bytes(10**6)) for _ in range(BOMB // 10**6)) + packer.flush())
    return _kept[0]


def _fields(data: bytes, random: Random) -> bytes:
    """Return the archive with another method, flag, size or checksum in both of its headers."""
    found = bytearray(data)
    at, width = random.choice(((6, 2), (8, 2), (14, 4), (18, 4), (22, 4), (26, 2)))
    number = random.choice(INTEGERS) % 256**width
    central = data.index(b"PK\1\2")
    for start in (0, central + 2):
        found[start + at : start + at + width] = number.to_bytes(width, "little")
    return bytes(found)


def _nested(data: bytes, random: Random) -> bytes:
    for _ in range(random.choice((1, 2, 6))):
        data = _zipped([(random.choice(("a.zip", "b/a.zip", "a.gz")), data)])
    return data


_ZIP = (_member, _member, _member, _member, _other_members, _other_members, _renamed, _bomb, _fields, _nested)


def _gz_content(data: bytes, random: Random) -> bytes:
    return gzip.compress(_once(gzip.decompress(data), "a.csv", random), mtime=0)


def _gz_bomb(data: bytes, random: Random) -> bytes:
    head, tail = gzip.compress(b"", mtime=0)[:10], struct.pack("<II", 0, random.choice((0, BOMB, 5)))
    return head + _deflated_zeros() + tail


_GZ = (_gz_content, _gz_content, _gz_content, _gz_bomb, appended)


# Parquet -----------------------------------------------------------------------------------------


def _parquet_columns(data: bytes, random: Random) -> bytes:
    table = pq.read_table(pa.BufferReader(data))
    place = random.randrange(table.num_columns)
    name, values = table.column_names[place], table.column(place)
    what = random.choice(("drop", "double", "rename", "type", "type", "values", "rows"))
    if what == "drop":
        table = table.remove_column(place)
    elif what == "double":
        table = table.append_column(name, values)
    elif what == "rename":
        names = list(table.column_names)
        names[place] = random.choice(WORDS)
        table = table.rename_columns(names)
    elif what == "type":
        table = table.set_column(place, name, _other_type(values, random))
    elif what == "values":
        kind = values.type
        lists = values.to_pylist()
        lists[random.randrange(len(lists))] = random.choice(
            WORDS if pa.types.is_string(kind) else (None, float("inf"), 1e308, -666666666.0, 2.0**60)
        )
        table = table.set_column(place, name, pa.array(lists, kind))
    else:
        table = random.choice((table.slice(0, 0), pa.concat_tables([table, table])))
    return _parquet(table)


def _other_type(values: pa.ChunkedArray, random: Random) -> pa.Array:
    count = len(values)
    kinds: tuple[Callable[[], pa.Array], ...] = (
        lambda: pa.nulls(count),
        lambda: pa.array([[1.0]] * count),
        lambda: pa.array([{"a": 1}] * count),
        lambda: pa.array([0] * count, pa.date32()),
        lambda: pa.array([0] * count, pa.duration("s")),
        lambda: pa.array([True] * count),
        lambda: pa.array([b"\xff\xfe"] * count),
        lambda: pa.array([1] * count, pa.decimal128(38, 10)),
        lambda: pa.array([str(value) for value in values.to_pylist()]).dictionary_encode(),
        lambda: pa.array([str(value) for value in values.to_pylist()], pa.large_string()),
        lambda: pa.array([str(value) for value in values.to_pylist()], pa.string_view()),
        lambda: pa.array([2**64 - 1] * count, pa.uint64()),
        lambda: pa.array([1.5] * count, pa.float32()),
        lambda: pa.array([random.randbytes(21) for _ in range(count)], pa.binary()),
    )
    return random.choice(kinds)()


def _parquet_metadata(data: bytes, random: Random) -> bytes:
    table = pq.read_table(pa.BufferReader(data))
    found = dict(table.schema.metadata or {b"pandas": b"{}"})
    name = random.choice(list(found))
    found[name] = random.choice((json_node, json_node, json_text, flipped))(found[name], random)
    return _parquet(table.replace_schema_metadata(found))


def _parquet_shapes(data: bytes, random: Random) -> bytes:
    table = pq.read_table(pa.BufferReader(data))
    place = table.column_names.index("geometry")
    shapes = table.column(place).to_pylist()
    row = random.randrange(len(shapes))
    shapes[row] = random.choice(BYTES)(shapes[row], random)
    return _parquet(table.set_column(place, table.schema.field(place), pa.array(shapes, pa.binary())))


def _parquet(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


_PARQUET = (_parquet_columns, _parquet_columns, _parquet_metadata, _parquet_shapes, flipped, overwritten)


# GeoPackage --------------------------------------------------------------------------------------


def _sql(data: bytes, random: Random) -> bytes:
    word = random.choice(WORDS)
    number = random.choice(INTEGERS) % 2**63
    statements: tuple[tuple[str, tuple[Any, ...]], ...] = (
        ("UPDATE tracts SET GEOID = ? WHERE fid = 1", (word,)),
        ("UPDATE tracts SET ALAND = ? WHERE fid = 1", (word,)),
        ("UPDATE tracts SET GEOID = (SELECT GEOID FROM tracts WHERE fid = 2)", ()),
        (
            "UPDATE tracts SET geom = ? WHERE fid = 1",
            (random.choice((None, b"", b"GP\0\1" + random.randbytes(40), word)),),
        ),
        ("UPDATE tracts SET geom = substr(geom, 1, ?) WHERE fid = 1", (random.randrange(1, 100),)),
        ("UPDATE gpkg_geometry_columns SET srs_id = ?", (number,)),
        ("UPDATE gpkg_geometry_columns SET geometry_type_name = ?", (word,)),
        ("UPDATE gpkg_geometry_columns SET column_name = ?", (random.choice((word, "GEOID")),)),
        ("UPDATE gpkg_spatial_ref_sys SET definition = ?", (word,)),
        ("UPDATE gpkg_contents SET table_name = ?", (random.choice((word, "gpkg_contents", "sqlite_master")),)),
        ("UPDATE gpkg_contents SET data_type = ?", (random.choice((word, "tiles", "attributes")),)),
        ("DELETE FROM gpkg_contents", ()),
        ("DELETE FROM tracts", ()),
        ("DROP TABLE gpkg_spatial_ref_sys", ()),
        ("ALTER TABLE tracts RENAME COLUMN GEOID TO key", ()),
        ("INSERT INTO tracts (GEOID, geom) SELECT GEOID, geom FROM tracts", ()),
    )
    with closing(sqlite3.connect(":memory:")) as base:
        base.deserialize(data)
        for kind, name in base.execute("SELECT type, name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            base.execute(f'DROP {kind} "{name}"')
        base.execute(*random.choice(statements))
        base.commit()
        return base.serialize()


_BY_SUFFIX: dict[str, Sequence[Mutation]] = {
    **dict.fromkeys((".csv", ".tsv", ".txt", ".prj"), TABLE),
    **dict.fromkeys((".json", ".geojson"), JSON),
    ".yaml": YAML,
    **dict.fromkeys((".zip", ".xlsx", ".model", ".skops"), _ZIP),
    ".gz": _GZ,
    **dict.fromkeys((".xml", ".rels"), XML),
    ".parquet": _PARQUET,
    ".gpkg": (_sql,),
}
