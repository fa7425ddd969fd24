"""An outcome that waits in the outbox: the shape of its file. Few programs ever read one."""

from decimal import Decimal

from pydantic import AwareDatetime, BaseModel, ConfigDict, InstanceOf

from mcp_server.domain.outcome import SignalName, Status

Text = InstanceOf[str]
"""Any text: what the database refuses of it is known only there."""


class WaitingSignal(BaseModel):
    """The signal of an outcome that waits."""

    model_config = ConfigDict(defer_build=True)  # few programs ever read one

    signal: SignalName
    confidence: Decimal | None
    reasoning: Text
    price: float | None
    data: Text


class WaitingOutcome(BaseModel):
    """How a run ended, as `ended_run` writes it. What an older version leaves out has a default."""

    model_config = ConfigDict(defer_build=True)

    execution_id: int
    run_key: str
    started_at: AwareDatetime | None = None
    completed_at: AwareDatetime
    status: Status
    error: Text | None
    model: Text | None
    tokens_used: int | None
    cost_usd: Decimal | None
    recorded_usd: Decimal | None = None
    knowledge_cutoff: Text | None = None
    contaminated: bool | None = None
    trace: Text | None
    own_failure: bool | None = None
    as_of: AwareDatetime
    execution_time_ms: int
    signal: WaitingSignal | None
