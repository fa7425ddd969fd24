"""The variables by which the agent CLI reaches Claude: the credentials, and the address where it is not Anthropic's."""

CREDENTIALS = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN", "ANTHROPIC_BASE_URL")
"""What no program but Claude's own is to see."""
