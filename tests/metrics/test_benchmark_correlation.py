"""The benchmark of correlations in space still runs."""

from scripts import benchmark


def test_table_and_cost():
    script = benchmark("correlation")
    table = script.sizes_and_coverage(60, (0.0, 0.5), 40, 1)
    assert len(table) == 4
    smooth = table[(table["reach"] == 0.5) & (table["true r"] == 0)].iloc[0]
    assert smooth["p < 0.05, unadjusted"] > smooth["p < 0.05, adjusted"]
    seconds, peak = script.cost(300, 2, 0)
    assert min(seconds, peak) > 0
