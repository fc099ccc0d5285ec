"""The report's one figure: price, faults, heads and lags over a shared time axis, as self-contained HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import plotly.graph_objects as go
import plotly.io
from plotly.subplots import make_subplots

from harness.report.story import Moment, Point, Story, behind, highest, least

POINTS_MAX = 4_000        # per line; beyond that a line is thinned, its last point kept
LANE_PX = 22
LAG_WINDOWS = 160         # a lag is drawn as the least of each of so many windows: blocks on their way are no lag
# Readable on white and on near-black alike, and to the colour-blind (Okabe and Ito's set, two of them lightened).
_COLOURS = ("#0a84c6", "#e69f00", "#1fa67a", "#c25f9a", "#d55e00", "#56b4e9", "#8c8c1a", "#8a6fd1")
_PRICE, _CHAIN, _BAD, _GOOD = "#8a8a8a", "#0a84c6", "#e0412f", "#1fa67a"
_GRID, _TEXT = "rgba(128,128,128,0.22)", "#808080"
_LEGENDS = {1: "legend", 3: "legend2", 4: "legend3"}
_FAULT_COLOURS = {
    "partition": "#d55e00", "kill": "#e0412f", "pause": "#c25f9a", "latency": "#e69f00", "loss": "#8c8c1a",
    "skew": "#8a6fd1", "view-lag": "#56b4e9",
}  # fmt: skip


class Band:
    """One fault as it really was: when it was on, and in which words."""

    __slots__ = ("bit", "end_s", "id", "kind", "start_s", "text")

    def __init__(self, id: str, kind: str, text: str, *, start_s: float, end_s: float, bit: bool) -> None:
        self.id, self.kind, self.text = id, kind, text
        self.start_s, self.end_s, self.bit = start_s, end_s, bit


def timeline_html(story: Story, bands: Sequence[Band]) -> str:
    """A `<div>` and the scripts that draw it, Plotly included; needs no network."""
    figure = _figure(story, bands)
    return str(plotly.io.to_html(
        figure, full_html=False, include_plotlyjs=True, div_id="timeline",
        config={"displayModeBar": False, "responsive": True},   # dragging zooms, a double click goes back
    ))  # fmt: skip


def _figure(story: Story, bands: Sequence[Band]) -> go.Figure:
    lanes = list(dict.fromkeys(band.id for band in bands))
    lane_px = max(1, len(lanes)) * LANE_PX + 24
    rows_px = [330, lane_px, 210, 170]
    total = sum(rows_px)
    figure = make_subplots(
        rows=4, cols=1, shared_xaxes=True, vertical_spacing=0.055 * 330 / total * 2,
        row_heights=[height / total for height in rows_px],
        subplot_titles=("Price, liquidations and settlements", "Faults",
                        "Each node: committed blocks behind the first",
                        "Each label: blocks behind the highest unsafe block"),
    )  # fmt: skip
    figure.update_annotations(font={"size": 13, "color": _TEXT}, x=0, xanchor="left")   # so far, the titles only
    _prices(figure, story)
    _faults(figure, bands, lanes)
    _nodes(figure, story)
    _labels(figure, story)
    _shade(figure, story, bands)
    figure.update_layout(
        height=total + 110, margin={"l": 60, "r": 16, "t": 40, "b": 40}, hovermode="closest",
        paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)", font={"color": _TEXT, "size": 12},
        hoverlabel={"bgcolor": "#222", "font": {"color": "#eee"}},
    )  # fmt: skip
    for row, legend in _LEGENDS.items():   # beside the row's title, where the reader looks
        top = figure.layout["yaxis" if row == 1 else f"yaxis{row}"].domain[1]
        place = {"orientation": "h", "x": 1, "xanchor": "right", "y": top, "yanchor": "bottom"}
        figure.update_layout({legend: {**place, "bgcolor": "rgba(0,0,0,0)", "font": {"size": 11}}})
    figure.update_xaxes(range=[0, story.end_s], gridcolor=_GRID, zeroline=False, ticksuffix=" s")
    figure.update_yaxes(gridcolor=_GRID, zeroline=False)
    figure.update_xaxes(showticklabels=True, row=4, col=1)
    return figure


def _thin(points: Sequence[Point]) -> Sequence[Point]:
    if len(points) <= POINTS_MAX:
        return points
    step = -(-len(points) // POINTS_MAX)
    return [*points[::step], points[-1]]


def _line(figure: go.Figure, row: int, name: str, points: Sequence[Point], *, colour: str, **more: Any) -> None:
    kept = _thin(points)
    line = {"color": colour, "width": 1.6, **more.pop("line", {})}
    figure.add_trace(
        go.Scatter(
            x=[round(t, 3) for t, _ in kept], y=[round(value, 6) for _, value in kept], name=escape(name),
            mode="lines", line=line, legend=_LEGENDS[row], **more,
        ),
        row=row, col=1,
    )  # fmt: skip


def _prices(figure: go.Figure, story: Story) -> None:
    several = len(story.true_price) > 1
    for number, (asset, points) in enumerate(story.true_price.items()):
        suffix = f" {asset}" if several else ""
        colour = _COLOURS[number % len(_COLOURS)] if several else _CHAIN
        _line(figure, 1, f"true price{suffix}", points, colour=colour if several else _PRICE, line={"dash": "dot"})
        on_chain = story.chain_price.get(asset, ())
        _line(figure, 1, f"on-chain price{suffix}", on_chain, colour=colour, line={"shape": "hv"})
    _marks(figure, "liquidation", story.liquidations, symbol="triangle-down", colour=_BAD, size=10)
    _marks(figure, "settlement", story.settlements, symbol="diamond", colour=_GOOD, size=8)
    if story.decisions:
        _marks(figure, "decision", story.decisions, symbol="square", colour=_CHAIN, size=9)
    figure.update_yaxes(title_text="quote", row=1, col=1)


def _marks(
    figure: go.Figure, name: str, moments: Sequence[Moment], *, symbol: str, colour: str, size: int
) -> None:
    shown = [moment for moment in moments if moment.price is not None]
    # Several in one block lie on one point; a slight spread upward lets each be seen and hovered.
    seen: dict[float, int] = {}
    heights = []
    for moment in shown:
        index = seen.get(moment.t_s, 0)
        seen[moment.t_s] = index + 1
        assert moment.price is not None
        heights.append(moment.price * (1 + 0.012 * min(index, 12)))
    figure.add_trace(
        go.Scatter(
            x=[round(moment.t_s, 3) for moment in shown], y=heights, name=f"{name} ({len(moments)})", mode="markers",
            marker={"symbol": symbol, "size": size, "color": colour, "line": {"width": 0.6, "color": "#fff"}},
            legend=_LEGENDS[1],
            text=[f"{escape(moment.account)}, block {moment.block}<br>{escape(moment.text)}" for moment in shown],
            hovertemplate="%{x:.1f} s: %{text}<extra></extra>",
        ),
        row=1, col=1,
    )  # fmt: skip


def _faults(figure: go.Figure, bands: Sequence[Band], lanes: Sequence[str]) -> None:
    for band in bands:
        colour = _FAULT_COLOURS.get(band.kind, "#56b4e9")
        words = escape(band.text) + ("" if band.bit else " — did not bite")
        figure.add_trace(
            go.Bar(
                x=[band.end_s - band.start_s], base=[band.start_s], y=[lanes.index(band.id)], orientation="h",
                width=0.72, showlegend=False,
                marker={"color": colour, "opacity": 0.85 if band.bit else 0.3, "line": {"width": 0}},
                hovertext=[words], hovertemplate="%{hovertext}<extra></extra>",
            ),
            row=2, col=1,
        )  # fmt: skip
        # Beside the bar, on whichever side has more room; a bar is often too short for its own words.
        figure_end = max(other.end_s for other in bands)
        right = band.end_s < 0.6 * figure_end
        figure.add_annotation(
            x=band.end_s if right else band.start_s, y=lanes.index(band.id), text=escape(_short(band.text)),
            xanchor="left" if right else "right", showarrow=False, font={"size": 11, "color": _TEXT}, row=2, col=1,
        )  # fmt: skip
    figure.update_yaxes(
        tickvals=list(range(len(lanes))), ticktext=[escape(lane) for lane in lanes], autorange="reversed",
        showgrid=False, row=2, col=1,
    )  # fmt: skip


def _short(text: str) -> str:
    head = text.split(", at ")[0]
    return head if len(head) <= 70 else head[:69] + "…"


def _nodes(figure: go.Figure, story: Story) -> None:
    committed = story.heads.get("committed", {})
    front = highest(committed.values())
    window_s = story.end_s / LAG_WINDOWS
    for number, (node, points) in enumerate(sorted(committed.items())):
        lag = least(behind(points, front, story.end_s), window_s)
        colour = _COLOURS[number % len(_COLOURS)]
        _line(figure, 3, node, lag, colour=colour, line={"shape": "hv", "width": 1.4})
    figure.update_yaxes(title_text="blocks", rangemode="tozero", row=3, col=1)


def _labels(figure: go.Figure, story: Story) -> None:
    tops: Mapping[str, Sequence[Point]] = {label: highest(nodes.values()) for label, nodes in story.heads.items()}
    front = highest(tops.values())
    for number, label in enumerate(("committed", "safe", "finalized")):
        points = least(behind(tops.get(label, ()), front, story.end_s), story.end_s / LAG_WINDOWS)
        _line(figure, 4, label, points, colour=_COLOURS[number + 4], line={"shape": "hv"})
    figure.update_yaxes(title_text="blocks", rangemode="tozero", row=4, col=1)


def _shade(figure: go.Figure, story: Story, bands: Sequence[Band]) -> None:
    """Fault bands through the other rows, and the line where everything was healed."""
    for band in bands:
        colour = _FAULT_COLOURS.get(band.kind, "#56b4e9")
        for row in (1, 3, 4):
            figure.add_vrect(
                x0=band.start_s, x1=band.end_s, fillcolor=colour, opacity=0.09, line_width=0, layer="below",
                row=row, col=1,  # pyright: ignore[reportArgumentType]  # plotly types them by their default, "all"
            )  # fmt: skip
    for name, t_s in story.phases:
        if name in ("heal", "liveness") and (name == "heal" or "heal" not in dict(story.phases)):
            dashed = {"color": _TEXT, "width": 1, "dash": "dash"}
            figure.add_vline(x=t_s, line=dashed, row="all", col=1)  # pyright: ignore[reportArgumentType]  # as above
            figure.add_annotation(
                x=t_s, y=1, yref="y domain", text="healed", showarrow=False, xanchor="left", yanchor="top",
                font={"size": 11, "color": _TEXT}, row=1, col=1,
            )  # fmt: skip
