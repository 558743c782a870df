"""The commits of a run: the one place where results become visible."""

from collections.abc import Mapping, Sequence

from geomob_dask.store import Commit, Snapshot, Store, snapshots


def commit_states(
    store: Store, commits: Sequence[Commit], expected: Mapping[str, Mapping[str, str]], *, keep_others: bool
) -> list[Snapshot]:
    """Make the results of several runs visible together, in one commit per collection.

    Parameters
    ----------
    commits : sequence of Commit
        Of different states of the same collections; each collection's attributes are the same in all.
    expected : mapping of str to mapping
        By collection, the run that each state was of when this was planned: see `snapshots.commit_runs`. Nothing is
        expected of other collections. All of them are looked at before the first commit: what is refused in one is
        committed in none.
    keep_others : bool
        Whether states that are not among them stay. Those of an earlier run with other attributes (the vintage of
        measures that were ingested again) are removed: they are stale.
    """
    together: dict[str, list[Commit]] = {}
    for one in commits:
        together.setdefault(one.collection, []).append(one)
    fresh = {
        collection: {state: part for one in same for state, part in one.made().items()}
        for collection, same in together.items()
    }
    for collection, parts in fresh.items():
        if collection in expected:
            snapshots.refuse_another_run(store.objects, collection, parts, expected[collection])
    return [
        snapshots.commit_runs(
            store.objects,
            collection,
            fresh[collection],
            {one.provenance.identity: one.provenance.plain() for one in same},
            same[-1].attributes,
            keep_others=keep_others,
            expected=expected.get(collection),
            stale_may_go=True,
        )
        for collection, same in together.items()
    ]
