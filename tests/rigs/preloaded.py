"""What the process from which programs are forked does last: it is imported there only."""

import gc
import logging
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import apprise
import mcp_types
import typer.main
from jsonschema import Draft202012Validator
from mcp.server.mcpserver import Context
from mcp.server.transport_security import TransportSecuritySettings
from mcp_types._v2026_07_28 import DiscoverRequest, ListToolsRequest

from mcp_server.adapters.ccxt.client import import_exchange
from mcp_server.app import build_server, tool_files
from mcp_server.domain.indicators.parse import parse_specs
from mcp_server.domain.strategy.format import Agent, Config
from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.once_listed import run_imports
from mcp_server.settings import ServerSettings
from mcp_server.strict_tool import StrictTool
from runner.cli.app import app
from tests.rigs.done_once import do_once, trusted

BUILT = (
    *("CallToolRequest", "CallToolResult", "ClientCapabilities", "CompletionsCapability", "DiscoverRequest"),
    *("DiscoverResult", "InitializeRequestParams", "JSONRPCNotification", "JSONRPCRequest", "JSONRPCResponse"),
    *("ListToolsRequest", "ListToolsResult", "PaginatedRequestParams", "ProgressNotification", "PromptsCapability"),
    *("RequestParams", "ResourcesCapability", "ServerCapabilities", "TextContent", "Tool", "ToolsCapability"),
)
"""Models of mcp that are built when they are first used, and that most programs use."""

do_once()
trusted()
apprise.Apprise.instantiate("json://127.0.0.1")  # it loads all its services then
for file in tool_files().values():
    if schema := StrictTool._unbound(file, file.page).fn_metadata.output_schema:
        Draft202012Validator.check_schema(schema)  # as a client does when it is first answered by a tool
commands: Any = typer.main
commands.get_params_from_function = cache(commands.get_params_from_function)
for line in commands.get_command(app).commands.values():
    line.whole()  # so what the functions of the commands take is looked up
parse_specs(["rsi(14)", "ema(20)", "sma(20)"])  # which makes up the candles that each is measured on
for name in BUILT:
    getattr(mcp_types, name).model_rebuild()  # else the first message of its kind builds it
for model in (Agent, Config, Context, DiscoverRequest, ListToolsRequest, Strategy, TransportSecuritySettings):
    model.model_rebuild()
with tempfile.TemporaryDirectory() as home:  # each server would make its tools, and what checks calls: 0.1 s of a core
    for for_a_run in (False, True):
        server = build_server(ServerSettings(home=Path(home), exchange="simulated"), for_a_run=for_a_run)
        for _ in run_imports(server._tool_manager, tool_files()):
            pass
logging.root.handlers.clear()  # the server has made one; a program makes its own where there is none
for exchange in ("binance", "coinbase", "kraken"):
    for _ in import_exchange(exchange):
        pass
tempfile.tempdir = None  # matplotlib has asked for it; a forked program heeds its own TMPDIR
gc.collect()
gc.freeze()  # else each forked program looks through all of this for garbage, and copies it by that
