"""How a page of the documentation is read: a command is never overlooked, and a line that is not printed is noticed."""

from tests.rigs.typed_page import blocks, missing

PAGE = """## One
```sh
cat > file <<'END'
a
END
second  # why
```
Words.
```text
shown …
```
## Two
```sh
third
```
"""


def test_each_block_has_its_commands_and_what_is_shown_below() -> None:
    one, two = blocks(PAGE)
    assert one.commands == ("cat > file <<'END'\na\nEND", "second  # why")
    assert (one.title, one.shown) == ("One", ("shown …",))
    assert (two.title, two.commands, two.shown) == ("Two", ("third",), ())


def test_a_line_that_is_not_printed_or_not_in_this_order_is_noticed() -> None:
    printed = "first   1\nbetween\nsecond 2 of 3\n"
    assert missing(["first 1", "…", "second … of 3"], printed) == []
    assert missing(["first 1 …"], printed) == []
    assert missing(["first 2"], printed) == ["first 2"]
    assert missing(["second …", "first 1"], printed) == ["first 1"]
    assert missing(["irst 1"], printed) == ["irst 1"]
