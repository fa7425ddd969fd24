"""`claude-trader doctor`: looks at everything that a run needs, and says what to do about what is wrong."""

import anyio
import typer

from mcp_server.errors import Misconfigured
from runner.cli.context import Json, fail, print_json
from runner.settings import RunnerSettings


def doctor(as_json: Json = False) -> None:
    """Check everything that a run needs, and say how to fix what is wrong. It changes nothing.

    Exit codes: 0: no error (there may be warnings). 1: at least one error. 2: invalid usage.
    """
    from runner.cli import show
    from runner.cli.show_doctor import as_json as json_of
    from runner.cli.show_doctor import checkup
    from runner.doctor.checkup import Checkup
    from runner.doctor.findings import Diagnosis

    try:
        found = anyio.run(Checkup(RunnerSettings.load()).run)
    except Misconfigured as error:
        found = [Diagnosis("settings", "error", str(error), "Mend it; the other checks need the settings.")]
    except KeyboardInterrupt:
        fail("stopped", 130)
    if as_json:
        print_json(json_of(found))
    else:
        checkup(show.console(), found)
    raise typer.Exit(1 if any(each.status == "error" for each in found) else 0)
