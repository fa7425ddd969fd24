"""The runner's settings."""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr

from mcp_server.storage.setting_types import Addresses
from mcp_server.storage.settings import HomeSettings, credential


class RunnerSettings(HomeSettings):
    """What the operator decides for the runner. Read once, at start."""

    tokens: SecretStr | None = None
    tokens_file: Path | None = None
    """These two are the server's; the runner only needs to know whether they are set."""
    server_url: str | None = Field(default=None, pattern=r"^https?://[^\s/]+(/\S*)?$")
    max_claude_runs: int | None = Field(default=None, ge=1, le=100)
    notify: Addresses = ()
    summary: Literal["weekly"] | None = None
    anthropic_api_key: SecretStr | None = credential("ANTHROPIC_API_KEY")
    anthropic_auth_token: SecretStr | None = credential("ANTHROPIC_AUTH_TOKEN")
    claude_code_oauth_token: SecretStr | None = credential("CLAUDE_CODE_OAUTH_TOKEN")
    anthropic_base_url: SecretStr | None = credential("ANTHROPIC_BASE_URL")

    @property
    def claude_environment(self) -> dict[str, str]:
        """The variables by which the agent CLI reaches Claude: the credentials, and the address where one is set."""
        return {name: value.get_secret_value() for name, value in self.credentials.items()}

    def secrets(self) -> list[str]:
        """Return what must never be shown."""
        keys = (value for name, value in self.credentials.items() if name != "ANTHROPIC_BASE_URL")
        known = (self.token, self.database_url, *self.notify, *keys)
        values = [value.get_secret_value() for value in known if value is not None]
        if self.database_url is not None:
            from mcp_server.storage.postgres.address import PostgresAddress

            values += PostgresAddress.of(self.database_url.get_secret_value()).secrets
        return values
