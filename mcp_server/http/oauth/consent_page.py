"""The page that asks the owner, and the one that says why nobody is asked. Both run no script and load nothing."""

from base64 import b64encode
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from html import escape
from string import Template
from urllib.parse import quote

from starlette.responses import Response

from mcp_server.http.oauth.clients import called, lands_at
from mcp_server.http.oauth.metadata import AUTHORIZE
from mcp_server.http.oauth.requests import AccessRequest
from mcp_server.storage.assets import asset, page_style


@dataclass(frozen=True, slots=True)
class AnswerRefused:
    """Why the owner's answer did not count: shown above the form."""

    status: int
    problem: str
    remedy: str
    wait_s: int = 0


WRONG_TOKEN = AnswerRefused(403, "The server does not know this token.", "Check that you copied all of it.")
READS_ONLY = AnswerRefused(403, "This token may only read.", "Choose to let it read, or use a token that may write.")


def too_many(wait_s: int) -> AnswerRefused:
    """Make the problem of somebody who has tried too often."""
    return AnswerRefused(429, "There were too many attempts.", f"Try again in {wait_s} s.", wait_s)


def consent_page(asked: AccessRequest, host: str, sealed: str, problem: AnswerRefused | None = None) -> Response:
    """Return the page that shows who asks and for what, and takes the owner's answer.

    Args:
        asked: the request.
        host: the name of this server.
        sealed: the request as the form hands it back.
        problem: what was wrong with the last answer.
    """
    name = escape(called(asked.client))
    content = f"""{_notice(problem)}
<dl class="figures">
<div><dt>Who asks</dt><dd>{name}<small>{escape(asked.client)}</small></dd></div>
<div><dt>Where you go next</dt><dd>{escape(lands_at(asked.redirect))}<small>{escape(asked.redirect)}</small></dd></div>
<div><dt>Which server</dt><dd>{escape(host)}</dd></div>
</dl>
<p>Go on only if you have just asked for this yourself, in {name}. If somebody sent you here, close this page.</p>
<form method="post" action="{AUTHORIZE}">
<input type="hidden" name="request" value="{escape(sealed)}">
<fieldset><legend>What it may do</legend>
<label class="choice"><input type="radio" name="scope" value="read" checked>
<span>Read: markets, your strategies, signals and record. It can also run backtests, which are counted.</span></label>
{_WRITING if asked.scope == "write" else ""}</fieldset>
<input autocomplete="username" value="Claude Trader" hidden aria-label="Name">
<label class="token">Token of this server
<input name="token" type="password" autocomplete="current-password" required autocapitalize="none" spellcheck="false"
 aria-describedby="about-token"></label>
<p id="about-token" class="muted">Whoever set up this server has it: <code>TRADER_TOKEN</code>, or one of
<code>TRADER_TOKENS</code>. {name} does not get it, but may do what you choose here until you replace that token, or
nothing is asked for 30 days.</p>
<p class="row"><button class="primary" name="answer" value="allow">Allow</button>
<button name="answer" value="deny" formnovalidate>Deny</button></p>
</form>"""
    headers = {"Retry-After": str(problem.wait_s)} if problem and problem.wait_s else {}
    page = _page(f"Let {name} use this server?", content, forms="")
    page.status_code = problem.status if problem else 200
    page.headers.update(headers)
    return page


def refusal_page(status: int, problem: str, remedy: str) -> Response:
    """Return a page for a person who was sent here by a request that cannot be granted."""
    page = _page("This cannot be allowed", _notice(AnswerRefused(status, problem, remedy)))
    page.status_code = status
    return page


_WRITING = """<label class="choice"><input type="radio" name="scope" value="write">
<span>Read and write: also write, run, start, pause and stop strategies. Needs a token that may write.</span></label>
"""


def _notice(problem: AnswerRefused | None) -> str:
    if problem is None:
        return ""
    kind = "warn" if problem.wait_s else "bad"
    return (
        f'<div role="alert" class="notice {kind}"><p><strong>{escape(problem.problem)}</strong></p>'
        f"<p>{escape(problem.remedy)}</p></div>"
    )


def _page(title: str, content: str, forms: str = "form-action 'none'; ") -> Response:
    """Return a page; `title` and `content` are HTML.

    Chrome holds a form to its policy at every redirect that follows, and the program's own last one may open an app
    (`claude://`). So the page with the form has no policy for it: its only form is this server's own.
    """
    style, digest, icon = _looks()
    page = Template(asset("consent.html")).substitute(title=title, content=content, style=style, icon=icon)
    return Response(
        page.encode("utf-8", "replace"),
        headers={
            "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; "
            f"{forms}base-uri 'none'; frame-ancestors 'none'",
            "X-Frame-Options": "DENY",
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "same-origin",  # with no-referrer, browsers send `Origin: null` with the form
            "Cross-Origin-Resource-Policy": "same-origin",
            "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
            "Cache-Control": "no-store",
        },  # no Cross-Origin-Opener-Policy: a client that opened this in a window of its own waits for that window
        media_type="text/html",
    )


@cache
def _looks() -> tuple[str, str, str]:
    """Return the styles, their hash for the policy, and the icon as an address."""
    style = page_style() + asset("consent.css")
    digest = b64encode(sha256(style.encode()).digest()).decode()
    return style, digest, f"data:image/svg+xml,{quote(asset('page/icon.svg'))}"
