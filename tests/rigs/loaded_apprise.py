"""Apprise with all its services, which it loads when it is first given an address."""

import apprise

apprise.Apprise.instantiate("json://127.0.0.1")
