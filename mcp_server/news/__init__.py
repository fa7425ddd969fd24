"""News as of any moment: what is collected, and what had been seen by then."""
