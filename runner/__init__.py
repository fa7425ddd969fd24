"""The runner of Claude Trader: turns one strategy and one moment into one recorded outcome."""
