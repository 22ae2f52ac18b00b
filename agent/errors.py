"""What can go wrong in the agent, and who must act.

AgentError
├── Transient            try again: OpenSearch, Redis or a replica is away or slow
│   ├── NotHeld          a replica has not taken the version up that it is asked for
│   ├── SearchFailed     a search got no answer; never a reward, never an empty page
│   │   ├── SearchRefused    OpenSearch does not take it as it is: a template or its parameters are wrong
│   │   └── Busy             it had no place among those that nobody waits for
│   └── RunnerLost       a remote environment runner gave no answer; yields no episode
├── Permanent            set aside: a bad catalogue line, an unknown model
│   └── Refused          the caller's request is wrong; becomes a 4xx
└── Corrupt              stop: a checksum is wrong, a manifest and its file differ
    └── BadWeights       an adapter that does not load, is not finite or not what its manifest says
"""


class AgentError(Exception):
    """Root of this package's errors.

    Their messages may be logged: they repeat no text of a shopper's, except those of `SearchRefused` and
    `Refused`, which go to whoever asked.
    """


class Transient(AgentError):  # noqa: N818 - the name says who must act
    """Try again, inside the caller's deadline."""


class SearchFailed(Transient):
    """OpenSearch gave no answer; yields no episode and no verdict."""


class SearchRefused(SearchFailed):
    """OpenSearch understood and refused (400): a template or its parameters are wrong."""


class Busy(SearchFailed):
    """Nobody asked OpenSearch: too many searches that no shopper waits for are under way already."""


class NotHeld(Transient):
    """The replica does not hold the version: it takes it up in a moment, or will not."""


class RunnerLost(Transient):
    """A remote environment runner gave no answer; its queries are drawn again."""


class Permanent(AgentError):  # noqa: N818 - the name says who must act
    """Set aside; trying again cannot help."""


class Refused(Permanent):
    """The caller's request is wrong; the message says what to change."""


class Corrupt(AgentError):  # noqa: N818 - the name says who must act
    """Stop; what is stored contradicts its own description."""


class BadWeights(Corrupt):
    """An adapter that does not load, is not finite, or is not what its manifest says."""
