"""The demo shop: catalogue, graded relevance, queries and shoppers, all seeded, no I/O.

    shop = make_shop(shop_seed)                    # Shop: products, names, words
    make_catalogue(shop_seed) -> list[Product]     # Product.document() is the index's JSON
    asked(shop_seed, seed) -> list[Query]          # most popular first
    never_asked(shop_seed, seed) -> list[Query]    # disjoint from them by phrasing
    popularity(n_queries) -> Array                 # probabilities of the asked ones
    relevance(query) -> dict[str, int]             # product id to grade 1..3; absent is 0
    oracle_rewrite(query) -> str                   # words to add; "" where none help
    population = Population(shop, seed)
    visit = population.next_visit()                # client_id, session_id, query
    reaction = population.react(visit, object_ids) # actions, next_query, next_visit

A reaction's `next_visit` is the same session's next search: run it and react to it too.
"""
