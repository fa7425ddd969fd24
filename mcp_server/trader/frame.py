"""Tables as notebooks read them: columns of numpy, and from these a DataFrame of pandas or a table of Arrow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from mcp_server.domain.text import cleaned
from mcp_server.errors import BadInput, Misconfigured

if TYPE_CHECKING:
    import pandas
    import pyarrow

Kind = Literal["time", "number", "count", "flag", "text"]
"""What a column holds; see `Frame`."""

MOST_TEXT = 20_000
"""Characters of a text; what strangers wrote may be of any length."""

SHOWN = 10

_TYPES: dict[Kind, Any] = {"time": "datetime64[ms]", "number": np.float64, "count": np.int64}


class Frame:
    """A table whose columns have one length each, oldest row first. It never changes.

    `frame["close"]` is a column as a numpy array, `frame.to_pandas()` a DataFrame, `frame.to_arrow()` a table of Arrow.
    polars, DuckDB and others that read Arrow take the frame itself: `polars.DataFrame(frame)`.

    | column | numpy | pandas | Arrow | undefined |
    | --- | --- | --- | --- | --- |
    | a time | `datetime64[ms]`, UTC | `datetime64[ms, UTC]` | `timestamp[ms, UTC]` | NaT, null |
    | a number | `float64` | `float64` | `double` | NaN, null |
    | a count or an id | `int64` | `int64` | `int64` | never |
    | a flag | `object` | `boolean` | `bool` | None, NA, null |
    | a text | `object` | `str` | `string` | None, NaN, null |

    Attributes:
        about: what the rows are of, such as `symbol`, `exchange`, `as_of` and `note`, as the tools say it.
    """

    def __init__(self, columns: Mapping[str, tuple[Kind, Any]], about: Mapping[str, Any] | None = None) -> None:
        self._kinds = {name: kind for name, (kind, _) in columns.items()}
        self._columns = {name: _column(kind, values) for name, (kind, values) in columns.items()}
        self.about: Mapping[str, Any] = MappingProxyType(dict(about or {}))

    @classmethod
    def of_rows(
        cls, kinds: Mapping[str, Kind], rows: Sequence[Sequence[Any]], about: Mapping[str, Any] | None = None
    ) -> Frame:
        """Make it of rows whose cells are in the order of `kinds`; times may be ISO 8601 in UTC, undefined is None."""
        columns = [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in kinds]
        pairs = zip(kinds.items(), columns, strict=True)
        return cls({name: (kind, column) for (name, kind), column in pairs}, about)

    @property
    def columns(self) -> list[str]:
        """The names of the columns."""
        return list(self._columns)

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        try:
            return self._columns[name]
        except KeyError:
            raise BadInput(f"There is no column {name!r}.", f"There are {', '.join(self._columns)}.") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(next(iter(self._columns.values()), ()))

    def to_numpy(self) -> dict[str, npt.NDArray[Any]]:
        """Return the columns by name. The arrays are the frame's own, and cannot be written to."""
        return dict(self._columns)

    def to_pandas(self) -> pandas.DataFrame:
        """Return a DataFrame with a plain index; its `attrs` hold `about`."""
        import pandas as pd

        frame = pd.DataFrame({name: self._for_pandas(name) for name in self._columns})
        frame.attrs = dict(self.about)
        return frame

    def to_arrow(self) -> pyarrow.Table:
        """Return a table of Arrow, in which undefined is null; the schema's metadata hold `about` as JSON.

        Raises:
            Misconfigured: pyarrow is not installed.
        """
        import json

        try:
            import pyarrow as pa
        except ImportError:
            raise Misconfigured(
                "Arrow takes the package pyarrow, which is not installed.", "Run `pip install pyarrow`."
            ) from None
        types = {
            "time": pa.timestamp("ms", "UTC"), "number": pa.float64(), "count": pa.int64(), "flag": pa.bool_(),
            "text": pa.string(),
        }  # fmt: skip
        arrays = {
            name: pa.array(column, types[self._kinds[name]], from_pandas=True) for name, column in self._columns.items()
        }
        return pa.table(arrays).replace_schema_metadata({"about": json.dumps(dict(self.about))})

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Hand the table to another library, by Arrow's interface of capsules."""
        return self.to_arrow().__arrow_c_stream__(requested_schema)

    def __repr__(self) -> str:
        return f"Frame of {len(self):,} rows: {', '.join(self._columns)}"

    def _repr_html_(self) -> str:
        """Show the first and the last rows, as notebooks ask for it."""
        import pandas as pd

        with pd.option_context("display.max_rows", SHOWN, "display.show_dimensions", True):
            html: str = self.to_pandas()._repr_html_()
            return html

    def _for_pandas(self, name: str) -> Any:
        import pandas as pd

        column, kind = self._columns[name], self._kinds[name]
        if kind == "time":
            return pd.Series(column).dt.tz_localize("UTC")
        if kind == "flag":
            return pd.array(column.tolist(), dtype="boolean")
        return pd.Series(column.tolist(), dtype="str") if kind == "text" else column


def _column(kind: Kind, values: Any) -> npt.NDArray[Any]:
    if kind == "time" and not isinstance(values, np.ndarray):
        values = [None if value is None else value.removesuffix("Z") for value in values]
    elif kind == "text":
        values = [None if value is None else cleaned(value, MOST_TEXT, lines=True) for value in values]
    column = np.array(values, dtype=_TYPES.get(kind, object))
    column.flags.writeable = False
    return column
