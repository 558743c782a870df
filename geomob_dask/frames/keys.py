"""Keys of tracts as integers: text of 11 digits at the door and in outputs, integers in between.

Looking up integers is several times faster than looking up text. Other text stays as it is, and so do integers.
"""

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from geomob_dask.frames.own_rows import is_lazy

_DIGITS = 11


def to_codes(keys: pd.Index) -> pd.Index:
    """Return keys of 11 digits as integers, in the same order; other keys as they are.

    Examples
    --------
    >>> to_codes(pd.Index(["01001020100", "56045951300"], name="geoid")).tolist()
    [1001020100, 56045951300]
    >>> to_codes(pd.Index(["a", "b"], dtype="str")).tolist()
    ['a', 'b']
    """
    if not pd.api.types.is_string_dtype(keys.dtype):
        return keys
    text = _arrow(keys)
    if text is None or not _all_codes(text):
        return pd.Index(keys.to_numpy(object), dtype=object, name=keys.name) if len(keys) else keys[:0].astype("int64")
    return pd.Index(pc.cast(text, pa.int64()).to_numpy(zero_copy_only=False), name=keys.name)


def to_text(codes: pd.Index) -> pd.Index:
    """Return integers as text of 11 digits; text as it is."""
    if codes.dtype.kind != "i":
        return codes.astype("str")
    padded = pc.utf8_lpad(pc.cast(pa.array(codes.to_numpy()), pa.string()), width=_DIGITS, padding="0")
    return pd.Index(padded.to_numpy(zero_copy_only=False), dtype="str", name=codes.name)


def has_text_keys(frame: Any) -> bool:
    """Return whether the keys of a frame, in memory or on Dask, are text."""
    index = frame._meta.index if is_lazy(frame) else frame.index
    return not pd.api.types.is_numeric_dtype(index.dtype)


def codes_like(values: pd.Series, keys: pd.Index) -> np.ndarray:
    """Return a column of keys in the form that the keys of its frame have after `to_codes`."""
    codes = to_codes(pd.Index(values))
    if len(codes) and len(keys) and codes.dtype.kind != keys.dtype.kind:
        return np.asarray(pd.Index(values).to_numpy(object))
    return np.asarray(codes.to_numpy())


def coded(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a frame with integer keys where its keys are codes of tracts."""
    return frame.set_axis(to_codes(frame.index))


def _arrow(keys: pd.Index) -> "pa.Array | pa.ChunkedArray | None":
    try:
        return pa.array(keys.array, type=pa.string()) if keys.dtype == object else pa.array(keys.array)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return None


def _all_codes(text: "pa.Array | pa.ChunkedArray") -> bool:
    if not len(text) or text.null_count:
        return False
    digits = pc.and_(pc.utf8_is_digit(text), pc.equal(pc.utf8_length(text), _DIGITS))
    return bool(pc.all(digits).as_py())
