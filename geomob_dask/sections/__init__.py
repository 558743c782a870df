"""Sections of cluster.yaml, a model for each kind; what they start is in `geomob_dask.clusters`.

A further kind is a model here, its name in `Section`, and a module in `geomob_dask.clusters`.
"""

from typing import Annotated

from pydantic import Field

from geomob_dask.sections.address import AddressSection
from geomob_dask.sections.gateway import GatewaySection
from geomob_dask.sections.kubernetes import KubernetesSection
from geomob_dask.sections.local import LocalSection
from geomob_dask.sections.queue import HtcondorSection, LsfSection, PbsSection, SgeSection, SlurmSection
from geomob_dask.sections.serial import SerialSection
from geomob_dask.sections.shared import PATIENCE, SILENCE, Waits
from geomob_dask.sections.ssh import SshSection

Section = (
    LocalSection
    | AddressSection
    | SerialSection
    | SshSection
    | KubernetesSection
    | GatewaySection
    | SlurmSection
    | PbsSection
    | LsfSection
    | SgeSection
    | HtcondorSection
)
ClusterSection = Annotated[Section, Field(discriminator="kind")]

__all__ = [
    "PATIENCE",
    "SILENCE",
    "AddressSection",
    "ClusterSection",
    "GatewaySection",
    "HtcondorSection",
    "KubernetesSection",
    "LocalSection",
    "LsfSection",
    "PbsSection",
    "Section",
    "SerialSection",
    "SgeSection",
    "SlurmSection",
    "SshSection",
    "Waits",
]
