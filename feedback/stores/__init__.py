"""Where the state and the cache are: connections by URL, and leases on what is in them."""

from feedback.stores.connecting import connect
from feedback.stores.forgetting import forget
from feedback.stores.leases import Lease

__all__ = ["Lease", "connect", "forget"]
