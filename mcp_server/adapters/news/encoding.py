"""Turns the bytes of a feed into text, whatever encoding it claims."""

import codecs
import re

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF32_LE, "utf-32-le"), (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"),
)  # fmt: skip
_STARTS = ((b"<\0\0\0", "utf-32-le"), (b"\0\0\0<", "utf-32-be"), (b"<\0", "utf-16-le"), (b"\0<", "utf-16-be"))

_KNOWN = {
    **{f"windows-{page}": f"cp{page}" for page in range(1250, 1259)},
    **{f"iso-8859-{part}": f"iso8859-{part}" for part in range(2, 17)},
    **dict.fromkeys(("iso-8859-1", "latin1", "us-ascii", "ascii"), "cp1252"),  # as browsers do
    **{name: name for name in ("koi8-r", "koi8-u", "shift_jis", "euc-jp", "euc-kr", "big5", "gbk", "gb18030")},
    "gb2312": "gb18030",
    "shift-jis": "shift_jis",
}  # fmt: skip
"""What is named otherwise is not tried: Python knows codecs that take hours for two megabytes."""

_DECLARED = re.compile(rb"""<\?xml[^>]{0,200}?encoding\s{0,9}=\s{0,9}["']([A-Za-z0-9_.-]{1,40})["']""")
_CHARSET = re.compile(r"""charset\s*=\s*["']?([A-Za-z0-9_.-]{1,40})""", re.IGNORECASE)


def text_of(body: bytes, content_type: str = "") -> str:
    """Return a body as text: by its byte order mark or first bytes, as UTF-8 if it is that, else as it is declared.

    What is none of these is read as Windows-1252, and what cannot be read becomes U+FFFD.
    """
    for mark, encoding in _BYTE_ORDER_MARKS:
        if body.startswith(mark):
            return body[len(mark) :].decode(encoding, "replace")
    for start, encoding in _STARTS:
        if body.startswith(start):
            return body.decode(encoding, "replace")
    charset, declared = _CHARSET.search(content_type), _DECLARED.match(body.lstrip())
    names = [charset.group(1) if charset else "", declared.group(1).decode("ascii") if declared else ""]
    for encoding in ("utf-8", *(_KNOWN[name.lower()] for name in names if name.lower() in _KNOWN)):
        try:
            return body.decode(encoding)
        except UnicodeDecodeError:
            continue
    return body.decode("cp1252", "replace")
