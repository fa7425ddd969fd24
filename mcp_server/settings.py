"""The server's settings."""

from pathlib import Path

from pydantic import Field, SecretStr

from mcp_server.storage.oauth_setting_types import OAuthClients
from mcp_server.storage.setting_types import ChainUrls, ExchangeUrls, PublicHosts, Token, Tokens
from mcp_server.storage.settings import HomeSettings, credential


class ServerSettings(HomeSettings):
    """What the operator decides for the server. Read once, at start."""

    exchange_urls: ExchangeUrls = Field(default_factory=dict)
    explorer_urls: ChainUrls = Field(default_factory=dict)
    tokens: Tokens = Field(default_factory=dict)
    tokens_file: Path | None = None
    runner_token: Token | None = None
    public_hosts: PublicHosts = ()
    oauth_clients: OAuthClients = Field(default_factory=dict)
    calls_per_minute: int = Field(default=3000, ge=1, le=1_000_000)
    concurrent_calls: int = Field(default=64, ge=1, le=10_000)
    news_contact: str | None = Field(default=None, pattern=r"^[!-~]{1,100}$")
    etherscan_api_key: SecretStr | None = credential("ETHERSCAN_API_KEY")
    blockscout_api_key: SecretStr | None = credential("BLOCKSCOUT_API_KEY")
