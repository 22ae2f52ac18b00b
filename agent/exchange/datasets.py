"""The public data sets that can be imported, each by its own columns.

Sources: Shopping Queries Data Set (ESCI; Reddy et al., arXiv 2206.06588; github.com/amazon-science/esci-data)
with the gains of its task 1; Home Depot Product Search Relevance (Kaggle); Amazon-C4 (Hou et al., arXiv
2403.03952).
"""

from functools import cached_property, partial
from pathlib import Path

from agent.exchange.labels import JUDGMENTS, PRODUCTS, Judgments, Products, Row, Step, joined, text_of
from agent.exchange.sources import rows_of

ESCI_GAIN = {"E": 1.0, "S": 0.1, "C": 0.01, "I": 0.0}
ESCI_NAMES = {"Exact": "E", "Substitute": "S", "Complement": "C", "Irrelevant": "I"}
LATIN = "latin-1"


def esci(examples: Path, products: Path | None, *, locale: str, small: bool) -> list[Step]:
    """Return the steps of ESCI: relevance 1 exact, .1 substitute, .01 complement, 0 irrelevant."""
    steps = [
        Step(
            path=examples,
            target=JUDGMENTS,
            convert=Judgments(partial(_esci_judged, locale=locale, small=small)),
        )
    ]
    if products is not None:
        of_locale = _Locale(Products(_esci_product), locale)
        steps.append(Step(path=products, target=PRODUCTS, convert=of_locale))
    return steps


def homedepot(train: Path, descriptions: Path | None) -> list[Step]:
    """Return the steps of Home Depot: relevance from 1 to 3, as annotators gave it in the mean."""
    judged = Step(path=train, encoding=LATIN, target=JUDGMENTS, convert=Judgments(_depot_judged))
    if descriptions is None:
        return [Step(path=train, encoding=LATIN, target=PRODUCTS, convert=Products(_depot_product)), judged]
    return [judged, Step(path=descriptions, target=PRODUCTS, convert=Products(_Described(train)))]


def amazon_c4(test: Path, metadata: Path | None) -> list[Step]:
    """Return the steps of Amazon-C4: one object a request, of relevance 1."""
    steps = [Step(path=test, target=JUDGMENTS, convert=Judgments(_c4_judged))]
    if metadata is not None:
        steps.append(Step(path=metadata, target=PRODUCTS, convert=Products(_c4_product)))
    return steps


class _Locale:
    """Passes over products of other locales."""

    def __init__(self, products: Products, locale: str) -> None:
        self._products = products
        self._locale = locale

    def __call__(self, row: Row) -> bytes | None:
        return self._products(row) if text_of(row, "product_locale") == self._locale else None


def _esci_judged(row: Row, *, locale: str, small: bool) -> tuple[str, str, str, float] | None:
    if text_of(row, "product_locale") != locale or (small and text_of(row, "small_version") != "1"):
        return None
    label = text_of(row, "esci_label")
    gain = ESCI_GAIN.get(ESCI_NAMES.get(label, label))
    if gain is None:
        raise ValueError(f"esci_label is none of {', '.join(ESCI_GAIN)}: {label[:20]!r}")
    return text_of(row, "split"), text_of(row, "query"), text_of(row, "product_id"), gain


def _esci_product(row: Row) -> dict[str, str]:
    return {
        "product_id": text_of(row, "product_id"),
        "title": text_of(row, "product_title"),
        "description": joined(row, ("product_description", "product_bullet_point")),
        "brand": joined(row, ("product_brand",)),
        "color": joined(row, ("product_color",)),
    }


def _depot_judged(row: Row) -> tuple[str, str, str, float]:
    try:
        relevance = float(text_of(row, "relevance"))
    except ValueError:
        raise ValueError("relevance is no number") from None
    if not 1 <= relevance <= 3:  # noqa: PLR2004 - the annotators' scale
        raise ValueError("relevance lies outside 1 to 3")
    return "", text_of(row, "search_term"), text_of(row, "product_uid"), relevance


def _depot_product(row: Row) -> dict[str, str]:
    return {"product_id": text_of(row, "product_uid"), "title": text_of(row, "product_title")}


class _Described:
    """Puts a product's title, which another file has, beside its description."""

    def __init__(self, train: Path) -> None:
        self._train = train

    @cached_property
    def _titles(self) -> dict[str, str]:
        rows = (row for row in rows_of(self._train, LATIN) if not isinstance(row, str))
        return {text_of(row, "product_uid"): text_of(row, "product_title") for row in rows}

    def __call__(self, row: Row) -> dict[str, str]:
        object_id = text_of(row, "product_uid")
        return {
            "product_id": object_id,
            "title": self._titles.get(object_id, ""),
            "description": text_of(row, "product_description"),
        }


def _c4_judged(row: Row) -> tuple[str, str, str, float]:
    return "", text_of(row, "query"), text_of(row, "item_id"), 1.0


def _c4_product(row: Row) -> dict[str, str]:
    return {
        "product_id": text_of(row, "item_id", "parent_asin"),
        "title": text_of(row, "title", "metadata"),
        "category": joined(row, ("category",)),
    }
