"""What mcp's client imports of mcp's server, which is a third of what it takes along: a runner has no server in it."""

OF_THE_SERVER = {
    "mcp.server": ("Server",),
    "mcp.server.mcpserver": ("MCPServer",),
    "mcp.server.runner": ("modern_on_request",),
    "mcp.server.session": ("ServerSession",),
    "mcp.server.stdio": ("stdio_server",),
}
"""By module. It connects to one in the same process with them; see `late_parts`."""
