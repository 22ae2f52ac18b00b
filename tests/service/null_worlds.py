"""Shoppers in whose world no rewrite can gain by relevance: what is verified there is a mistake."""

from typing_extensions import override

from agent.demo.shop import Grades, Population, Query
from feedback.text import bucket


class ByRank(Population):
    """They find every object as good as any other, whatever they asked."""

    @override
    def _grades_of(self, need: Query) -> Grades:
        del need
        return {product.product_id: 1 for product in self._shop.products}


class ByPopularity(Population):
    """They like some objects much, others a little and most not at all, whatever they asked."""

    @override
    def _grades_of(self, need: Query) -> Grades:
        del need
        return {product.product_id: _LIKED[bucket(product.product_id, 10)] for product in self._shop.products}


_LIKED = (3, 2, 1, 1, 0, 0, 0, 0, 0, 0)
