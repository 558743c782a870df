"""Runs of products: plans over a store, executed on a cluster."""
