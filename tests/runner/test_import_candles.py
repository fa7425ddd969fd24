from pathlib import Path

from tests.runner.conftest import Command

HEAD = "date;open;high;low;close;volume USD\n"


def test_the_command_refuses_what_has_two_readings_and_takes_the_callers_word(trader: Command, tmp_path: Path) -> None:
    file = tmp_path / "candles.csv"
    file.write_text(
        HEAD + "05/03/2024;94.000;94.159;93.582;93.725;2.303\n06/03/2024;93.725;93.809;93.599;93.722;7.101\n"
    )
    series = ["--exchange", "kraken", "--symbol", "XBT/USD", "--timeframe", "1d"]
    said: list[str] = []
    for option in ("--volume=none", "--date-format=%d/%m/%Y", "--decimal-mark=,"):
        refused = trader("import-candles", str(file), *series, *said)
        assert (refused.code, option.partition("=")[0] in refused.err) == (2, True), refused.err
        said.append(option)
    done = trader("import-candles", str(file), *series, *said)
    assert (done.code, done.err) == (0, "")
    assert "2 candles of BTC/USD 1d on kraken, 2024-03-05T00:00Z to 2024-03-06T00:00Z" in done.out
    file.write_text(
        "date,open,high,low,close,volume\n2024-03-05,9,10,8,9,1\n2024-03-07,9,10,8,9,1\n2024-03-08,9,10,8,9,1\n"
    )
    assert "Kept although the file lacks them: 1; --replace" in trader("import-candles", str(file), *series).out
    assert "Removed because the file lacks them: 1" in trader("import-candles", str(file), *series, "--replace").out
