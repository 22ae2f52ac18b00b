"""How many machines a shop needs: unit costs measured, and a model of what the cache holds."""
