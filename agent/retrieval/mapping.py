"""The index definition: English text to search, the id as a keyword, all else kept and left alone."""

from typing import Any

from agent.sections import OpenSearchSettings

TEXT_FIELDS = ("title", "category", "description")


def index_definition(settings: OpenSearchSettings) -> dict[str, Any]:
    """Return settings and mapping of the index.

    Fields that no query searches are stored with the document and not indexed (`dynamic: false`), so that
    no value of theirs, whatever its type, can refuse a document.
    """
    searched = {field.partition("^")[0] for field in settings.fields}
    text = {"type": "text", "analyzer": "english"}
    fields = dict.fromkeys(sorted({*TEXT_FIELDS, *searched}), text)
    return {
        "settings": {"index": {"number_of_shards": 1, "auto_expand_replicas": "0-1"}},
        "mappings": {"dynamic": False, "properties": {**fields, "object_id": {"type": "keyword"}}},
    }
