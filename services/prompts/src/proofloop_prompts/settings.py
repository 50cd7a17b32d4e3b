"""Settings of the prompts service, from `PROMPTS_*`."""

from datetime import timedelta
from typing import Annotated, Self

from proofloop_runtime.settings import ServiceSettings
from pydantic import Field, model_validator
from pydantic_settings import SettingsConfigDict

from proofloop_prompts.prompts.domain import MAX_LIFETIME

Duration = Annotated[timedelta, Field(gt=timedelta(0))]


class PromptsSettings(ServiceSettings):
    """What the prompts service needs to know, beside what every service does.

    Attributes:
        lifetime: When a prompt expires whose asker does not say.
        expiry_batch: Most prompts that one transaction expires.
        expiry_look: How often a replica looks for due prompts that nobody told it of.
        feed_retention: How long a feed keeps an event; older resume tokens are OUT_OF_RANGE.
        heartbeat: How often a stream says that it is alive when nothing happens.
        watch_poll: How often a stream looks for events that no wake-up told it of.
        watch_stall: How long a reader may take for one message before it is dropped.
        streams_per_caller: Most streams of one caller on this replica.
        streams: Most streams on this replica.
    """

    model_config = SettingsConfigDict(env_prefix="PROMPTS_", frozen=True, extra="ignore", hide_input_in_errors=True)

    lifetime: Duration = timedelta(days=7)
    expiry_batch: int = Field(default=200, ge=1, le=5_000)
    expiry_look: Duration = timedelta(seconds=10)
    feed_retention: Duration = timedelta(days=7)
    heartbeat: Duration = timedelta(seconds=15)
    watch_poll: Duration = timedelta(seconds=5)
    watch_stall: Duration = timedelta(seconds=30)
    streams_per_caller: int = Field(default=16, ge=1)
    streams: int = Field(default=2_000, ge=1)

    @model_validator(mode="after")
    def _lifetime_is_allowed(self) -> Self:
        if self.lifetime > MAX_LIFETIME:
            raise ValueError(f"lifetime is longer than {MAX_LIFETIME.days} days, the most that a prompt may live")
        return self
