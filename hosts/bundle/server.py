"""Where a host enters the bundle: the server over stdio."""

from mcp_server.__main__ import main

main()
