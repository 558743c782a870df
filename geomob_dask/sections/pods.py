"""Pods of Kubernetes as a section describes them: amounts, names, sizes, tolerations."""

import re
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from geomob_dask.checked import Checked
from geomob_dask.messages import shown

_NUMBER = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|[eE][0-9]{1,2})?", re.ASCII)
_FACTORS = {"m": Decimal("0.001"), "k": Decimal(1000), "": Decimal(1)}
_FACTORS |= {letter: Decimal(1000) ** power for power, letter in enumerate("MGTPE", start=2)}
_FACTORS |= {f"{letter}i": Decimal(1024) ** power for power, letter in enumerate("KMGTPE", start=1)}
_BYTES_OF_DASK = re.compile(r"[0-9.]+ ?([KMGTPE]i?)B", re.ASCII)
_LEAST_MEMORY = 2**20
_MOST_PROCESSORS = 1024
_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
# The operator appends -default-worker- and ten characters; this package -, and eight.
LONGEST_NAME = 40
_KEY = re.compile(r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?", re.ASCII)
_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?", re.ASCII)
# What is before the image's last slash may have a port, what is after it a tag or a digest.
_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:-]*(@sha256:[0-9a-f]{64})?", re.ASCII)


def quantity(text: str) -> Decimal:
    """Return a quantity as a number.

    Raises
    ------
    ValueError
        If it is none.

    Examples
    --------
    >>> quantity("500m"), quantity("4Gi"), quantity("1e3")
    (Decimal('0.500'), Decimal('4294967296'), Decimal('1E+3'))
    """
    found = _NUMBER.fullmatch(text)
    if found is None:
        raise ValueError("not a quantity")
    number, unit = found[1], found[2] or ""
    try:
        return Decimal(f"{number}{unit}") if unit[:1] in ("e", "E") and unit[1:] else Decimal(number) * _FACTORS[unit]
    except InvalidOperation as error:
        raise ValueError("not a quantity") from error


def _processors(given: Any) -> Any:
    text = _text(given)
    try:
        count = quantity(text)
    except ValueError:
        raise ValueError("expected processors such as 2 or 500m") from None
    if not 0 < count <= _MOST_PROCESSORS:
        raise ValueError(f"found {count:f} processors, expected more than 0 and at most {_MOST_PROCESSORS}")
    return text


def _memory(given: Any) -> Any:
    text = _text(given)
    try:
        size = quantity(text)
    except ValueError:
        suffix = _BYTES_OF_DASK.fullmatch(text)
        hint = f"; did you mean {shown(text[:-1].replace(' ', ''))}?" if suffix else ""
        raise ValueError(f"expected memory such as 4Gi or 512Mi{hint}") from None
    if size < _LEAST_MEMORY:
        raise ValueError(f"found {size:f} bytes, expected at least 1Mi")
    return text


def _text(given: Any) -> str:
    # YAML reads 2 and 0.5 as numbers.
    if isinstance(given, bool) or not isinstance(given, str | int | float):
        raise ValueError("expected a quantity such as 2, 500m or 4Gi")
    return str(given).strip()


Processors = Annotated[str, BeforeValidator(_processors)]
Memory = Annotated[str, BeforeValidator(_memory)]


def _dns_label(longest: int) -> BeforeValidator:
    def check(given: Any) -> Any:
        if not isinstance(given, str) or not re.fullmatch(_LABEL, given, re.ASCII) or len(given) > longest:
            raise ValueError(
                f"expected a name of at most {longest} lower-case letters, digits and hyphens, with no hyphen at its "
                "ends"
            )
        return given

    return BeforeValidator(check)


def _object_name(given: Any) -> Any:
    if not isinstance(given, str) or not re.fullmatch(rf"{_LABEL}(\.{_LABEL})*", given, re.ASCII) or len(given) > 253:
        raise ValueError("expected the name of an object of Kubernetes: lower-case letters, digits, hyphens and dots")
    return given


def _image(given: Any) -> Any:
    if not isinstance(given, str) or not _IMAGE.fullmatch(given):
        raise ValueError("expected the address of an image, such as registry.example/geomob-dask:0.6.0")
    return given


def _labels(given: Any) -> Any:
    if isinstance(given, dict):
        for key, value in given.items():
            if not _KEY.fullmatch(str(key)):
                raise ValueError(f"found the key {shown(key)}, expected one that Kubernetes takes, such as team")
            if not isinstance(value, str) or not _VALUE.fullmatch(value):
                raise ValueError(
                    f"{key}: found {shown(value)}, expected text of at most 63 letters, digits, hyphens, dots and "
                    "underscores"
                )
    return given


def _annotations(given: Any) -> Any:
    if isinstance(given, dict):
        for key in given:
            if not _KEY.fullmatch(str(key)):
                raise ValueError(f"found the key {shown(key)}, expected one that Kubernetes takes, such as team")
    return given


ClusterName = Annotated[str, _dns_label(LONGEST_NAME)]
Namespace = Annotated[str, _dns_label(63)]
ObjectName = Annotated[str, BeforeValidator(_object_name)]
Image = Annotated[str, BeforeValidator(_image)]
Labels = Annotated[dict[str, str], BeforeValidator(_labels)]
Annotations = Annotated[dict[str, str], BeforeValidator(_annotations)]


class PodSize(Checked):
    """What one pod asks for, and what it may use.

    Parameters
    ----------
    cpu : str
        Processors that are reserved, such as ``2`` or ``500m``.
    cpu_limit : str, optional
        Processors that it may use; no limit by default.
    memory : str
        Memory that is reserved, such as ``4Gi``.
    memory_limit : str, optional
        Memory above which the pod is killed; as much as is reserved by default.
    """

    cpu: Processors = "1"
    cpu_limit: Processors | None = None
    memory: Memory = "4Gi"
    memory_limit: Memory | None = None

    @model_validator(mode="after")
    def _limits_above(self) -> Self:
        for name, reserved, limit in (
            ("cpu_limit", self.cpu, self.cpu_limit),
            ("memory_limit", self.memory, self.memory_limit),
        ):
            if limit is not None and quantity(limit) < quantity(reserved):
                raise ValueError(f"{name} {limit} is below what is reserved, {reserved}")
        return self


class Toleration(Checked):
    """A taint of nodes on which pods may run, such as that of spot instances.

    Parameters
    ----------
    key : str, optional
        Of the taint; every one by default, for which `operator` is ``Exists``.
    operator : str
        ``Exists``, or ``Equal`` for a taint of that value.
    value : str, optional
    effect : str, optional
        Every one by default.
    seconds : int, optional
        For which a running pod stays after the taint of effect ``NoExecute`` is set.
    """

    key: str | None = None
    operator: Literal["Exists", "Equal"] = "Exists"
    value: str | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    seconds: Annotated[int, Field(ge=0)] | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.operator == "Equal" and (self.key is None or self.value is None):
            raise ValueError("operator Equal: expected key and value")
        if self.operator == "Exists" and self.value is not None:
            raise ValueError("operator Exists: expected no value; operator Equal has one")
        if self.seconds is not None and self.effect != "NoExecute":
            raise ValueError("seconds: expected effect NoExecute")
        return self
