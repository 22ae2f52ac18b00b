"""Serving: the gateway that shoppers ask, and the rewriter behind it."""
