"""The benchmark of correlations in space still runs."""

import importlib.util
from pathlib import Path

FILE = Path(__file__).parents[2] / "benchmarks" / "correlation.py"


def test_table_and_cost():
    spec = importlib.util.spec_from_file_location("benchmark_correlation", FILE)
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    table = benchmark.sizes_and_coverage(60, (0.0, 0.5), 40, 1)
    assert len(table) == 4
    smooth = table[(table["reach"] == 0.5) & (table["true r"] == 0)].iloc[0]
    assert smooth["p < 0.05, unadjusted"] > smooth["p < 0.05, adjusted"]
    seconds, peak = benchmark.cost(300, 2, 0)
    assert min(seconds, peak) > 0
