"""Settings of the exports service, from `EXPORTS_*`."""

from proofloop_runtime.object_settings import ObjectSettings
from proofloop_runtime.settings import ServiceSettings
from pydantic_settings import SettingsConfigDict


class ExportsSettings(ObjectSettings, ServiceSettings):
    """What the exports service needs to know: what every service and every keeper of objects does."""

    model_config = SettingsConfigDict(env_prefix="EXPORTS_", frozen=True, extra="ignore", hide_input_in_errors=True)
