"""What learning is worth on real data that is not in this repository: one module a table."""
