"""Scripts of ``benchmarks/`` as modules."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def benchmark(name: str) -> ModuleType:
    """Return a script of ``benchmarks/``; as when it is run, it finds those beside it."""
    if str(BENCHMARKS) not in sys.path:
        sys.path.append(str(BENCHMARKS))
    # Folders of tests have the names of some of them.
    as_module = f"benchmark_{name}"
    spec = importlib.util.spec_from_file_location(as_module, BENCHMARKS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Its dataclasses look it up; afterwards it is not there, so that workers are sent the code of its functions.
    sys.modules[as_module] = module
    try:
        spec.loader.exec_module(module)
    finally:
        del sys.modules[as_module]
    return module
