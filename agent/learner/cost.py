"""What writing costs: a rewrite of many or of repeated words must bring more than a short one.

Pure. Guarantees that an empty rewrite costs nothing. The plan leaves out what is repeated or too much; the
cost keeps the policy from writing it.
"""

from agent.policy.prompt import Prompt
from agent.sections import LearnerSettings
from feedback.records import Form
from feedback.text import normalise


def writing_cost(prompt: Prompt, text: str, settings: LearnerSettings) -> float:
    """Return what the rewrite costs, in DCG, at least 0.

    ``length_cost`` for each word after the first ``free_words``, and ``repetition_cost`` times the share of
    words that stand in the rewrite before or, in the form *add*, in the query: there they add nothing.
    """
    words = normalise(text).split()
    if not words:
        return 0.0
    known = set(normalise(prompt.query).split()) if prompt.form is Form.ADD else set()
    repeated = sum(word in known or word in words[:place] for place, word in enumerate(words))
    beyond = max(0, len(words) - settings.free_words)
    return settings.length_cost * beyond + settings.repetition_cost * repeated / len(words)
