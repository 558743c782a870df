"""Many products, years and states in one run that can be stopped, killed and repeated."""
