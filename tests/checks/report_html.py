"""A report's page as a parser sees it: what stands in it, and what must not."""

from html.parser import HTMLParser

from typing_extensions import override


class Parsed(HTMLParser):
    """Elements with their attributes, in order, and all text but the style's."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._style = False
        self.feed(html)
        self.close()

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._style = tag == "style"

    @override
    def handle_endtag(self, tag: str) -> None:
        self._style = False

    @override
    def handle_data(self, data: str) -> None:
        if not self._style:
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """Return the attributes of each element of a kind."""
        return [attributes for name, attributes in self.elements if name == tag]

    def faults(self) -> list[str]:
        """Return what would run, fetch, or be told badly to who cannot see."""
        found = [
            name for name, _ in self.elements if name in ("script", "img", "iframe", "object", "form", "base")
        ]
        for name, attributes in self.elements:
            found += [f"{name} {one}" for one in attributes if one.startswith("on") or one == "style"]
            for place in ("href", "src", "xlink:href"):
                value = attributes.get(place) or ""
                if "//" in value or value.startswith("javascript:"):
                    found.append(f"{name} {place}={value}")
            if name == "svg" and attributes.get("aria-hidden") != "true":
                found += (
                    []
                    if attributes.get("role") == "img" and attributes.get("aria-label")
                    else ["svg says nothing"]
                )
            if name == "th" and attributes.get("scope") not in ("row", "col"):
                found.append("th without scope")
        found += [] if len(self.all("h1")) == 1 else ["not one h1"]
        found += [] if len(self.all("table")) == len(self.all("caption")) else ["table without caption"]
        ids = [one["id"] for _, one in self.elements if "id" in one]
        return found + ([] if len(set(ids)) == len(ids) else [f"id twice: {ids}"])
