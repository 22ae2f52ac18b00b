"""Who may teach: a tenant's secret, and what is made with it at the edge.

Guarantees that nothing behind the edge tells who a client is without the secret, which is kept outside
Redis: ids are MACs, addresses are digests of their network with a salt of the day. A page's `query_id`
carries a MAC, so that nobody can name a page that was never shown.
"""

from feedback.access.addresses import client_address, parse_address
from feedback.access.secret import make_secret, read_secret, replace_secret
from feedback.access.signer import Signer

__all__ = ["Signer", "client_address", "make_secret", "parse_address", "read_secret", "replace_secret"]
