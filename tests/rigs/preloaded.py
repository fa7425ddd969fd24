"""What the process from which programs are forked does last: it is imported there only."""

import gc
import tempfile
from functools import cache
from typing import Any

import apprise
import typer.main
from jsonschema import Draft202012Validator

from mcp_server.app import tool_files
from mcp_server.domain.indicators.parse import parse_specs
from mcp_server.strict_tool import StrictTool
from runner.cli.app import app
from tests.rigs.done_once import do_once, trusted

do_once()
trusted()
apprise.Apprise.instantiate("json://127.0.0.1")  # it loads all its services then
for file in tool_files().values():
    if schema := StrictTool._unbound(file).fn_metadata.output_schema:
        Draft202012Validator.check_schema(schema)  # as a client does when it is first answered by a tool
commands: Any = typer.main
commands.get_params_from_function = cache(commands.get_params_from_function)
for line in commands.get_command(app).commands.values():
    line.whole()  # so what the functions of the commands take is looked up
parse_specs(["rsi(14)", "ema(20)", "sma(20)"])  # which makes up the candles that each is measured on
tempfile.tempdir = None  # matplotlib has asked for it; a forked program heeds its own TMPDIR
gc.collect()
gc.freeze()  # else each forked program looks through all of this for garbage, and copies it by that
