"""The answer that ends a run by Claude, whoever asks the model: its shape, and the signal in it."""

from decimal import Decimal
from typing import Annotated, Any, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema

from mcp_server.domain.outcome import Signal, SignalName

MAX_DEPTH = 20
"""How deep a finding may nest: the journal cannot keep what is deeper."""

_LEANS = "Optional: the direction that the sub-agent itself said it leans to, BUY, SELL or HOLD."


def _shallow(results: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    level: list[Any] = list(results.values())
    for _ in range(MAX_DEPTH):
        level = [inner for value in level for inner in _inside(value)]
        if not level:
            return results
    raise ValueError(f"nest at most {MAX_DEPTH} levels")


def _inside(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _with_known_lean(findings: dict[str, Any]) -> dict[str, Any]:
    """Return findings in which `leans` is a direction or missing: an unknown one is no reason to lose the signal."""
    lean, others = findings.get("leans"), {name: value for name, value in findings.items() if name != "leans"}
    name = lean.strip().upper() if isinstance(lean, str) else None
    return {**others, "leans": name} if name in get_args(SignalName) else others


Findings = Annotated[
    dict[str, Any],
    AfterValidator(_with_known_lean),
    WithJsonSchema({
        "type": "object", "properties": {"leans": {"description": _LEANS}}, "additionalProperties": True,
    }),
]  # fmt: skip
"""What a sub-agent found. The schema only describes `leans`, so that a wrong one does not have the answer sent back."""


class ClaudeAnswer(BaseModel):
    """The orchestrator's answer."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    signal: SignalName
    confidence: Annotated[
        int,
        Field(strict=True, ge=0, le=100, description="Probability in per cent that the signal is right: 85, not 0.85."),
    ]
    reasoning: Annotated[str, Field(min_length=1, description="Why, with the figures that decided.")]
    sub_agent_results: Annotated[
        dict[str, Findings],
        AfterValidator(_shallow),
        Field(description="For each sub-agent by its name: its findings as an object."),
    ]
    decided: Annotated[
        bool, Field(description="False only when the reports do not suffice; the signal is then not used.")
    ] = True

    def as_signal(self) -> Signal:
        """Return the signal, still without a price. An answer that is not `decided` is none: ask that first."""
        return Signal(
            signal=self.signal,
            confidence=Decimal(self.confidence),
            reasoning=self.reasoning,
            data={"sub_agent_results": self.sub_agent_results},
        )
