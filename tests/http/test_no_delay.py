"""An answer in several parts goes out at once: the system would hold the last part back for 40 ms."""

import socket

from mcp_server.http.serve import _listen


def test_a_connection_sends_each_part_of_an_answer_without_waiting_for_the_receipt_of_the_last() -> None:
    with _listen("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        connection, _ = listener.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
