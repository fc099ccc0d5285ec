"""The toxics of Toxiproxy 2 and ours beside them, as data: what may be asked for, and how it is written in JSON.

| type | attributes | does to the bytes of one direction |
|---|---|---|
| `latency` | `latency`, `jitter` (ms) | every chunk comes later, none overtakes another |
| `bandwidth` | `rate` (kB/s; 0 stops all) | no faster than that |
| `slow_close` | `delay` (ms) | the close comes later |
| `timeout` | `timeout` (ms; 0: never) | nothing passes; closes after so long without data, and when it is removed |
| `reset_peer` | `timeout` (ms) | the first data resets both ends, so long after it came |
| `slicer` | `average_size`, `size_variation` (bytes), `delay` (µs) | chunks are cut in pieces |
| `limit_data` | `bytes` | closes when so many bytes have passed |
| `loss` | `probability` | whole messages vanish |
| `cut` | | every message vanishes, and nobody is told |
| `flapping` | `up`, `down` (ms) | passes for `up`, is cut for `down`, and so on |

The last three are ours. They lose HTTP messages as wholes; a stream without messages passes a `loss` untouched, and
is reset after a `cut` in which it lost bytes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

ATTRIBUTES: Mapping[str, tuple[str, ...]] = {
    "latency": ("latency", "jitter"),
    "bandwidth": ("rate",),
    "slow_close": ("delay",),
    "timeout": ("timeout",),
    "reset_peer": ("timeout",),
    "slicer": ("average_size", "size_variation", "delay"),
    "limit_data": ("bytes",),
    "loss": ("probability",),
    "cut": (),
    "flapping": ("up", "down"),
}
FRACTIONS = frozenset({"probability"})
STREAMS = ("upstream", "downstream")
INTEGER_MAX = 2**63 - 1
NAME_CHARS_MAX = 200
TOXICS_PER_PROXY_MAX = 64


class ToxicError(Exception):
    """A request about a toxic that cannot be met; `status` is the HTTP status Toxiproxy answers."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


def bad_body(detail: str) -> ToxicError:
    return ToxicError(f"bad request body: {detail}", 400)


@dataclass(frozen=True, slots=True)
class Toxic:
    """One toxic of one proxy. `attributes` has exactly the names its type has, 0 where none was given."""

    name: str
    type: str
    stream: str          # upstream: what the caller sends; downstream: what comes back to it
    toxicity: float      # share of connections that feel it
    attributes: Mapping[str, int | float]

    def __getitem__(self, attribute: str) -> int | float:
        return self.attributes[attribute]

    def to_json(self) -> dict[str, Any]:
        return {
            "attributes": dict(self.attributes), "name": self.name, "type": self.type, "stream": self.stream,
            "toxicity": self.toxicity,
        }  # fmt: skip


def new_toxic(value: Any) -> Toxic:
    """The toxic a client describes. Raises `ToxicError` with Toxiproxy's words and status."""
    body = _object(value)
    kind, stream = _text(body, "type", ""), _text(body, "stream", "downstream")
    if stream.lower() not in STREAMS:
        raise ToxicError("stream was invalid, can be either upstream or downstream", 400)
    name = _text(body, "name", "") or f"{kind}_{stream}"
    if kind not in ATTRIBUTES:
        raise ToxicError("invalid toxic type", 400)
    toxic = Toxic(name, kind, stream.lower(), _toxicity(body, 1.0), dict.fromkeys(ATTRIBUTES[kind], 0))
    return _with_attributes(toxic, body)


def changed_toxic(toxic: Toxic, value: Any) -> Toxic:
    """The toxic with the toxicity and the attributes a client gives; what it leaves out stays. Raises `ToxicError`."""
    body = _object(value)
    return _with_attributes(replace(toxic, toxicity=_toxicity(body, toxic.toxicity)), body)


def _with_attributes(toxic: Toxic, body: Mapping[str, Any]) -> Toxic:
    given = body.get("attributes")
    if given is None:
        return toxic
    if not isinstance(given, dict):
        raise bad_body(f"attributes must be an object, not {type(given).__name__}")
    attributes = dict(toxic.attributes)
    for name in attributes:  # others are passed over, as Toxiproxy does
        if given.get(name) is not None:
            attributes[name] = _number(name, given[name])
    return replace(toxic, attributes=attributes)


def _number(name: str, value: Any) -> int | float:
    if name in FRACTIONS:
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise bad_body(f"attribute {name} must be a number from 0 to 1, not {str(value)[:60]}")
        return float(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # JavaScript knows no integers
    if type(value) is not int or not 0 <= value <= INTEGER_MAX:
        raise bad_body(f"attribute {name} must be a whole number from 0 on, not {str(value)[:60]}")
    return value


def _object(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise bad_body(f"expected an object, not {type(value).__name__}")
    return value


def _text(body: Mapping[str, Any], key: str, default: str) -> str:
    value = body.get(key)
    if value is None:
        return default
    if not isinstance(value, str) or len(value) > NAME_CHARS_MAX:
        raise bad_body(f"{key} must be a string of at most {NAME_CHARS_MAX} characters, not {str(value)[:60]}")
    return value


def _toxicity(body: Mapping[str, Any], default: float) -> float:
    value = body.get("toxicity")
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise bad_body(f"toxicity must be a number, not {str(value)[:60]}")
    return float(value)
