"""What a URL of a store says. Pure.

    redis://[user:password@]host[:port][/db]                      one server
    redis+sentinel://[user:password@]host[:port],.../service[/db]  the primary that Sentinels name
    redis+cluster://[user:password@]host[:port],...                a cluster

``rediss`` in place of ``redis`` is TLS. What redis-py takes for one server may follow as a query:
``?ssl_ca_certs=ca.pem&ssl_certfile=client.pem&ssl_keyfile=client.key``. User and password are those of the
data's servers (ACL); the Sentinels' own are ``sentinel_username`` and ``sentinel_password`` in the query.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from redis.asyncio.connection import SSLConnection, parse_url

from feedback.errors import Permanent

Kind = Literal["single", "sentinel", "cluster"]
SCHEMES: dict[str, tuple[Kind, bool]] = {
    "redis": ("single", False),
    "rediss": ("single", True),
    "redis+sentinel": ("sentinel", False),
    "rediss+sentinel": ("sentinel", True),
    "redis+cluster": ("cluster", False),
    "rediss+cluster": ("cluster", True),
}
PORTS: dict[Kind, int] = {"single": 6379, "sentinel": 26379, "cluster": 6379}
SENTINEL = "sentinel_"
"""Head of the query's names that are meant for the Sentinels."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a store is, and how it is reached."""

    kind: Kind
    hosts: tuple[tuple[str, int], ...]
    service: str = ""
    """The name of the primary that Sentinels know."""
    options: Mapping[str, Any]
    """Of each connection to the data: user, password, db, TLS."""
    sentinel: Mapping[str, Any]
    """Of each connection to a Sentinel."""


def place_of(url: str) -> Place:
    """Read a URL.

    Raises:
        Permanent: it is none of these; the message names what is wrong and holds no password.
    """
    try:
        parts = urlsplit(url)
        found = SCHEMES.get(parts.scheme)
        if found is None:
            raise Permanent(f"redis URL: its scheme must be one of {', '.join(SCHEMES)}")
        kind, tls = found
        credentials, _, hosts = parts.netloc.rpartition("@")
        path = [unquote(part) for part in parts.path.split("/") if part]
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        service = _service(kind, path)
        options = _options(credentials, query, db=_db(kind, path), tls=tls)
        return Place(
            kind=kind,
            hosts=tuple(_host(host, PORTS[kind]) for host in hosts.split(",")),
            service=service,
            options=options,
            sentinel=_of_sentinels(options, query),
        )
    except ValueError as error:
        raise Permanent(f"redis URL: {error}") from error


def _host(given: str, port: int) -> tuple[str, int]:
    parts = urlsplit(f"//{given}")
    if not parts.hostname:
        raise Permanent("redis URL: names no host")
    return parts.hostname, parts.port or port


def _service(kind: Kind, path: list[str]) -> str:
    if kind != "sentinel":
        return ""
    if not path:
        raise Permanent("redis URL: the name of the service must follow the Sentinels: .../service/db")
    return path[0]


def _db(kind: Kind, path: list[str]) -> str:
    numbers = path[1:] if kind == "sentinel" else path
    if len(numbers) > 1 or any(not number.isdecimal() for number in numbers):
        raise Permanent("redis URL: after the host there may be a database's number and nothing else")
    if kind == "cluster" and any(int(number) for number in numbers):
        raise Permanent("redis URL: a cluster has the database 0 alone")
    return numbers[0] if numbers else "0"


def _options(credentials: str, query: Mapping[str, str], *, db: str, tls: bool) -> dict[str, Any]:
    own = {name: value for name, value in query.items() if not name.startswith(SENTINEL)}
    head = f"{credentials}@" if credentials else ""
    read: dict[str, Any] = dict(parse_url(f"redis{'s' * tls}://{head}host/{db}?{urlencode(own)}"))
    for name in ("host", "port"):
        read.pop(name, None)
    if read.pop("connection_class", None) is SSLConnection:
        read["ssl"] = True
    return read


def _of_sentinels(options: Mapping[str, Any], query: Mapping[str, str]) -> dict[str, Any]:
    tls = {name: value for name, value in options.items() if name.startswith("ssl")}
    own = {name.removeprefix(SENTINEL): value for name, value in query.items() if name.startswith(SENTINEL)}
    return {**tls, **own}
