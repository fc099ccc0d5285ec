"""A board of options from a recorded chain: the strikes next to the money of a file's expiries, as products.

The file has a row for each option, with the columns of Deribit's instruments: `instrument_name`, `expiry_utc_iso`,
`strike`, `option_type` (C or P) and `underlying_price_usd`. Its expiries, earliest first, expire in the run when the
board says.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from harness.plan import Product
from harness.scenario import schema
from harness.scenario.csv_file import csv_text
from harness.scenario.errors import did_you_mean
from harness.scenario.loading import Document, Location
from harness.scenario.units import NS_PER_SECOND, price_wad

ROWS_MAX = 20_000
COLUMNS = ("instrument_name", "expiry_utc_iso", "strike", "option_type", "underlying_price_usd")
WHERE: Location = ("board", "csv")


@dataclass(frozen=True, slots=True)
class Row:
    name: str
    expiry: str
    strike: Decimal
    kind: str
    underlying: Decimal


def board_products(document: Document, scenario: schema.Scenario) -> tuple[Product, ...]:
    """Calls and puts of the board, expiry by expiry and strike by strike. Raises ScenarioError."""
    board = scenario.board
    if board is None:
        return ()
    if board.underlying not in scenario.market:
        hint = did_you_mean(board.underlying, scenario.market) or f"; there is {', '.join(scenario.market)}"
        raise document.error(("board", "underlying"), f'no market "{board.underlying}"{hint}')
    rows = _rows(document, board.csv)
    both: dict[tuple[str, Decimal], dict[str, Row]] = {}
    for row in rows:
        both.setdefault((row.expiry, row.strike), {})[row.kind] = row
    pairs = {key: found for key, found in both.items() if len(found) == 2}
    dates = sorted({expiry for expiry, _ in pairs})[board.skip:]
    if len(dates) < len(board.expires):
        what = f"has {len(dates)} expiries with calls and puts after the first {board.skip}; expires names"
        raise document.error(("board", "expires"), f"{board.csv} {what} {len(board.expires)}")
    products = []
    for date, expires_ns in zip(dates, board.expires, strict=False):
        strikes = [strike for expiry, strike in pairs if expiry == date]
        money = pairs[date, strikes[0]]["C"].underlying
        nearest = sorted(sorted(strikes, key=lambda strike: (abs(strike - money), strike))[:board.strikes])
        for strike in nearest:
            for letter, kind in (("C", "call"), ("P", "put")):
                row = pairs[date, strike][letter]
                products.append(Product(
                    row.name[:32], "call" if kind == "call" else "put", board.underlying, price_wad(str(strike)),
                    expires_ns // NS_PER_SECOND,
                ))  # fmt: skip
    return tuple(products)


def _rows(document: Document, named: str) -> list[Row]:
    reader = csv.DictReader(csv_text(document, WHERE, document.folder / named, named), strict=True)
    found: list[Row] = []
    try:
        missing = [column for column in COLUMNS if column not in (reader.fieldnames or ())]
        if missing:
            raise document.error(WHERE, f"{named} has no column {', '.join(missing)}; a chain of options has them all")
        for row in reader:
            here = f"{named}:{reader.line_num}"
            if len(found) >= ROWS_MAX:
                raise document.error(WHERE, f"{here}: more than {ROWS_MAX} rows")
            kind = row["option_type"]
            if kind not in ("C", "P"):
                raise document.error(WHERE, f"{here}: option_type is {str(kind)[:20]!r}, not C or P")
            found.append(Row(
                row["instrument_name"], row["expiry_utc_iso"], _positive(document, here, row, "strike"), kind,
                _positive(document, here, row, "underlying_price_usd"),
            ))  # fmt: skip
    except csv.Error as error:
        raise document.error(WHERE, f"{named}:{reader.line_num}: {error}") from None
    return found


def _positive(document: Document, here: str, row: dict[str, str], column: str) -> Decimal:
    try:
        value = Decimal(row[column])
    except (InvalidOperation, TypeError):
        value = Decimal(-1)
    if not value.is_finite() or value <= 0:
        raise document.error(WHERE, f"{here}: {column} is {str(row[column])[:40]!r}, not a price")
    return value
