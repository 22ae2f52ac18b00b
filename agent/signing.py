"""From settings to the signer of a tenant."""

from pydantic import SecretStr

from agent.settings import Settings
from feedback.access import Signer, make_secret, read_secret
from feedback.errors import Permanent


def with_secret(settings: Settings) -> Settings:
    """Return the settings with the secret in them, made where there is none: for processes elsewhere.

    Raises:
        Permanent: it cannot be read or written.
    """
    if settings.access.secret is not None:
        return settings
    access = settings.access.model_copy(update={"secret": SecretStr(make_secret(settings.secret_file))})
    return settings.model_copy(update={"access": access})


def pseudonym_of(settings: Settings, client_id: str) -> str:
    """Return the name that the edge gives a client, of the shop's own id or of a client_token.

    Raises:
        Permanent: the id is empty, or there is no secret.
    """
    if not client_id:
        raise Permanent("client: the id is empty")
    return signer_of(settings).client(client_id)


def signer_of(settings: Settings) -> Signer:
    """Return the signer of the secret that there is.

    Raises:
        Permanent: there is none, or it cannot be read.
    """
    given = settings.access.secret
    secret = given.get_secret_value() if given is not None else read_secret(settings.secret_file)
    if secret is None:
        raise Permanent(
            f"secret: {settings.secret_file} does not exist: set access.secret or data_dir as the gateway has"
        )
    return Signer(secret, settings.keys)
