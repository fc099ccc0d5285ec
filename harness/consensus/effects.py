"""What the state machine asks its driver to do; carried out strictly in the order of the list."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from harness.consensus.messages import Certificate, Message, Proposal, SignedVote
from harness.rollup.blocks import Hash


class TimerKind(StrEnum):
    PROPOSAL = "proposal"          # no proposal in time → nullify
    NOTARIZATION = "notarization"  # no notarization in time → nullify
    RESEND = "resend"              # say again what may have been lost


@dataclass(frozen=True, slots=True)
class EnterView:
    """A new view began; timers of earlier views may be cancelled (a stale one is ignored anyway)."""

    view: int
    leader: str


@dataclass(frozen=True, slots=True)
class BuildBlock:
    """I lead `view`: build on this parent, not before `not_before_ns`, then call `on_block_built`."""

    view: int
    parent_hash: Hash
    height: int
    not_before_ns: int


@dataclass(frozen=True, slots=True)
class ExecuteBlock:
    """Execute `proposal.payload` on `proposal.parent_hash`, then call `on_executed`.

    `certified`: q validators vouch for the block, so only its hash is checked; whether I would have voted for it
    (origin, timestamp) no longer matters.
    """

    proposal: Proposal
    certified: bool


@dataclass(frozen=True, slots=True)
class PersistCertificate:
    """Put the certificate into the store; the flush of the next `PersistVote` makes it durable in time."""

    certificate: Certificate


@dataclass(frozen=True, slots=True)
class PersistVote:
    """Put the vote and flush: what follows in the list must not happen before it is durable."""

    vote: SignedVote


@dataclass(frozen=True, slots=True)
class Broadcast:
    """Send to every other validator; loss is expected and repaired."""

    message: Message


@dataclass(frozen=True, slots=True)
class SetTimer:
    view: int
    kind: TimerKind
    after_ns: int


@dataclass(frozen=True, slots=True)
class RequestBlocks:
    """Blocks are missing: fetch heights `from_height`..`tip_height` ending in `tip_hash`, execute, report each."""

    from_height: int
    tip_height: int
    tip_hash: Hash
    peers: tuple[str, ...]  # validators that vouched for the tip, the next to try first


@dataclass(frozen=True, slots=True)
class RequestCertificates:
    """Ask every peer for its certificates of these views (`Simplex.certificates_for`)."""

    views: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Notarized:
    """The unsafe head is now this block; it and its ancestors are executed. Views only grow."""

    block_hash: Hash
    height: int
    view: int
    certificate: Certificate


@dataclass(frozen=True, slots=True)
class Finalized:
    """The committed head is now this block; one effect per height, without gaps.

    `certificate` finalizes this block or, where its height is greater, a descendant.
    """

    block_hash: Hash
    height: int
    view: int  # the certificate's
    certificate: Certificate


@dataclass(frozen=True, slots=True)
class Equivocation:
    """Two votes of one validator in one view that no honest validator signs both; slashable evidence."""

    first: SignedVote
    second: SignedVote

    @property
    def voter(self) -> str:
        return self.first.voter


Effect = (
    EnterView | BuildBlock | ExecuteBlock | PersistCertificate | PersistVote | Broadcast | SetTimer | RequestBlocks
    | RequestCertificates | Notarized | Finalized | Equivocation
)
