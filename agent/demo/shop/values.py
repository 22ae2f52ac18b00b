"""The values that products vary by, and how shop and shopper may write each of them.

A value is written in one or two forms ("grey/gray", "10 mm/10mm"). A shop prints one of them
everywhere; the other one is only spoken.
"""

from functools import cache

from agent.demo.shop.draws import pick, stream

AXES: dict[str, str] = {
    "colour": "white, black, grey/gray, navy/dark blue, cream/off white, green, red, beige/sand, yellow, anthracite/dark grey",
    "fabric": "cotton, linen, velvet, polyester/synthetic, wool, faux leather/leatherette, fleece",
    "wood": "oak, pine, walnut, beech, bamboo, ash",
    "metal": "stainless steel/inox, brass, chrome, aluminium/aluminum, cast iron, galvanised/galvanized, copper",
    "ceramic": "stoneware, porcelain/china, terracotta/clay, glazed, earthenware",
    "litres": "1 litre/1l, 2 litre/2l, 5 litre/5l, 10 litre/10l, 20 litre/20l, 50 litre/50l",
    "centimetres": "20 cm/20cm, 30 cm/30cm, 45 cm/45cm, 60 cm/60cm, 90 cm/90cm, 120 cm/120cm",
    "metres": "1 m/1m, 2 m/2m, 3 m/3m, 5 m/5m, 10 m/10m, 25 m/25m",
    "diameter": "6 mm/6mm, 8 mm/8mm, 10 mm/10mm, 12 mm/12mm, 15 mm/15mm, 22 mm/22mm",
    "length": "25 mm/25mm, 40 mm/40mm, 50 mm/50mm, 75 mm/75mm, 100 mm/100mm, 150 mm/150mm",
    "thread": "m4, m5, m6, m8, m10, m12",
    "grit": "40 grit, 80 grit, 120 grit, 180 grit, 240 grit",
    "watts": "5 w/5w, 40 w/40w, 500 w/500w, 1200 w/1200w, 1800 w/1800w, 2400 w/2400w",
    "volts": "12 v/12v, 18 v/18v, 36 v/36v, 230 v/mains powered",
    "kilos": "1 kg/1kg, 2 kg/2kg, 5 kg/5kg, 10 kg/10kg, 20 kg/20kg, 40 kg/40kg",
    "pack": "single, pack of 2/twin pack, pack of 4/set of 4, pack of 10/10 pack, pack of 50/50 pack",
    "bed": "single, double, king size/kingsize, super king",
}

TURNED_SHARE = 0.4
"""Share of the axes whose second form a shop prints."""
BEFORE_THE_NOUN = frozenset({"colour", "fabric", "wood", "metal", "ceramic", "kind", "brand", "bed"})
"""Axes whose values stand before the noun; the others stand after it."""

_STARTS = [
    "bram",
    "kel",
    "nor",
    "tam",
    "ves",
    "hol",
    "dur",
    "fen",
    "gar",
    "mil",
    "ost",
    "pel",
    "rud",
    "sor",
    "wil",
    "zan",
    "cor",
    "lin",
    "mor",
    "tul",
]
_ENDS = [
    "stow",
    "wick",
    "lund",
    "fell",
    "vane",
    "dorn",
    "rick",
    "mere",
    "holt",
    "gate",
    "shaw",
    "bray",
    "combe",
    "thal",
    "nock",
    "quist",
]


@cache
def forms(axis: str) -> tuple[tuple[str, ...], ...]:
    """Return the axis's values, each as the tuple of its forms."""
    return tuple(tuple(value.strip().split("/")) for value in AXES[axis].split(","))


@cache
def printed_forms(axis: str, shop_seed: int) -> dict[str, tuple[str, ...]]:
    """Return the values of the axis as this shop prints them, with the forms only spoken."""
    random = stream(shop_seed, "forms", axis)
    turned = bool(random.random() < TURNED_SHARE)  # a shop's style: one way for the whole axis
    ordered = [value[::-1] if turned else value for value in forms(axis)]
    return {value[0]: value[1:] for value in ordered}


@cache
def brands(department: str, shop_seed: int) -> tuple[str, ...]:
    """Return the eight invented brands that the shop sells in a department."""
    random = stream(shop_seed, "brands", department)
    names: dict[str, None] = {}
    while len(names) < 8:  # noqa: PLR2004  # as many as a shelf has
        names[pick(random, _STARTS) + pick(random, _ENDS)] = None
    return tuple(names)
