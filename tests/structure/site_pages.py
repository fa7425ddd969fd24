"""`make docs`, first step: gather the pages of the site in build/docs.

They are docs/ and a few pages that stand elsewhere in the repository. Links between them lead to where the pages are on
the site; a link to any other file of the repository becomes the file's name.
"""

import json
import os
import re
import shutil
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parents[2]
GATHERED = ROOT / "build" / "docs"

ELSEWHERE = {
    "README.md": "index.md",
    "strategies/README.md": "reference/strategy-format.md",
    "CHANGELOG.md": "project/changes.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "SECURITY.md": "project/security.md",
}
"""File of the repository → its place on the site. The README has a page of its own there, written for the site."""

EXAMPLES = "reference/examples.md"
_LINK = re.compile(r"(?P<image>!?)\[(?P<text>[^\]]*)\]\((?P<path>[^)#\s:]+)(?P<heading>#[^)\s]*)?\)")


def site_pages() -> dict[str, str]:
    """Return the text of each page by its place on the site."""
    sources = {f"docs/{page.relative_to(ROOT / 'docs').as_posix()}" for page in (ROOT / "docs").rglob("*.md")}
    sources |= ELSEWHERE.keys() - {"README.md"}
    pages = {place(source): with_links((ROOT / source).read_text("utf-8"), source) for source in sorted(sources)}
    return {**pages, EXAMPLES: _examples()}


def place(source: str) -> str:
    """Return where a file of the repository is on the site, or nothing if it is not there."""
    if source in ELSEWHERE:
        return ELSEWHERE[source]
    if re.fullmatch(r"strategies/[\w-]+/\w+\.json", source):
        return EXAMPLES
    return source.removeprefix("docs/") if source.startswith("docs/") else ""


def with_links(text: str, source: str) -> str:
    """Return the text of a file of the repository with its links as they are on the site."""

    def moved(link: re.Match[str]) -> str:
        target = os.path.normpath(PurePosixPath(source).parent / link["path"])
        there = place(target)
        if not there:
            return f"{link['text']} (`{target}`)"
        heading = f"#{target.split('/')[1]}" if there == EXAMPLES else link["heading"] or ""
        path = os.path.relpath(there, PurePosixPath(place(source)).parent)
        return f"{link['image']}[{link['text']}]({path}{heading})"

    return _LINK.sub(moved, text)


def _examples() -> str:
    """Return the page with the files of each example strategy."""
    head = (
        "# Example strategies\n\nThese come with Claude Trader. You can run them by name; "
        "`claude-trader strategies add NAME` copies one into your home, where you can change it. "
        "[The format](strategy-format.md) explains every key.\n"
    )
    sections = []
    for folder in sorted(path.parent for path in (ROOT / "strategies").glob("*/config.json")):
        files = [folder / "config.json", *folder.glob("agents.json")]
        blocks = [f"`{file.name}`:\n\n```json\n{file.read_text('utf-8').strip()}\n```\n" for file in files]
        description = json.loads(files[0].read_text("utf-8"))["description"]
        sections.append("\n".join([f"\n## {folder.name}\n", f"{description}\n", *blocks]))
    return head + "".join(sections)


def gather(folder: Path) -> None:
    """Write the pages into an empty folder, with the pictures."""
    shutil.copytree(ROOT / "docs", folder, ignore=shutil.ignore_patterns("*.md"))
    for path, text in site_pages().items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, "utf-8")


def main() -> None:
    """Gather the pages anew."""
    shutil.rmtree(GATHERED, ignore_errors=True)
    gather(GATHERED)


if __name__ == "__main__":
    main()
