"""`claude-trader doctor`: looks at everything that a run needs, and says what to do about what is wrong."""

import anyio
import typer

from mcp_server.errors import Misconfigured
from runner.cli.context import Json, fail, print_json
from runner.settings import load_settings


def doctor(as_json: Json = False) -> None:
    """Check everything that a run needs, from versions to exchanges, and say what to do about each thing found.

    Changes nothing. Ends with 0 when there is no error (warnings are shown), with 1 when there is one.
    """
    from runner.cli import show
    from runner.cli.show_doctor import as_json as json_of
    from runner.cli.show_doctor import checkup
    from runner.doctor.checkup import Checkup
    from runner.doctor.findings import Diagnosis

    try:
        found = anyio.run(Checkup(load_settings()).run)
    except Misconfigured as error:
        found = [Diagnosis("settings", "error", str(error), "Mend it; the other checks need the settings.")]
    except KeyboardInterrupt:
        fail("stopped", 130)
    if as_json:
        print_json(json_of(found))
    else:
        checkup(show.console(), found)
    raise typer.Exit(1 if any(each.status == "error" for each in found) else 0)
