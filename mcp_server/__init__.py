"""The MCP server of Claude Trader: market, indicator, strategy and journal tools over one home folder."""
