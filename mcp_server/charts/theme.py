"""The colours of a chart. Up and down also differ for people who see no red or no green, and lines from each other."""

from dataclasses import dataclass

from mcp_server.charts.chart import ThemeName


@dataclass(frozen=True, slots=True)
class Theme:
    """Colours as `#rrggbb`. `lines` are taken in turn within a panel."""

    background: str
    grid: str
    border: str
    text: str
    muted: str
    up: str
    down: str
    buy: str
    sell: str
    on_tag: str
    lines: tuple[str, ...]

    def tinted(self, color: str, share: float) -> str:
        """Mix a colour into the background: `share` 1 is the colour itself."""
        pairs = [(int(color[i : i + 2], 16), int(self.background[i : i + 2], 16)) for i in (1, 3, 5)]
        return "#" + "".join(f"{round(top * share + under * (1 - share)):02x}" for top, under in pairs)


THEMES: dict[ThemeName, Theme] = {
    "dark": Theme(
        background="#10141d",
        grid="#1f2633",
        border="#36405a",
        text="#e4e8f0",
        muted="#97a3b8",
        up="#26b8a0",
        down="#f4655f",
        buy="#3ddc84",
        sell="#ff5252",
        on_tag="#0b0e14",
        lines=(
            "#f5b942", "#5ea8ff", "#d78bff", "#7fe3ff", "#ff9e66",
            "#c3e45c", "#ff9ccb", "#a7a9ff", "#e0c9a6", "#ffffff",
        ),
    ),
    "light": Theme(
        background="#ffffff",
        grid="#eaedf2",
        border="#c3cad6",
        text="#161c28",
        muted="#566176",
        up="#00897b",
        down="#d84040",
        buy="#0a8f3c",
        sell="#d01f2e",
        on_tag="#ffffff",
        lines=(
            "#c27803", "#1565d8", "#9334d6", "#0b8fb3", "#c2521b",
            "#5f7d0a", "#c93683", "#5b5bd6", "#7b6234", "#161c28",
        ),
    ),
}  # fmt: skip
