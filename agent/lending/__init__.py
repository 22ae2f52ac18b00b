"""What judged queries lend to one of which too little is known, and how it is told whether that pays.

Those most like a query offer their words and their verified rewrites, and the words on which they agree. Each
offer's page is held against what was wanted around it: what shoppers of such queries clicked, the query's own
few clicks before all. Whether what was wanted there is wanted here, too, is no assumption: every judged query
tells it of itself, once it is treated as if nobody had asked it.
"""

from agent.lending.looking import Judged, Look, attempt, held, lend
from agent.lending.offers import Offers, offers
from agent.lending.terms import Trial, terms_of

__all__ = ["Judged", "Look", "Offers", "Trial", "attempt", "held", "lend", "offers", "terms_of"]
