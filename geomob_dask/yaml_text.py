"""YAML as this package reads it: one loader with bounds, for every file and every shipped table.

Bounded are the bytes, the depth of nesting, and the number of keys and values once every alias is written out. A key
given twice is refused: of two products of one name the first would be lost. A date stays text, and so does a number
that begins with a zero, such as the code of a county.
"""

import os
import re
import stat
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from geomob_dask.errors import GeomobError
from geomob_dask.messages import one_line, reason, shown, shown_path

LARGEST = 2 * 2**20
DEEPEST = 50
MOST_VALUES = 200_000
LONGEST_INTEGER = 40

_INTEGER, _TIMESTAMP = "tag:yaml.org,2002:int", "tag:yaml.org,2002:timestamp"
_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_FAULTS = (ValueError, TypeError, KeyError, AttributeError, IndexError, OverflowError, RecursionError)


def read_yaml(file: str | Path, error: type[GeomobError], what: str) -> Any:
    """Return the plain data of a YAML file.

    Parameters
    ----------
    file : str or Path
    error : type of GeomobError
        Class of the error that is raised.
    what : str
        What the file is expected to hold, for messages.

    Raises
    ------
    GeomobError
        Of the class given, naming the file and line: no regular file, not UTF-8, not YAML, too large, too deep, a key
        given twice, or a value that is not of its type.
    """
    return parse_yaml(read_text(file, error, what), str(file), error)


def read_text(file: str | Path, error: type[GeomobError], what: str) -> str:
    """Return the text of a small regular file in UTF-8, with or without a byte order mark; see `read_yaml`."""
    where = shown_path(file)
    try:
        # A pipe would be waited for.
        if not stat.S_ISREG(os.stat(file).st_mode):
            raise error(f"{where}: found a folder, pipe or device, expected a file: {what}")
        with open(file, "rb") as stream:
            data = stream.read(LARGEST + 1)
    except (OSError, ValueError) as failure:
        if isinstance(failure, GeomobError):
            raise
        raise error(f"{where}: cannot be read ({reason(failure)}); expected {what}") from failure
    if len(data) > LARGEST:
        raise error(f"{where}: found more than {LARGEST // 2**20} MiB, expected {what}")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as failure:
        line = data.count(b"\n", 0, failure.start) + 1
        raise error(f"{where}: line {line}: found bytes that are not UTF-8, expected {what} in UTF-8") from failure


def parse_yaml(text: str, where: str, error: type[GeomobError]) -> Any:
    """Return the plain data of a YAML text; see `read_yaml`.

    Parameters
    ----------
    where : str
        Names the text in messages.

    Examples
    --------
    >>> parse_yaml("a: [1, 01001, 2020-13-45, yes]", "example", GeomobError)
    {'a': [1, '01001', '2020-13-45', True]}
    """
    try:
        _check_size(text)
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as failure:
        raise error(f"{where}: {_explained(failure, text)}") from failure
    except _FAULTS as failure:
        raise error(f"{where}: not YAML ({shown(str(failure))})") from failure


def shipped_yaml(*path: str) -> Any:
    """Return the plain data of a file that comes with the package, below its folder ``definitions``."""
    entry = resources.files("geomob_dask").joinpath("definitions", *path)
    return parse_yaml(entry.read_text(encoding="utf-8"), "/".join(path), GeomobError)


def mapping_of(plain: Any, where: str, error: type[GeomobError], expected: str) -> dict[Any, Any]:
    """Return plain data that is a mapping, as it is.

    Raises
    ------
    GeomobError
        Of the class given, if it is something else.
    """
    if not isinstance(plain, dict):
        raise error(f"{where}: found {_KINDS.get(type(plain), 'a value')}, expected {expected}")
    return plain


_KINDS: dict[type, str] = {list: "a list", str: "text", int: "a number", float: "a number", type(None): "nothing"}


class _Loader(_Base):  # type: ignore[misc]
    """The safe loader, whose every failure names a line."""

    def get_single_node(self) -> yaml.Node | None:
        node: yaml.Node | None = super().get_single_node()
        for one in _mappings(node):
            _check_keys(one)
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except _FAULTS as failure:
            kind = str(node.tag).rsplit(":", 1)[-1]
            raise _fault(f"found {shown(node.value)}, expected a value of the type {kind}", node) from failure

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        text = self.construct_scalar(node)
        # Numbers in base 60 take a time that grows with the square of their length.
        if len(text) > LONGEST_INTEGER:
            raise _fault(f"found an integer of {len(text):,} digits, expected {LONGEST_INTEGER} or fewer", node)
        return int(super().construct_yaml_int(node))


_Loader.add_constructor(_INTEGER, _Loader.construct_yaml_int)
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in rules if tag not in (_INTEGER, _TIMESTAMP)]
    for first, rules in _Base.yaml_implicit_resolvers.items()
}
_DIGITS = re.compile(rf"^[-+]?(?:0|[1-9][0-9_]{{0,{LONGEST_INTEGER - 1}}})$")
_Loader.add_implicit_resolver(_INTEGER, _DIGITS, list("-+0123456789"))


def _check_size(text: str) -> None:
    """Raise a YAMLError if nesting is too deep, or if there are too many values once aliases are written out."""
    sizes: dict[str, int | None] = {}
    # Of each open list or mapping: its anchor, and the values in it so far.
    opened: list[tuple[str | None, int]] = [(None, 0)]
    for event in yaml.parse(text, Loader=_Base):
        anchor, added = getattr(event, "anchor", None), 0
        if isinstance(event, yaml.CollectionStartEvent):
            if anchor is not None:
                sizes[anchor] = None
            opened.append((anchor, 1))
            if len(opened) > DEEPEST:
                raise _fault(f"found lists and mappings {DEEPEST} deep, expected fewer", event)
            continue
        if isinstance(event, yaml.CollectionEndEvent):
            anchor, added = opened.pop()
        elif isinstance(event, yaml.AliasEvent):
            # An unknown alias is the parser's to refuse.
            size = sizes.get(anchor or "", 1)
            if size is None:
                raise _fault(f"found the alias {shown(anchor)} inside of what it stands for", event)
            anchor, added = None, size
        elif isinstance(event, yaml.ScalarEvent):
            added = 1
        if anchor is not None:
            sizes[anchor] = added
        outer, count = opened[-1]
        opened[-1] = outer, count + added
        if count + added > MOST_VALUES:
            raise _fault(f"found more than {MOST_VALUES:,} keys and values, aliases written out; expected fewer", event)


def _mappings(node: yaml.Node | None) -> Iterator[yaml.MappingNode]:
    """Yield every mapping of a document once."""
    seen: set[int] = set()
    waiting: list[yaml.Node] = [] if node is None else [node]
    while waiting:
        one = waiting.pop()
        if id(one) in seen or isinstance(one, yaml.ScalarNode):
            continue
        seen.add(id(one))
        if isinstance(one, yaml.MappingNode):
            yield one
            waiting += [part for pair in one.value for part in pair]
        else:
            waiting += one.value


def _check_keys(node: yaml.MappingNode) -> None:
    seen: set[str] = set()
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise _fault("found a list or mapping as a key, expected text", key)
        if key.value in seen:
            raise _fault(f"found {shown(key.value)} twice, expected it once", key)
        seen.add(key.value)


def _fault(problem: str, at: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=at.start_mark)


def _explained(failure: yaml.YAMLError, text: str) -> str:
    mark = getattr(failure, "problem_mark", None) or getattr(failure, "context_mark", None)
    position = getattr(failure, "position", None)
    problem = getattr(failure, "problem", None) or getattr(failure, "reason", None) or str(failure)
    line = None if mark is None else mark.line + 1
    if line is None and isinstance(position, int):
        line = text.encode().count(b"\n", 0, position) + 1
    problem = one_line(problem)
    # The parser's own words do not say that the text is no YAML.
    own = isinstance(failure, yaml.MarkedYAMLError) and "expected" in problem and problem.startswith("found ")
    return f"{'' if line is None else f'line {line}: '}{problem if own else f'not YAML ({problem[:300]})'}"


__all__: Sequence[str] = ["mapping_of", "parse_yaml", "read_text", "read_yaml", "shipped_yaml"]
