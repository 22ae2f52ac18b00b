import pytest

from feedback.errors import Permanent
from feedback.stores.urls import place_of


def test_one_server_with_its_user_and_database() -> None:
    place = place_of("redis://shop:p%40ss@cache.example/2")
    assert (place.kind, place.hosts) == ("single", (("cache.example", 6379),))
    assert place.options == {"username": "shop", "password": "p@ss", "db": 2}


def test_sentinels_name_a_service_and_may_have_a_password_of_their_own() -> None:
    place = place_of("rediss+sentinel://u:p@h1:26380,[::1]/shop/3?ssl_ca_certs=/ca.pem&sentinel_password=s")
    assert (place.kind, place.service) == ("sentinel", "shop")
    assert place.hosts == (("h1", 26380), ("::1", 26379))
    tls = {"ssl": True, "ssl_ca_certs": "/ca.pem"}
    assert place.options == {"username": "u", "password": "p", "db": 3, **tls}
    assert place.sentinel == {"password": "s", **tls}


def test_a_cluster_is_found_by_any_of_its_nodes() -> None:
    place = place_of("redis+cluster://h1:7000,h2:7001")
    assert (place.kind, place.hosts) == ("cluster", (("h1", 7000), ("h2", 7001)))


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://h", "scheme"),
        ("h:6379", "scheme"),
        ("redis+sentinel://h", "service"),
        ("redis+sentinel://h/shop/x", "database"),
        ("redis+cluster://h/3", "database 0"),
        ("redis+cluster://h1,,h2", "no host"),
        ("redis+cluster://h:x", "redis URL"),
        ("redis://h/0/1", "database"),
    ],
)
def test_a_url_that_is_none_of_these_is_refused_without_its_password(url: str, why: str) -> None:
    with pytest.raises(Permanent, match=why) as refused:
        place_of(url.replace("//", "//user:hidden@"))
    assert "hidden" not in str(refused.value)
