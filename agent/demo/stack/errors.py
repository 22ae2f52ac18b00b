"""What can go wrong with the local stack.

StackError              a service cannot be had: the message says which, why and what to do
├── UnavailableError    a part that could be had otherwise (no Java, no registry): try the next one
└── NotReadyError       a process was started and ended, or did not answer in time
"""


class StackError(RuntimeError):
    """A service of the local stack cannot be had."""


class UnavailableError(StackError):
    """A part is missing here; the caller may fall back on another."""


class NotReadyError(StackError):
    """A started process ended or stayed silent; the message holds the end of its log."""
