"""Encodes calls and decodes results, events and custom errors by ABI, on eth_abi alone (web3 is too big for a role)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from eth_abi import encode  # type: ignore[attr-defined]  # re-exported without __all__
from eth_abi.exceptions import DecodingError, EncodingError

from harness.evm.keccak import keccak
from harness.evm.words import decoder

AbiEntry = dict[str, Any]
"""One element of a contract's JSON ABI."""

_PANICS: Final = {
    0x01: "assertion failed", 0x11: "arithmetic overflow", 0x12: "division by zero", 0x21: "unknown enum value",
    0x32: "index out of bounds", 0x41: "out of memory", 0x51: "call to an uninitialised function",
}
_ERROR_TEXT_MAX: Final = 400


@dataclass(frozen=True, slots=True)
class Function:
    """One callable item."""

    name: str
    selector: bytes
    inputs: tuple[str, ...]     # canonical ABI types
    outputs: tuple[str, ...]

    @property
    def signature(self) -> str:
        return f"{self.name}({','.join(self.inputs)})"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One argument of an event or of an error."""

    name: str
    type: str
    indexed: bool


@dataclass(frozen=True, slots=True)
class EventType:
    name: str
    topic: bytes
    parameters: tuple[Parameter, ...]


@dataclass(frozen=True, slots=True)
class ErrorType:
    name: str
    selector: bytes
    parameters: tuple[Parameter, ...]


class Interface:
    """The codec of one contract; made once, then only looks up."""

    def __init__(self, abi: Iterable[AbiEntry]) -> None:
        self.functions: dict[str, Function] = {}
        self.events: dict[bytes, EventType] = {}
        self.errors: dict[bytes, ErrorType] = {}
        named: dict[str, list[Function]] = {}
        for entry in abi:
            kind = entry["type"]
            if kind == "function":
                named.setdefault(entry["name"], []).append(_function(entry))
            elif kind == "event":
                event = EventType(entry["name"], keccak(_signature(entry)), _parameters(entry))
                self.events[event.topic] = event
            elif kind == "error":
                error = ErrorType(entry["name"], keccak(_signature(entry))[:4], _parameters(entry))
                self.errors[error.selector] = error
        for name, variants in named.items():
            for function in variants:
                # An overloaded function is looked up by its signature, any other by its name.
                self.functions[name if len(variants) == 1 else function.signature] = function

    def encode_call(self, name: str, *arguments: Any) -> bytes:
        """Calldata of a call.

        Raises:
            ValueError: no such function, or the arguments do not fit its types.
        """
        function = self.function(name)
        try:
            return function.selector + encode(function.inputs, arguments)
        except (EncodingError, TypeError) as error:
            wanted = f"{name}({', '.join(function.inputs)})"
            raise ValueError(f"arguments {arguments!r} do not fit {wanted}: {error}") from error

    def decode_call(self, data: bytes) -> tuple[str, tuple[Any, ...]] | None:
        """Name and arguments of calldata, or None when it is no call of this contract."""
        for function in self.functions.values():
            if data[:4] == function.selector:
                try:
                    return function.name, decoder(function.inputs)(data[4:])
                except (DecodingError, OverflowError):
                    return None
        return None

    def decode_result(self, name: str, data: bytes) -> tuple[Any, ...]:
        """What a call returned. Addresses are lower-case 0x-hex, structs and arrays tuples.

        Raises:
            ValueError: the data is not such a result; an empty one usually means that there is no contract.
        """
        function = self.function(name)
        try:
            return decoder(function.outputs)(data)
        except (DecodingError, OverflowError) as error:
            said = f"{len(data)} bytes are not a result of {name}: {error}; is the contract there?"
            raise ValueError(said) from error

    def decode_event(self, topics: Sequence[str], data: bytes) -> tuple[str, dict[str, Any]] | None:
        """Name and arguments of a log, or None when this contract has no such event.

        Indexed arguments of dynamic types come back as their 32-byte hash.
        """
        if not topics:
            return None
        event = self.events.get(bytes.fromhex(topics[0][2:]))
        if event is None:
            return None
        plain = tuple(item.type for item in event.parameters if not item.indexed)
        try:
            values = iter(decoder(plain)(data))
            indexed = iter(topics[1:])
            arguments = {
                item.name: _topic(item.type, next(indexed)) if item.indexed else next(values)
                for item in event.parameters
            }
        except (DecodingError, OverflowError, StopIteration, ValueError):
            return None
        return event.name, arguments

    def function(self, name: str) -> Function:
        """The function of a name, or of a signature such as `mint(address,uint256)`.

        Raises:
            ValueError: there is none, or several of that name.
        """
        function = self.functions.get(name)
        if function is None and "(" in name:
            function = next((item for item in self.functions.values() if item.signature == name), None)
        if function is None:
            overloads = [key for key in self.functions if key.startswith(f"{name}(")]
            if overloads:
                raise ValueError(f"{name} is overloaded; name one of {', '.join(sorted(overloads))}")
            raise ValueError(f"no function {name!r}; there are {', '.join(sorted(self.functions)) or 'none'}")
        return function


def decode_error(data: bytes, errors: dict[bytes, ErrorType]) -> str:
    """Revert data as `Name(argument=value,…)`; unknown data as its hex. Never raises: it describes a failure.

    `asset` arguments show as text. Nothing but the name is parsed by anyone, so the form may grow.
    """
    if not data:
        return "reverted without data"
    selector, body = data[:4], data[4:]
    try:
        if selector == _STRING_ERROR:
            return f"Error({decoder(('string',))(body)[0]!r})"[:_ERROR_TEXT_MAX]
        if selector == _PANIC:
            code = decoder(("uint256",))(body)[0]
            return f"Panic({code:#04x}: {_PANICS.get(code, 'unknown code')})"
        known = errors.get(selector)
        if known is not None:
            values = decoder(tuple(item.type for item in known.parameters))(body)
            inside = ",".join(
                f"{item.name}={text_of(item.type, item.name, value)}"
                for item, value in zip(known.parameters, values, strict=True)
            )
            return f"{known.name}({inside})"[:_ERROR_TEXT_MAX]
    except (DecodingError, OverflowError, ValueError):
        pass  # damaged arguments: show the bytes
    return f"unknown revert 0x{data.hex()}"[:_ERROR_TEXT_MAX]


def text_of(type_: str, name: str, value: Any) -> Any:
    """A decoded value as histories and messages show it: `asset` by its ASCII name, other bytes as 0x-hex."""
    if isinstance(value, bytes):
        if type_ == "bytes32" and name == "asset":
            return asset_name(value)
        return "0x" + value.hex()
    return value


def asset_name(word: bytes) -> str:
    """The ASCII name in a bytes32, or its 0x-hex when it is no printable name."""
    stripped = word.rstrip(b"\x00")
    text = stripped.decode("ascii", errors="replace")
    return text if text.isascii() and text.isprintable() and text else "0x" + word.hex()


def asset_word(name: str) -> bytes:
    """The bytes32 of an asset's name; the reverse of `asset_name`.

    Raises:
        ValueError: the name is empty, not ASCII, or longer than 32 characters.
    """
    if not name or not name.isascii() or len(name) > 32:
        raise ValueError(f"asset name {name!r} is not 1 to 32 ASCII characters")
    return name.encode("ascii").ljust(32, b"\x00")


def _function(entry: AbiEntry) -> Function:
    return Function(
        name=entry["name"],
        selector=keccak(_signature(entry))[:4],
        inputs=tuple(canonical_type(item) for item in entry["inputs"]),
        outputs=tuple(canonical_type(item) for item in entry["outputs"]),
    )


def _parameters(entry: AbiEntry) -> tuple[Parameter, ...]:
    return tuple(Parameter(item["name"], canonical_type(item), item.get("indexed", False)) for item in entry["inputs"])


def _signature(entry: AbiEntry) -> bytes:
    return f"{entry['name']}({','.join(canonical_type(item) for item in entry['inputs'])})".encode()


def canonical_type(item: AbiEntry) -> str:
    """Canonical type: a struct becomes the tuple of its members."""
    type_: str = item["type"]
    if not type_.startswith("tuple"):
        return type_
    return f"({','.join(canonical_type(member) for member in item['components'])}){type_[len('tuple'):]}"


def _topic(type_: str, topic: str) -> Any:
    word = bytes.fromhex(topic[2:])
    if type_ in ("string", "bytes") or type_.endswith(("]", ")")):
        return word
    return decoder((type_,))(word)[0]


_STRING_ERROR: Final = keccak(b"Error(string)")[:4]
_PANIC: Final = keccak(b"Panic(uint256)")[:4]
