"""The tenant's secret, keys and certificates: readable, closed to others, the ones that the gateways have."""

from agent.doctor.check import Check, failed, ok, skipped, warning
from agent.errors import AgentError
from agent.serve.access import LOOPBACK
from agent.serve.admin import check_admin
from agent.serve.keys import with_keys
from agent.serve.tls import check_tls
from agent.settings import Settings
from agent.signing import signer_of
from feedback.access import read_secret
from feedback.errors import Permanent

NAME, ACCESS, GATEWAYS = "secret", "access", "secret of the gateways"
MADE = "not there yet: the gateway makes it on its first start"
GROUP = 0o070


def look_at_secret(settings: Settings) -> list[Check]:
    """Look at where the secret is."""
    if settings.access.secret is not None:
        return [ok(NAME, "from access.secret")]
    path = settings.secret_file
    try:
        there = read_secret(path) is not None
        mode = path.stat().st_mode if there else 0
    except (Permanent, OSError) as error:
        return [failed(NAME, str(error), f"its owner is whoever runs the gateway: chmod 600 {path}")]
    if not there:
        return [ok(NAME, f"{path}, {MADE}")]
    if mode & GROUP:
        return [warning(NAME, f"{path} is open to its group ({mode & 0o777:o})", f"chmod 600 {path}")]
    return [ok(NAME, f"{path} ({mode & 0o777:o})")]


def look_at_access(settings: Settings) -> list[Check]:
    """Hold keys, certificates and the admin port against what the gateway asks for when it starts."""
    try:
        check_admin(settings)
        check_tls(settings.serve)
        with_keys(settings)
    except AgentError as error:
        return [failed(ACCESS, str(error), "set it right: the gateway does not start so")]
    if settings.access.is_keyed:
        return [ok(ACCESS, "who searches or sends events needs a key")]
    if settings.serve.host in LOOPBACK:
        return [ok(ACCESS, "open, to this machine alone")]
    found = f"open to whoever reaches {settings.serve.host}"
    return [warning(ACCESS, found, "set access.server_keys; README.md, Keys and secrets")]


def judge_fingerprint(settings: Settings, of_gateways: str) -> Check:
    """Compare our secret with the fingerprint that the newest gateway left; empty: none has yet."""
    if not of_gateways:
        return skipped(GATEWAYS, "no gateway has run yet")
    try:
        ours = signer_of(settings).fingerprint
    except Permanent:
        do = "set access.secret or data_dir as the gateway has: unseen forget needs it"
        return warning(GATEWAYS, "a gateway has one, this machine does not", do)
    if ours != of_gateways:
        do = "give all the same access.secret, or one data_dir; after a change, start every gateway anew"
        return failed(GATEWAYS, "the newest gateway has another secret than these settings", do)
    return ok(GATEWAYS, "the same as here")
