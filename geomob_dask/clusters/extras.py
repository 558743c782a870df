"""Libraries that only some kinds of clusters need: extras of the package."""

import importlib
from types import ModuleType

from geomob_dask.errors import SettingsError


def library(name: str, extra: str, who: str) -> ModuleType:
    """Return a library that is installed with an extra of this package.

    Parameters
    ----------
    name : str
        Of the module, such as ``dask_jobqueue``.
    extra : str
        Of the package, such as ``queue``.
    who : str
        What needs it, for the message: the title of a section.

    Raises
    ------
    SettingsError
        If it, or something that it needs, is not installed; the message says what installs it.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise SettingsError(
            f"{who}: needs {name}, which cannot be imported ({error}); expected the extra {extra}: "
            f"pip install 'geomob-dask[{extra}]'"
        ) from error
