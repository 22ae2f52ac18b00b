"""HTTPS of the gateway's ports, looked at before anything starts."""

import ssl

from agent.errors import Permanent
from agent.sections import ServeSettings


def check_tls(settings: ServeSettings) -> None:
    """Raise Permanent where certificate and key cannot be read, or do not belong together."""
    if settings.tls_cert is None or settings.tls_key is None:
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
            settings.tls_cert, settings.tls_key, password=_none
        )
    except (OSError, ValueError) as error:
        why = f"{settings.tls_cert} and {settings.tls_key}: {error}"
        raise Permanent(f"serve.tls_cert, serve.tls_key: {why}") from error


def _none() -> str:
    """Answer in OpenSSL's place, which would ask at the terminal."""
    return ""
