"""DuckDB itself, without the Python layer of its package, which takes four times as long to import.

`from mcp_server.domain.duckdb_core import duckdb` gives the same connections and the same errors as `import duckdb`.
"""

try:
    import _duckdb as duckdb
except ImportError:  # a version of DuckDB that is built otherwise
    import duckdb  # type: ignore[no-redef]

__all__ = ["duckdb"]
