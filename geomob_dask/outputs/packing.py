"""Values of a page as few characters: compressed with zlib, in base64; ``static/packed.js`` unpacks them."""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

# Whole numbers that a browser counts exactly, of six bytes.
_MOST = 2**48 - 2


def in_base64(packed: bytes) -> str:
    """Return bytes as text."""
    return base64.b64encode(packed).decode()


def pack_json(value: Any) -> str:
    """Return a value as JSON, compressed."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return in_base64(zlib.compress(text.encode(), 9))


def finite(column: pd.Series) -> NDArray[np.float64]:
    """Return numbers of any type; NaN where one is missing or infinite."""
    values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    return np.where(np.isfinite(values), values, np.nan)


def rounded_to(values: NDArray[np.float64], decimals: int) -> NDArray[np.float64]:
    """Return values as a page has them after `pack_numbers`."""
    return np.asarray(np.rint(values * 10.0**decimals) / 10.0**decimals)


def pack_numbers(values: NDArray[np.float64], decimals: int) -> dict[str, Any]:
    """Return numbers rounded to so many decimal places, as `numbers` in ``static/packed.js`` unpacks them.

    Parameters
    ----------
    values : shape (n,)
        NaN is missing.
    decimals : int
        Fewer where a number is too large for a browser to count exactly.

    Returns
    -------
    dict
        ``decimals``; ``low``, the least number times 10^decimals; ``size``, bytes a number; ``bytes``: numbers less
        the least plus 1 (0: missing), all first bytes (least significant), then all second ones, compressed.
    """
    known = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        while True:
            steps = np.rint(values * 10.0**decimals)
            low = float(steps[known].min()) if known.any() else 0.0
            high = float(steps[known].max()) if known.any() else 0.0
            if high - low <= _MOST and max(abs(low), abs(high)) < 2**53:
                break
            decimals -= 1
    codes = np.where(known, steps - low + 1, 0).astype("<u8")
    size = max(1, (int(codes.max(initial=0)).bit_length() + 7) // 8)
    planes = codes.view(np.uint8).reshape(-1, 8)[:, :size].T
    return {
        "decimals": decimals,
        "low": int(low),
        "size": size,
        "bytes": in_base64(zlib.compress(np.ascontiguousarray(planes).tobytes(), 9)),
    }
