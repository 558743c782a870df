"""Products: what is computed from a store and written to it, one module each; `catalog` lists them."""
