"""vLLM as an engine, by its OpenAI-compatible HTTP interface (README.md beside this package)."""
