"""A candle file as a table of text, whatever its format is: CSV in any dialect, zip, gzip, JSON, Parquet, Feather."""

import csv
import glob
import gzip
import json
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mcp_server.errors import BadInput
from mcp_server.storage.candles.columns import ColumnLayout, find_layout
from mcp_server.storage.database_errors import first_sentence

_DELIMITERS = ("\t", ";", "|", ",")
_LINES = re.compile(r"[^\r\n]*(?:\r\n?|\n)|[^\r\n]+")
"""With their ends. A StringIO would keep four bytes for each character."""
_HEAD = 20
_LARGEST = 4 * 2**30
_CONVERT = "Convert it to CSV with the columns timestamp, open, high, low, close and volume."


@dataclass
class Sheet:
    """The columns that a candle is made of, as text; `lines` says where in the file each row is."""

    layout: ColumnLayout
    cells: dict[str, list[str]]
    lines: list[int]
    notes: list[str] = field(default_factory=list)
    unit: str = "line"
    mark: str | None = None

    def where(self, index: int) -> str:
        """Name the place of a row."""
        return f"{self.unit} {self.lines[index]}"


def read_sheet(file: Path, base: str | None, volume: str | None) -> Sheet:
    """Read a file's columns.

    Raises:
        BadInput: the format is unknown, a column is missing or stands for two, or a row has too few values.
    """
    with file.open("rb") as stream:
        magic = stream.read(6)
    if magic.startswith(b"PAR1") or file.suffix.lower() in (".parquet", ".pq"):
        return _typed(*_parquet(file), base, volume)
    if magic.startswith(b"ARROW1"):
        return _typed(*_feather(file), base, volume)
    text = _decoded(_unpacked(file, magic))
    if text.lstrip()[:1] in ("[", "{"):
        return _typed(*_json(text), base, volume, mark=".")
    return _delimited(text, base, volume)


def _unpacked(file: Path, magic: bytes) -> bytes:
    if magic.startswith(b"PK"):
        with zipfile.ZipFile(file) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            if len(members) != 1:
                raise BadInput(f"The archive has {len(members)} files.", "Unpack it, and import each file.")
            if members[0].file_size > _LARGEST:
                raise BadInput("The file in the archive is larger than 4 GiB.", "Unpack and divide it.")
            return archive.read(members[0])
    if magic.startswith(b"\x1f\x8b"):
        return gzip.decompress(file.read_bytes())
    if magic.startswith((b"\x28\xb5\x2f\xfd", b"BZh", b"\xfd7zXZ")):
        raise BadInput("This compression cannot be read.", "Unpack the file first.")
    return file.read_bytes()


def _decoded(raw: bytes) -> str:
    for encoding in ("utf-16",) if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else ("utf-8-sig", "cp1252"):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise BadInput("The text is in no encoding that can be read.", "Save the file as UTF-8.")


def _delimited(text: str, base: str | None, volume: str | None) -> Sheet:
    head = [line for line in text[:200_000].splitlines() if line.strip()][:_HEAD]
    failure: BadInput | None = None
    for delimiter in _DELIMITERS:
        rows = [[cell.strip() for cell in row] for row in csv.reader(head, delimiter=delimiter)]
        try:
            layout = find_layout(rows, base, volume)
        except BadInput as error:
            failure = failure or error
            continue
        if layout is not None:
            return _collected(text, delimiter, layout)
    raise failure or BadInput(
        "It has no header with open, high, low and close, and its rows are in no known order.",
        "Begin the file with a line that names the columns: timestamp,open,high,low,close,volume.",
    )


def _collected(text: str, delimiter: str, layout: ColumnLayout) -> Sheet:
    """Collect the columns of a layout from the rows below its header."""
    sheet = Sheet(layout, {role: [] for role in layout.roles}, [])
    reader = csv.reader((line[0] for line in _LINES.finditer(text)), delimiter=delimiter)
    header: list[str] | None = None if layout.names else []
    repeated = 0
    for row in _rows(reader):
        cells = [cell.strip() for cell in row]
        if header is None:
            header = cells if cells == layout.names else None
            continue
        if layout.names and cells == layout.names:
            repeated += 1
            continue
        if not sheet.lines and layout.is_label(cells):
            continue
        while len(cells) > layout.width and not cells[-1]:
            cells.pop()
        if len(cells) != layout.width:
            raise BadInput(
                f"line {reader.line_num} has {len(cells)} values where {layout.width} were expected: "
                f"{delimiter.join(cells)[:60]!r}.",
                "Correct or drop the line. If it is the last, the file may be cut short: get it again.",
            )
        for role, column in layout.roles.items():
            sheet.cells[role].append(cells[column])
        sheet.lines.append(reader.line_num)
    if repeated:
        sheet.notes.append(f"Repeated header lines left out: {repeated}.")
    return sheet


def _rows(reader: Any) -> Iterator[list[str]]:
    """Yield the rows, without empty lines and comments."""
    try:
        for row in reader:
            if any(cell.strip() for cell in row) and not row[0].lstrip().startswith("#"):
                yield row
    except csv.Error as error:
        raise BadInput(f"line {reader.line_num} cannot be read as CSV: {error}.", "Correct the line.") from None


def _typed(
    names: list[str], rows: list[list[str]], base: str | None, volume: str | None, mark: str | None = None
) -> Sheet:
    """Make a sheet of rows that need no dialect."""
    layout = find_layout([names, *rows[:_HEAD]] if names else rows[:_HEAD], base, volume)
    if layout is None:
        raise BadInput("It has no columns open, high, low and close.", _CONVERT)
    for number, row in enumerate(rows, 1):
        if len(row) != layout.width:
            raise BadInput(f"row {number} has {len(row)} values where {layout.width} were expected.", _CONVERT)
    cells = {role: [row[column] for row in rows] for role, column in layout.roles.items()}
    return Sheet(layout, cells, list(range(1, len(rows) + 1)), unit="row", mark=mark)


def _parquet(file: Path) -> tuple[list[str], list[list[str]]]:
    import duckdb

    with duckdb.connect(config={"autoinstall_known_extensions": "false"}) as connection:
        connection.execute("SET TimeZone = 'UTC'")  # else a cast to TIMESTAMP gives the local time of this machine
        path = [glob.escape(str(file))]  # the reader takes a pattern
        try:
            described = connection.execute("DESCRIBE SELECT * FROM read_parquet(?)", path).fetchall()
            chosen = ", ".join(_as_text(str(row[0]), str(row[1])) for row in described)
            sql = f"SELECT {chosen} FROM read_parquet(?)"  # noqa: S608 (names are quoted)
            rows = connection.execute(sql, path).fetchall()
        except duckdb.Error as error:
            raise BadInput(f"It cannot be read as Parquet: {first_sentence(error)}", _CONVERT) from None
    return [str(row[0]) for row in described], [[_text(value) for value in row] for row in rows]


def _as_text(name: str, kind: str) -> str:
    """Return the SQL for a column as text; a moment is written as Unix time in ms."""
    quoted = '"' + name.replace('"', '""') + '"'
    if kind.startswith("TIMESTAMP"):
        return f"CAST(CAST(epoch_us(CAST({quoted} AS TIMESTAMP)) AS BIGINT) AS VARCHAR)"
    return f"CAST({quoted} AS VARCHAR)"


def _feather(file: Path) -> tuple[list[str], list[list[str]]]:
    try:
        from pyarrow import ArrowException, feather
    except ImportError:
        raise BadInput(
            "Reading Feather takes the package pyarrow, which is not installed.",
            "Run `pip install pyarrow`, or convert the file: `freqtrade convert-data --format-from feather --format-to "
            "json`.",
        ) from None
    try:
        table = feather.read_table(file)
    except (ArrowException, OSError) as error:
        raise BadInput(f"It cannot be read as Feather: {first_sentence(error)}", _CONVERT) from None
    columns = []
    for column in table.columns:
        moments = str(column.type).startswith("timestamp")
        columns.append([_text(value) for value in (column.cast("int64") if moments else column).to_pylist()])
    return list(table.column_names), [list(row) for row in zip(*columns, strict=True)]


def _json(text: str) -> tuple[list[str], list[list[str]]]:
    try:
        answer = json.loads(text, parse_float=str, parse_int=str)
    except ValueError as error:
        raise BadInput(f"It is no JSON that can be read: {error}.", "Get the file again.") from None
    if isinstance(answer, list) and answer and all(isinstance(row, list) for row in answer):
        return [], [[_text(value) for value in row] for row in answer]
    if isinstance(answer, list) and answer and all(isinstance(row, dict) for row in answer):
        names = list(answer[0])
        return names, [[_text(row.get(name)) for name in names] for row in answer]
    raise BadInput("This JSON is no list of candles.", "Write [[time in ms, open, high, low, close, volume], …].")


def _text(value: object) -> str:
    return "" if value is None else str(value)
