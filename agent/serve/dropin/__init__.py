"""OpenSearch's own routes, for clients that know nothing of us."""
