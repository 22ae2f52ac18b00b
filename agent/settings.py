"""The settings tree: TOML file below environment, frozen, unknown keys refused.

A variable ``UNSEEN_SERVE__DEADLINE_S=0.3`` sets ``serve.deadline_s``; ``UNSEEN_CONFIG`` names a TOML file. A
misspelt variable with our prefix, an unknown key in the file and a named file that is missing are errors:
pydantic-settings alone ignores the first and the last.
"""

import os
import tomllib
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any, Self

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError
from typing_extensions import override

from agent.errors import Permanent
from agent.sections import (
    AccessSettings,
    LearnerSettings,
    LogSettings,
    MetricsSettings,
    OpenSearchSettings,
    PlanSettings,
    PolicySettings,
    ReleaseSettings,
    ServeSettings,
    VerifySettings,
    WeightsSettings,
)
from feedback.keys import Keys
from feedback.settings import FeedbackSettings, RedisSettings, Section

PREFIX = "UNSEEN_"
DEFAULT_TENANT = "default"
OUTSIDE_THE_TREE = {"UNSEEN_CONFIG", "UNSEEN_STACK_ID", "UNSEEN_CACHE_DIR"}
"""Variables with our prefix that are no settings."""


class Settings(BaseSettings):
    """Everything that can be set."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
    )

    tenant: str = Field(DEFAULT_TENANT, pattern=r"^[a-z0-9-]{1,40}$")
    data_dir: Path = Path("data")
    """Checkpoints, adapters and logs."""
    redis: RedisSettings = RedisSettings()
    feedback: FeedbackSettings = FeedbackSettings()
    opensearch: OpenSearchSettings = OpenSearchSettings()
    plan: PlanSettings = PlanSettings()
    policy: PolicySettings = PolicySettings()
    serve: ServeSettings = ServeSettings()
    verify: VerifySettings = VerifySettings()
    learner: LearnerSettings = LearnerSettings()
    release: ReleaseSettings = ReleaseSettings()
    weights: WeightsSettings = WeightsSettings()
    access: AccessSettings = AccessSettings()
    metrics: MetricsSettings = MetricsSettings()
    log: LogSettings = LogSettings()

    @property
    def keys(self) -> Keys:
        """The keys of this tenant."""
        return Keys(tenant=self.tenant, partitions=self.redis.partitions)

    @property
    def tenant_dir(self) -> Path:
        """The tenant's part of the data folder, which may be that of several."""
        return self.data_dir if self.tenant == DEFAULT_TENANT else self.data_dir / self.tenant

    @property
    def weights_dir(self) -> Path | str:
        """The folder or URL of adapters."""
        return self.weights.folder or self.tenant_dir / "weights"

    @property
    def vllm_dir(self) -> Path:
        """The folder of adapters as vLLM reads them."""
        return (self.policy.vllm_folder or self.tenant_dir / "vllm").absolute()

    @property
    def secret_file(self) -> Path:
        """Where the secret lies that ``access.secret`` does not name."""
        return self.data_dir / "secrets" / f"{self.tenant}.key"

    @classmethod
    @override
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Put the environment above the TOML file, which ``load`` hands in."""
        del settings_cls, dotenv_settings, file_secret_settings
        return (env_settings, init_settings)

    @classmethod
    def load(cls, config: Path | None = None) -> Self:
        """Read the TOML file (argument, else ``UNSEEN_CONFIG``) and the environment.

        Raises:
            Permanent: a key, a variable or the file is not as it must be; the message names it.
        """
        named = config or (Path(os.environ["UNSEEN_CONFIG"]) if os.environ.get("UNSEEN_CONFIG") else None)
        _refuse_unknown_variables(cls)
        try:
            return cls(**_read(named, cls.model_fields.keys()) if named else {})
        except ValidationError as error:
            raise Permanent(f"settings: {_first(error)}") from error
        except SettingsError as error:
            raise Permanent(f"settings: {error}; set one value as {PREFIX}SECTION__KEY=value") from error


def _first(error: ValidationError) -> str:
    lines = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
    return "; ".join(lines)


def _read(path: Path, known: AbstractSet[str]) -> dict[str, Any]:
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise Permanent(f"settings: the file {path} does not exist") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise Permanent(f"settings: {path}: {error}") from error
    unknown = sorted(tree.keys() - known)
    if unknown:
        raise Permanent(f"settings: {path}: unknown key {unknown[0]}; known: {', '.join(sorted(known))}")
    return tree


def _refuse_unknown_variables(settings: type[Settings]) -> None:
    for name in os.environ:
        if not name.startswith(PREFIX) or name in OUTSIDE_THE_TREE:
            continue
        head, _, inner = name.removeprefix(PREFIX).lower().partition("__")
        field = settings.model_fields.get(head)
        if field is None:
            known = ", ".join(sorted(settings.model_fields))
            raise Permanent(f"settings: the variable {name} sets nothing; known sections: {known}")
        if inner and not isinstance(field.default, Section):
            raise Permanent(f"settings: the variable {name} sets nothing: {head} is one value")
