import os
import socket
import urllib.request
from urllib.error import HTTPError

import pytest

from tests.rigs.network_guard import NetworkGuard


def test_a_connection_beyond_loopback_is_refused_and_remembered(network_guard: NetworkGuard) -> None:
    with pytest.raises(ConnectionRefusedError, match="loopback only"):
        socket.create_connection(("192.0.2.1", 80), timeout=1)
    assert network_guard.take_attempts() == ["socket.getaddrinfo 192.0.2.1"]


def test_a_program_that_honours_proxies_is_refused_and_remembered(network_guard: NetworkGuard) -> None:
    assert os.environ["HTTPS_PROXY"].startswith("http://127.0.0.1:")
    with pytest.raises(HTTPError, match="403"):
        urllib.request.urlopen("http://example.invalid/")
    assert network_guard.take_attempts() == ["proxy GET http://example.invalid/ HTTP/1.1"]
