@echo off
rem The same as the file trader-server beside it, for Windows.
if defined TRADER_PACKAGE (
  if exist "%TRADER_PACKAGE%\.venv\Scripts\claude-trader-mcp.exe" (
    "%TRADER_PACKAGE%\.venv\Scripts\claude-trader-mcp.exe"
  ) else (
    uvx --from "%TRADER_PACKAGE%" claude-trader-mcp
  )
  exit /b
)
where /q claude-trader-mcp && (claude-trader-mcp & exit /b)
uvx --from claude-trader claude-trader-mcp
