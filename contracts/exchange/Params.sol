// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @notice The venue's parameters at construction; each contract keeps what it needs as immutables. Only the margin factors
/// can change, by the timelock.
/// @dev Equal field by field to the model's. Ratios are in 1/10 000, times in seconds.
struct Params {
    /// Initial margin of a future, of its notional.
    uint256 imBps;
    /// Maintenance margin of a future, of its notional.
    uint256 mmBps;
    /// Liquidation penalty, of the closed notional.
    uint256 penaltyBps;
    /// The keeper's part of the penalty; the insurance fund gets the rest.
    uint256 keeperShareBps;
    /// Taker fee, of the traded notional at index.
    uint256 takerFeeBps;
    /// How far a future's trade price may lie from the index, of the index.
    uint256 bandBps;
    /// Initial margin of a short option before its out-of-the-money relief, of the index.
    uint256 optionImBps;
    /// Least initial margin of a short option on top of intrinsic value, of the index.
    uint256 optionMinImBps;
    /// Maintenance margin of a short option on top of intrinsic value, of the index.
    uint256 optionMmBps;
    /// Signatures of distinct reporters an oracle round needs.
    uint256 minSources;
    /// Oldest price that may be used.
    uint64 maxPriceAge;
    /// After a restart of the sequencer, how long nobody is liquidated.
    uint64 grace;
    /// Gap between two L2 blocks above which the sequencer counts as restarted.
    uint64 uptimeGap;
    /// Window of the settlement TWAP.
    uint64 settlementWindow;
    /// What a perpetual's rate is per.
    uint64 fundingPeriod;
    /// Window whose trades' premium becomes the next rate.
    uint64 premiumWindow;
    /// Active seconds after an observation for which funding goes on without another.
    uint64 fundingGap;
    /// Largest rate either way, per period.
    uint256 fundingCapBps;
    /// Rate at no premium, per period.
    uint256 fundingInterestBps;
    /// What a partial liquidation rounds sizes up to, 1e18 underlying.
    uint256 lot;
    /// Notional up to which a liquidation takes everything, in whole quote.
    uint256 smallNotional;
    /// Active seconds in which an auction's bonus grows to its most.
    uint64 auctionDuration;
    /// The most a bidder gets, of the notional.
    uint256 auctionMaxBps;
    /// The most the insurance pays in one block, of what it holds.
    uint256 insuranceCapBps;
    /// Seconds of a row of the table that bounds a naked option's value.
    uint64 nakedStep;
    /// How far a source's price may lie from the round's median before it is clamped, of the median.
    uint256 clampBps;
    /// The largest change of an index that halts nothing, of the index before.
    uint256 breakerBps;
    /// How long a market halts.
    uint64 haltDuration;
    /// Age of a price from which on a second of a settlement window is a gap.
    uint64 settlementMaxGap;
    /// Least part of a settlement window with a price of at most `maxPriceAge`.
    uint256 coverageBps;
    /// After expiry, how long an observation is waited for before the series is disputed.
    uint64 disputePatience;
    /// How long a dispute lasts before the owner may decide it.
    uint64 overrideDelay;
    /// How long a dispute lasts before the carried price decides it.
    uint64 disputeWindow;
    /// How long what governance announces waits before it can be done.
    uint64 timelockDelay;
}
