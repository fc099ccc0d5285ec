"""What a perpetual's market keeps between two accruals."""

from __future__ import annotations

from dataclasses import dataclass, field, replace


@dataclass(slots=True)
class Perpetual:
    """A perpetual's market. I is what one unit long has paid since listing; a positive rate: longs pay shorts."""

    index: int = 0               # I
    rate: int = 0                # r, 1e18 per funding period
    integral: int = 0            # the asset's funded integral at the last accrual
    window: int = 0              # number of the premium window whose trades are weighed below
    weight: int = 0              # Σ |size|
    weighted: int = 0            # Σ |size|·premium
    path: list[int] = field(default_factory=list)  # I after each accrual; kept to compare, the chain need not
    accrued_at: int = 0          # block time and funding clock of the last accrual; the chain need not keep them
    accrued_active: int = 0

    def copy(self) -> Perpetual:
        return replace(self, path=list(self.path))
