"""What the jobs do: plans over a store, carried out on a cluster."""
