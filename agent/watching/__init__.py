"""What the store says to whoever watches: facts of the shop, not of one process, for Prometheus."""
