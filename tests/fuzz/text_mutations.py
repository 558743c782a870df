"""Mutations of bytes, of text with separators, and of plain data written as JSON, YAML or XML."""

import json
import struct
from collections.abc import Callable
from random import Random
from typing import Any

import yaml

Mutation = Callable[[bytes, Random], bytes]

WORDS = (
    *("", " ", "NA", "nan", "null", ".", "-", "**", "inf", "-inf", "1e400", "-1e-400", "1e308", "9" * 400, "-0"),
    *("0x10", "1,234", "1.234,5", "12,5", "-666666666", "250,000+", "true", "2018-13-45", "=1+1", "1_000", "0.1.2"),
    *("\0", "\x1b[31mred", "a\nb", "a\r\nb", "\u202etxt", "'", '"', "\\", "`id`", "${HOME}", "../../x", "/etc/passwd"),
    *("\u0663", "\uff11\uff12", "\xb2", "\u2160", "\U0001d7d9", "caf\xe9", "\ufeff", "\ufffd", "\x85", "\u2028"),
    *(
        "99999999999",
        "1800100010",
        "18001000100.0",
        "1.8001e10",
        "1400000US18001000100",
        "0100000US",
        "geoid",
        "x" * 5000,
    ),
)
SCALARS: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 2**63, 10**30, 1e308, 1e-320, float("nan"), float("inf"), [], {}, [[]], {"": 0}),
    *(["a"] * 3, {"a": {"b": {"c": 1}}}, *WORDS),
)  # fmt: skip
INTEGERS = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**63 - 1, 2**64 - 1)
ENCODINGS = ("utf-16", "utf-16-le", "utf-32", "utf-8-sig", "utf-7", "cp037", "latin-1", "cp1252")


# Bytes -------------------------------------------------------------------------------------------


def _span(data: bytes, random: Random, most: int = 400) -> tuple[int, int]:
    start = random.randrange(len(data) + 1)
    return start, min(len(data), start + random.randrange(1, most))


def _truncated(data: bytes, random: Random) -> bytes:
    return data[: random.choice((random.randrange(len(data) + 1), max(len(data) - random.randrange(1, 40), 0)))]


def flipped(data: bytes, random: Random) -> bytes:
    found = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 8, 64)) if found else 0):
        found[random.randrange(len(found))] ^= 1 << random.randrange(8)
    return bytes(found)


def overwritten(data: bytes, random: Random) -> bytes:
    kind, number = random.choice(("<B", "<H", ">H", "<I", ">I", "<Q", ">Q")), random.choice(INTEGERS)
    piece = struct.pack(kind, number % 256 ** struct.calcsize(kind))
    start = random.randrange(len(data) + 1)
    return data[:start] + piece + data[start + len(piece) :]


def _inserted(data: bytes, random: Random) -> bytes:
    start, _ = _span(data, random)
    size = random.choice((1, 7, 300))
    piece = random.choice((bytes(size), b"\xff" * size, random.randbytes(size), b"\n" * size, b"[" * 3000))
    return data[:start] + piece + data[start:]


def _dropped(data: bytes, random: Random) -> bytes:
    start, end = _span(data, random)
    return data[:start] + data[end:]


def _doubled(data: bytes, random: Random) -> bytes:
    start, end = _span(data, random)
    return data[:end] + data[start:end] * random.choice((1, 1, 3)) + data[end:]


def _swapped(data: bytes, random: Random) -> bytes:
    places = sorted(random.randrange(len(data) + 1) for _ in range(3))
    a, b, c = places
    return data[:a] + data[b:c] + data[a:b] + data[c:]


def appended(data: bytes, random: Random) -> bytes:
    return data + random.choice((b"\0" * 100, b"\n\n\n", data, random.randbytes(50)))


BYTES: tuple[Mutation, ...] = (
    *(_truncated, flipped, flipped, overwritten, overwritten, _inserted, _dropped, _doubled, _swapped, appended),
    lambda data, random: b"",
)


# Text with separators ----------------------------------------------------------------------------


def _by_rows(change: Callable[[list[list[str]], Random], None]) -> Mutation:
    """Return the mutation that changes rows of cells; quotes are of no concern, as nobody promises them."""

    def mutation(data: bytes, random: Random) -> bytes:
        text = data.decode("utf-8")
        mark = max(",\t|;", key=text.split("\n", 1)[0].count)
        rows = [line.split(mark) for line in text.splitlines()]
        change(rows, random)
        return "\n".join(mark.join(row) for row in rows).encode("utf-8", "surrogatepass")

    return mutation


def _cell(rows: list[list[str]], random: Random) -> None:
    row = random.choice(rows)
    row[random.randrange(len(row))] = random.choice(WORDS)


def _quoted_cell(rows: list[list[str]], random: Random) -> None:
    row = random.choice(rows)
    row[random.randrange(len(row))] = '"' + random.choice(WORDS).replace('"', '""') + random.choice(('"', ""))


def _column(rows: list[list[str]], random: Random) -> None:
    place = random.randrange(len(rows[0]))
    what = random.choice(("drop", "double", "fill", "swap"))
    other, word = random.randrange(len(rows[0])), random.choice(WORDS)
    for number, row in enumerate(rows):
        if place >= len(row) or other >= len(row):
            continue
        if what == "drop":
            del row[place]
        elif what == "double":
            row.insert(other, row[place])
        elif what == "swap":
            row[place], row[other] = row[other], row[place]
        elif number:
            row[place] = word


def _row(rows: list[list[str]], random: Random) -> None:
    place = random.randrange(len(rows))
    what = random.choice(("drop", "double", "longer", "shorter", "empty", "none", "move"))
    if what == "drop":
        del rows[place]
    elif what == "double":
        rows.insert(random.randrange(len(rows) + 1), list(rows[place]))
    elif what == "longer":
        rows[place] += [random.choice(WORDS)] * random.choice((1, 3000))
    elif what == "shorter":
        del rows[place][-1:]
    elif what == "empty":
        rows.insert(place, [""])
    elif what == "none":
        del rows[1:]
    else:
        rows.insert(0, rows.pop(place))


def _encoded(data: bytes, random: Random) -> bytes:
    return data.decode("utf-8").encode(random.choice(ENCODINGS), "replace")


def _line_ends(data: bytes, random: Random) -> bytes:
    return data.replace(b"\n", random.choice((b"\r", b"\r\n", b"\n\r", b"\n\n", b"\0\n", b"\x0c", b"")))


def _marks(data: bytes, random: Random) -> bytes:
    return data.replace(b",", random.choice((b";", b"\t", b"|", b" ", b",,", b":", b'","')))


TABLE = (
    *(_by_rows(_cell), _by_rows(_cell), _by_rows(_quoted_cell), _by_rows(_column), _by_rows(_column), _by_rows(_row)),
    *(_encoded, _line_ends, _marks),
)


# JSON and YAML: plain data -----------------------------------------------------------------------


def changed(plain: Any, random: Random) -> Any:
    """Return plain data in which one list, mapping or value is another."""
    if isinstance(plain, dict) and plain and random.random() < 0.85:
        found = dict(plain)
        name = random.choice(list(found))
        what = random.random()
        if what < 0.1:
            del found[name]
        elif what < 0.2:
            found[random.choice(WORDS)] = found.pop(name)
        elif what < 0.25:
            found[random.choice(WORDS)] = random.choice(SCALARS)
        else:
            found[name] = changed(found[name], random)
        return found
    if isinstance(plain, list) and plain and random.random() < 0.85:
        items = list(plain)
        place = random.randrange(len(items))
        what = random.random()
        if what < 0.1:
            del items[place]
        elif what < 0.2:
            items.insert(random.randrange(len(items)), items[place])
        elif what < 0.25:
            items += [random.choice(SCALARS)]
        else:
            items[place] = changed(items[place], random)
        return items
    if isinstance(plain, (int, float)) and random.random() < 0.3:
        return random.choice((-plain, plain * 1e300, plain * 1.5, str(plain), [plain]))
    return random.choice(SCALARS)


def json_node(data: bytes, random: Random) -> bytes:
    return json.dumps(changed(json.loads(data), random)).encode()


def json_text(data: bytes, random: Random) -> bytes:
    piece = random.choice(
        (
            b"NaN",
            b"-Infinity",
            b"1e999",
            b"9" * 5000,
            b'"\\ud800"',
            b"[" * 100_000,
            b'{"a":' * 5000,
            b'"\\u0000"',
            b"//",
        )
    )
    places = [number for number, byte in enumerate(data) if byte in b"0123456789:,"]
    at = random.choice(places)
    return data[:at] + piece + data[at + 1 :]


def _json_twice(data: bytes, random: Random) -> bytes:
    plain = json.loads(data)
    name = random.choice(list(plain)) if isinstance(plain, dict) else "a"
    return b"{" + json.dumps(name).encode() + b": 1, " + data.lstrip()[1:]


JSON = (json_node, json_node, json_node, json_text, _json_twice, _encoded)


def _yaml_node(data: bytes, random: Random) -> bytes:
    if b"&" in data or len(data) > 10_000:
        raise ValueError("what multiplies is for the reader under test alone")
    return yaml.safe_dump(changed(yaml.safe_load(data), random), sort_keys=False).encode("utf-8", "surrogatepass")


def _yaml_value(data: bytes, random: Random) -> bytes:
    lines = [line for line in data.decode().splitlines() if line.strip()]
    place = random.randrange(len(lines))
    head, mark, _ = lines[place].partition(":")
    lines[place] = head + (mark or ":") + " " + random.choice(YAML_VALUES)
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def _yaml_line(data: bytes, random: Random) -> bytes:
    lines = data.decode().splitlines()
    place, other = random.randrange(len(lines)), random.choice(lines)
    new = random.choice(
        (f" {other}", f"\t{other}", other.strip(), "---", "...", "%YAML 9.9", "? [a, b]\n: 1", "<<: *a")
    )
    return "\n".join([*lines[:place], new, *lines[place + random.choice((0, 1)) :]]).encode()


def _yaml_large(data: bytes, random: Random) -> bytes:
    laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{n + 1}: &a{n + 1} [{', '.join([f'*a{n}'] * 10)}]\n" for n in range(12)
    )
    merged = "m0: &m0 {a: 1}\n" + "".join(f"m{n + 1}: &m{n + 1} {{<<: [*m{n}, *m{n}]}}\n" for n in range(30))
    many = "".join(f"k{n}: {n}\n" for n in range(120_000))
    itself = "me: &me {me: *me}\n"
    piece = random.choice(
        (laughs, merged, many, itself, "deep: " + "[" * 20_000, "d: " + "{a: " * 3000, "x: " + "a" * 10**6)
    )
    return piece.encode() + data if random.random() < 0.5 else data + b"\n" + piece.encode()


YAML_VALUES = (
    *("!!python/object/apply:os.system [id]", "!!python/name:os.system", "!!binary x===", "!!set {a, b}"),
    *("!!omap [a: 1]", "!!timestamp 2020-13-45", "!!float x", "!!int 0b", "!!null x", "!x y", "&a *a", "*missing"),
    *("{<<: 1}", "{? [a] : b}", "2020-02-30", "190:20:30", ".nan", "-.inf", "1e999", "0o17", "~", "{}", "[]", "[[[]]]"),
    *("|\n  text", "> x", "{a: 1, a: 2}", "9" * 5000, "'\\0'", '"\\0"', '"\\ud800"', "yes", "0123", "1_0", "-", "? x"),
    *("@x", "`x`", "%x", "2009-2023", "-1", "1.5"),
)
YAML = (_yaml_node, _yaml_node, _yaml_node, _yaml_value, _yaml_value, _yaml_line, _yaml_large, _encoded)


# XML ---------------------------------------------------------------------------------------------


def _xml_value(data: bytes, random: Random) -> bytes:
    places = [number for number, byte in enumerate(data) if byte in b'0123456789"']
    at = random.choice(places)
    return data[:at] + random.choice((*WORDS, "&a;", "<", "]]>", "<!--", "&#0;", "&#xD800;")).encode() + data[at + 1 :]


def _xml_entities(data: bytes, random: Random) -> bytes:
    laughs = "".join(f'<!ENTITY a{n + 1} "{f"&a{n};" * 10}">' for n in range(9))
    kinds = ('<!ENTITY a SYSTEM "file:///etc/passwd">', '<!ENTITY a0 "lol">' + laughs + '<!ENTITY a "&a9;">')
    head = f"<!DOCTYPE x [{random.choice(kinds)}]>".encode()
    start = data.index(b"?>") + 2 if b"?>" in data else 0
    body = data[start:]
    at = body.rindex(b"</")
    return data[:start] + head + body[:at] + b"&a;" + body[at:]


XML = (_xml_value, _xml_value, _xml_entities, _encoded)
