"""`claude-trader doctor`."""

import typer

from mcp_server.errors import Misconfigured
from runner.cli.context import Json, fail, print_json


def doctor(as_json: Json = False) -> None:
    """Check everything that a run needs, and say how to fix what is wrong. It changes nothing.

    Exit codes: 0: no error (there may be warnings). 1: at least one error. 2: invalid usage.
    """
    import anyio

    from runner.cli import show
    from runner.cli.show_doctor import as_json as json_of
    from runner.cli.show_doctor import checkup
    from runner.doctor.checkup import Checkup
    from runner.doctor.findings import Diagnosis
    from runner.settings import RunnerSettings

    try:
        findings = anyio.run(Checkup(RunnerSettings.load()).run)
    except Misconfigured as error:
        remedy = f"{error.remedy} The other checks need the settings.".strip()
        findings = [Diagnosis("settings", "error", error.problem, remedy)]
    except KeyboardInterrupt:
        fail("stopped", 130)
    if as_json:
        print_json(json_of(findings))
    else:
        checkup(show.console(), findings)
    raise typer.Exit(1 if any(finding.status == "error" for finding in findings) else 0)
