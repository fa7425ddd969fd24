"""Limits and a default of a strategy's keys that commands and tools need, too, without the format's models."""

DEFAULT_EXCHANGE = "coinbase"
"""The exchange that is asked unless the settings say otherwise."""

NAME_PATTERN = r"^[a-z0-9][a-z0-9-]{0,63}$"
HORIZON_PATTERN = r"^[1-9][0-9]{0,4}[mhdw]$"

FILE_LIMIT_BYTES = 262_144
"""The most bytes that a file of a strategy may have."""

MOST_COST_BPS = 1000
"""A tenth of the price, a side: more is a mistake of units."""
