"""The report's one figure: price, faults, heads and lags over a shared time axis, as self-contained HTML.

The figure is written in Plotly's own JSON. Its Python classes would say the same, at a fifth of a short run's time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from html import escape
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import orjson

from harness.report.story import Moment, Point, Story, behind, highest, least

POINTS_MAX = 4_000        # per line; beyond that a line is thinned, its last point kept
LANE_PX = 22
LAG_WINDOWS = 160         # a lag is drawn as the least of each of so many windows: blocks on their way are no lag
# Readable on white and on near-black alike, and to the colour-blind (Okabe and Ito's set, two of them lightened).
_COLOURS = ("#0a84c6", "#e69f00", "#1fa67a", "#c25f9a", "#d55e00", "#56b4e9", "#8c8c1a", "#8a6fd1")
_PRICE, _CHAIN, _BAD, _GOOD = "#8a8a8a", "#0a84c6", "#e0412f", "#1fa67a"
_GRID, _TEXT, _CLEAR = "rgba(128,128,128,0.22)", "#808080", "rgba(0,0,0,0)"
_TITLES = ("Price, liquidations and settlements", "Faults", "Each node: committed blocks behind the first",
           "Each label: blocks behind the highest unsafe block")
_ROWS = len(_TITLES)
_LEGENDS = {1: "legend", 3: "legend2", 4: "legend3"}
_FAULT_COLOURS = {
    "partition": "#d55e00", "kill": "#e0412f", "pause": "#c25f9a", "latency": "#e69f00", "loss": "#8c8c1a",
    "skew": "#8a6fd1", "view-lag": "#56b4e9",
}  # fmt: skip

Part = dict[str, Any]
"""A trace, axis, annotation or shape, as Plotly's JSON schema names its keys."""


class Band:
    """One fault as it really was: when it was on, and in which words."""

    __slots__ = ("bit", "end_s", "id", "kind", "start_s", "text")

    def __init__(self, id: str, kind: str, text: str, *, start_s: float, end_s: float, bit: bool) -> None:
        self.id, self.kind, self.text = id, kind, text
        self.start_s, self.end_s, self.bit = start_s, end_s, bit


class _Figure:
    """Rows one above the other on one time axis; row 1 is the topmost."""

    def __init__(self, rows_px: Sequence[int], end_s: float) -> None:
        self._total_px = sum(rows_px)
        gap = 0.055 * 330 / self._total_px * 2
        share = (1 - gap * (_ROWS - 1)) / self._total_px
        self.traces: list[Part] = []
        self.annotations: list[Part] = []
        self.shapes: list[Part] = []
        self.x_axes: dict[int, Part] = {}
        self.y_axes: dict[int, Part] = {}
        top = 1.0
        for row, (height, title) in enumerate(zip(rows_px, _TITLES, strict=True), start=1):
            bottom = max(top - height * share, 0.0)
            self.x_axes[row] = {
                "anchor": f"y{_number(row)}", "domain": [0, 1], "range": [0, end_s], "gridcolor": _GRID,
                "zeroline": False, "automargin": True, "ticksuffix": " s", "showticklabels": row == _ROWS,
            }
            if row != _ROWS:
                self.x_axes[row]["matches"] = f"x{_number(_ROWS)}"
            self.y_axes[row] = {"anchor": f"x{_number(row)}", "domain": [bottom, top], "gridcolor": _GRID,
                                "zeroline": False, "automargin": True}
            self.annotations.append(
                _words(title, x=0, xref="paper", y=top, yref="paper", size=13, xanchor="left", yanchor="bottom"))
            top = bottom - gap

    def add(self, row: int, trace: Part) -> None:
        self.traces.append(trace | {"xaxis": f"x{_number(row)}", "yaxis": f"y{_number(row)}"})

    def shade(self, row: int, shape: Part) -> None:
        """A shape as high as the row."""
        self.shapes.append(
            shape | {"xref": f"x{_number(row)}", "yref": f"y{_number(row)} domain", "y0": 0, "y1": 1})

    def to_json(self) -> Part:
        # Each legend stands beside its row's title, where the reader looks.
        legends = {
            legend: {"orientation": "h", "x": 1, "xanchor": "right", "y": self.y_axes[row]["domain"][1],
                     "yanchor": "bottom", "bgcolor": _CLEAR, "font": {"size": 11}}
            for row, legend in _LEGENDS.items()
        }
        axes = {f"{letter}axis{_number(row)}": axis
                for letter, rows in (("x", self.x_axes), ("y", self.y_axes)) for row, axis in rows.items()}
        layout = {
            "height": self._total_px + 110, "margin": {"l": 60, "r": 16, "t": 40, "b": 40}, "hovermode": "closest",
            "paper_bgcolor": _CLEAR, "plot_bgcolor": _CLEAR, "font": {"color": _TEXT, "size": 12},
            "hoverlabel": {"bgcolor": "#222", "font": {"color": "#eee"}},
            "annotations": self.annotations, "shapes": self.shapes, **axes, **legends,
        }
        return {"data": self.traces, "layout": layout}


def timeline_html(story: Story, bands: Sequence[Band]) -> str:
    """A `<div>` and the scripts that draw it, Plotly included; needs no network."""
    figure = figure_json(story, bands)
    # Dragging zooms, a double click goes back.
    arguments = ",".join(_script_json(part) for part in (
        "timeline", figure["data"], figure["layout"], {"displayModeBar": False, "responsive": True}))  # fmt: skip
    return (
        f'<div style="height:{figure["layout"]["height"]}px; width:100%;">'
        f"<script>window.PlotlyConfig = {{MathJaxConfig: 'local'}};</script><script>{_library()}</script>"
        '<div id="timeline" class="plotly-graph-div" style="height:100%; width:100%;"></div>'
        f"<script>Plotly.newPlot({arguments});</script></div>"
    )


def figure_json(story: Story, bands: Sequence[Band]) -> Part:
    """Plotly's `data` and `layout`."""
    lanes = list(dict.fromkeys(band.id for band in bands))
    lane_px = max(1, len(lanes)) * LANE_PX + 24
    figure = _Figure((330, lane_px, 210, 170), story.end_s)
    _prices(figure, story)
    _faults(figure, bands, lanes)
    _nodes(figure, story)
    _labels(figure, story)
    _shade(figure, story, bands)
    return figure.to_json()


@lru_cache(maxsize=1)
def _library() -> str:
    """Plotly.js, as its Python package carries it; found without importing that."""
    package = find_spec("plotly")
    assert package is not None, "plotly is a dependency of this package"
    assert package.origin is not None
    return (Path(package.origin).parent / "package_data" / "plotly.min.js").read_text(encoding="utf-8")


def _script_json(value: Any) -> str:
    """JSON that may stand in a script: nothing in it ends the script or a line."""
    text = orjson.dumps(value).decode()
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _number(row: int) -> str:
    """Of an axis, as Plotly counts them: the first has none."""
    return "" if row == 1 else str(row)


def _words(
    text: str, *, x: float, xref: str, y: float, yref: str, size: int = 11, xanchor: str, yanchor: str = "auto",
) -> Part:
    return {"text": text, "x": x, "xref": xref, "y": y, "yref": yref, "xanchor": xanchor, "yanchor": yanchor,
            "showarrow": False, "font": {"color": _TEXT, "size": size}}


def _thin(points: Sequence[Point]) -> Sequence[Point]:
    if len(points) <= POINTS_MAX:
        return points
    step = -(-len(points) // POINTS_MAX)
    return [*points[::step], points[-1]]


def _line(figure: _Figure, row: int, name: str, points: Sequence[Point], *, colour: str, **line: Any) -> None:
    kept = _thin(points)
    figure.add(row, {
        "type": "scatter", "mode": "lines", "name": escape(name), "legend": _LEGENDS[row],
        "x": [round(t, 3) for t, _ in kept], "y": [round(value, 6) for _, value in kept],
        "line": {"color": colour, "width": 1.6, **line},
    })  # fmt: skip


def _prices(figure: _Figure, story: Story) -> None:
    several = len(story.true_price) > 1
    for number, (asset, points) in enumerate(story.true_price.items()):
        suffix = f" {asset}" if several else ""
        colour = _COLOURS[number % len(_COLOURS)] if several else _CHAIN
        _line(figure, 1, f"true price{suffix}", points, colour=colour if several else _PRICE, dash="dot")
        on_chain = story.chain_price.get(asset, ())
        _line(figure, 1, f"on-chain price{suffix}", on_chain, colour=colour, shape="hv")
    _marks(figure, "liquidation", story.liquidations, symbol="triangle-down", colour=_BAD, size=10)
    _marks(figure, "settlement", story.settlements, symbol="diamond", colour=_GOOD, size=8)
    if story.decisions:
        _marks(figure, "decision", story.decisions, symbol="square", colour=_CHAIN, size=9)
    figure.y_axes[1]["title"] = {"text": "quote"}


def _marks(
    figure: _Figure, name: str, moments: Sequence[Moment], *, symbol: str, colour: str, size: int
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
    figure.add(1, {
        "type": "scatter", "mode": "markers", "name": f"{name} ({len(moments)})", "legend": _LEGENDS[1],
        "x": [round(moment.t_s, 3) for moment in shown], "y": heights,
        "marker": {"symbol": symbol, "size": size, "color": colour, "line": {"width": 0.6, "color": "#fff"}},
        "text": [f"{escape(moment.account)}, block {moment.block}<br>{escape(moment.text)}" for moment in shown],
        "hovertemplate": "%{x:.1f} s: %{text}<extra></extra>",
    })  # fmt: skip


def _faults(figure: _Figure, bands: Sequence[Band], lanes: Sequence[str]) -> None:
    figure_end = max((band.end_s for band in bands), default=0)
    for band in bands:
        colour = _FAULT_COLOURS.get(band.kind, "#56b4e9")
        words = escape(band.text) + ("" if band.bit else " — did not bite")
        figure.add(2, {
            "type": "bar", "orientation": "h", "showlegend": False, "width": 0.72,
            "x": [band.end_s - band.start_s], "base": [band.start_s], "y": [lanes.index(band.id)],
            "marker": {"color": colour, "opacity": 0.85 if band.bit else 0.3, "line": {"width": 0}},
            "hovertext": [words], "hovertemplate": "%{hovertext}<extra></extra>",
        })  # fmt: skip
        # Beside the bar, on whichever side has more room; a bar is often too short for its own words.
        right = band.end_s < 0.6 * figure_end
        figure.annotations.append(_words(
            escape(_short(band.text)), x=band.end_s if right else band.start_s, xref="x2", y=lanes.index(band.id),
            yref="y2", xanchor="left" if right else "right"))  # fmt: skip
    figure.y_axes[2] |= {
        "tickvals": list(range(len(lanes))), "ticktext": [escape(lane) for lane in lanes], "autorange": "reversed",
        "showgrid": False,
    }  # fmt: skip


def _short(text: str) -> str:
    head = text.split(", at ")[0]
    return head if len(head) <= 70 else head[:69] + "…"


def _nodes(figure: _Figure, story: Story) -> None:
    committed = story.heads.get("committed", {})
    front = highest(committed.values())
    window_s = story.end_s / LAG_WINDOWS
    for number, (node, points) in enumerate(sorted(committed.items())):
        lag = least(behind(points, front, story.end_s), window_s)
        _line(figure, 3, node, lag, colour=_COLOURS[number % len(_COLOURS)], shape="hv", width=1.4)
    figure.y_axes[3] |= {"title": {"text": "blocks"}, "rangemode": "tozero"}


def _labels(figure: _Figure, story: Story) -> None:
    tops: Mapping[str, Sequence[Point]] = {label: highest(nodes.values()) for label, nodes in story.heads.items()}
    front = highest(tops.values())
    for number, label in enumerate(("committed", "safe", "finalized")):
        points = least(behind(tops.get(label, ()), front, story.end_s), story.end_s / LAG_WINDOWS)
        _line(figure, 4, label, points, colour=_COLOURS[number + 4], shape="hv")
    figure.y_axes[4] |= {"title": {"text": "blocks"}, "rangemode": "tozero"}


def _shade(figure: _Figure, story: Story, bands: Sequence[Band]) -> None:
    """Fault bands through the other rows, and the line where everything was healed."""
    for band in bands:
        colour = _FAULT_COLOURS.get(band.kind, "#56b4e9")
        for row in (1, 3, 4):
            figure.shade(row, {
                "type": "rect", "x0": band.start_s, "x1": band.end_s, "fillcolor": colour, "opacity": 0.09,
                "line": {"width": 0}, "layer": "below",
            })  # fmt: skip
    for name, t_s in story.phases:
        if name in ("heal", "liveness") and (name == "heal" or "heal" not in dict(story.phases)):
            dashed = {"color": _TEXT, "width": 1, "dash": "dash"}
            for row in range(1, _ROWS + 1):
                figure.shade(row, {"type": "line", "x0": t_s, "x1": t_s, "line": dashed})
            figure.annotations.append(
                _words("healed", x=t_s, xref="x", y=1, yref="y domain", xanchor="left", yanchor="top"))
