"""No cluster."""

from typing import Literal

from geomob_dask.sections.driver import OfOneMachine
from geomob_dask.sections.shared import Titled


class SerialSection(Titled, OfOneMachine):
    """No cluster: every task in turn, in this process. For following what happens, with a debugger if need be.

    Parameters
    ----------
    driver : Driver, optional
        See `OfOneMachine`.
    """

    kind: Literal["serial"] = "serial"
