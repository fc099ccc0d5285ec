"""What the state machine asks its driver to do; carried out strictly in the order of the list.

Driving a `Simplex`. Call one method at a time with `now` in monotonic nanoseconds, then carry out the returned
effects **in order, before the next call's effects**. Long ones (build, execute, fetch) are only started; their result
comes back through the method named below. If an effect fails (the store is full), stop the node: do not carry out the
rest.

- `PersistCertificate(certificate)`: put a row (key: kind, view); no flush needed.
- `PersistVote(vote)`: put a row (key: view, kind) and flush everything put so far.
- `Broadcast(message)`: send `to_json(message)` to every other validator (and replica), unreliably; the receiver parses
  it with `from_json` and calls `on_message`.
- `EnterView(view, leader)`: older timers and an older build may be cancelled.
- `SetTimer(view, kind, after_ns)`: call `on_timeout(view, kind)` after that long; a stale one is harmless.
- `BuildBlock(view, parent_hash, height, not_before_ns)`: wait until then, build and execute a block, call
  `on_block_built`; if that is impossible, `on_build_refused`, which gives the view up without waiting for timeouts.
- `ExecuteBlock(proposal, certified)`: execute the payload on the parent (it is executed), compare the hash, and unless
  `certified` judge origin and timestamp; call `on_executed`. Where an origin is not known yet, say so in `refusal` at
  once and call again with `refusal=None` when it is: the block can already be built on.
  The journal row of a block is put before `on_block_built` or `on_executed`, so the vote's flush covers it.
- `RequestBlocks(from_height, tip_height, tip_hash, peers)`: fetch the chain from a peer, the first named first, execute
  it upward and call `on_block_executed` for each block. A newer request replaces an older one. Work in pages and after
  each hand the page's finalization to `on_certificate`, so that memory stays bounded.
- `RequestCertificates(views)`: ask the peers; a peer answers `certificates_for(views)`; each goes to `on_certificate`.
- `Notarized(...)`: move the unsafe head; the block is executed.
- `Finalized(...)`: move the committed head, one height at a time. It need not be flushed: a restarted validator learns
  it again (flush before telling someone who must never hear less). After the next flush, certificate rows of views
  below the certificate's, and all vote rows below it but the newest, may be deleted.
- `Equivocation(first, second)`: keep the evidence.

Restart. Construct with the finalized head of the journal, every vote and certificate row, and `floor_view` = 1 + the
highest view any of q peers saw signed by me (`highest_view_signed_by`; 0 if none). Then `start`, then
`on_block_executed` for each journal block above the finalized head, parents first. If the peers saw a later view than
the rows hold, rows were lost and nothing is voted below the floor. A validator whose name is not in `validators`
(a replica) follows with the same code and never votes.
"""

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
