"""Spelling by the engine's own term suggester, from the words of the catalogue's titles."""

from typing import Any

from agent.errors import SearchFailed
from agent.retrieval.connection import kind_of
from agent.retrieval.templates.markers import Body

FIELD = "title"


def suggestion(text: str) -> Body:
    """Return the request for the best suggestion of each word that no title has."""
    term = {"field": FIELD, "suggest_mode": "missing", "size": 1}
    return {"size": 0, "suggest": {"spelling": {"text": text, "term": term}}}


def respelled(text: str, answer: dict[str, Any]) -> str:
    """Return the text with the suggestions in place; raises SearchFailed where the answer is none."""
    if "suggest" not in answer:
        raise SearchFailed(f"no suggestion: {kind_of(answer)}")
    for word in reversed(answer["suggest"]["spelling"]):
        if word["options"]:
            start, end = word["offset"], word["offset"] + word["length"]
            text = text[:start] + word["options"][0]["text"] + text[end:]
    return text
