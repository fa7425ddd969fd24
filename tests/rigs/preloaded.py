"""What the process from which programs are forked does last: it is imported there only."""

import gc

import apprise

from mcp_server.app import tool_files
from mcp_server.domain.indicators.parse import parse_specs
from mcp_server.strict_tool import StrictTool
from tests.rigs.done_once import do_once

do_once()
apprise.Apprise.instantiate("json://127.0.0.1")  # it loads all its services then
for file in tool_files().values():
    StrictTool._unbound(file)  # the schema of each tool
parse_specs(["rsi(14)", "ema(20)", "sma(20)"])  # which makes up the candles that each is measured on
gc.collect()
gc.freeze()  # else each forked program looks through all of this for garbage, and copies it by that
