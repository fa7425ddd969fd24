"""What strangers wrote stays text in a page, and data in a script stays data."""

import json

import pytest

from mcp_server.domain.report.html import json_in_script, safe, table


@pytest.mark.parametrize("text", ["</script><b>", "<!--", "a & b", "\u2028 and \u2029", "'\"", "]]>"])
def test_nothing_in_the_data_of_a_script_can_end_it_and_all_of_it_is_kept(text: str) -> None:
    written = json_in_script({"name": text})
    assert not set(written) & set("<>&\u2028\u2029")
    assert json.loads(written) == {"name": text}


def test_a_number_that_json_does_not_have_is_refused() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        json_in_script([float("nan")])


def test_text_is_cleaned_escaped_and_cut() -> None:
    assert safe("<a href=\"x\" title='y'>&\u202e\u0007") == "&lt;a href=&quot;x&quot; title=&#x27;y&#x27;&gt;&amp;"
    assert safe("long " * 10, 9) == "long lon…"


def test_a_table_is_reached_by_the_keyboard_and_has_a_name() -> None:
    text = table("Caption", ["One"], ["<tr><td>1</td></tr>"])
    assert 'tabindex="0"' in text
    assert "<caption>Caption</caption>" in text
