// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {ClearingHouse} from "./ClearingHouse.sol";
import {BPS, FixedPoint} from "./FixedPoint.sol";
import {Sums} from "./Observations.sol";
import {Params} from "./Params.sol";
import {PriceFeed} from "./PriceFeed.sol";
import {NotExpired, Series} from "./Series.sol";

/// @dev What one window of observations says.
struct Window {
    /// Floored mean of the price over it, 1e18 quote.
    int256 price;
    /// Its seconds with a price of at most `maxPriceAge`.
    uint64 covered;
    /// Its seconds with a price older than `settlementMaxGap`.
    uint64 beyond;
}

/// @title The settlement price of a series, once, and what happens when the observations do not carry one
/// @notice A window with a gap is disputed instead of settled by whatever was seen last. The next sound window decides,
/// or the owner within a bounded time, or in the end the price carried over the gap, so that nobody is stranded.
abstract contract Disputes is Ownable {
    error AlreadyFinal(uint256 id);
    /// @notice The newest observation is before the expiry; seconds.
    error PriceNotObserved(bytes32 asset, uint64 lastTimestamp, uint64 expiry);
    error SeriesInDispute(uint256 id, uint64 since);
    error NotDisputed(uint256 id);
    /// @notice No window after the dispute is sound yet; from `until` on the carried price decides.
    error StillDisputed(uint256 id, uint64 until);
    error OverrideTooEarly(uint256 id, uint64 notBefore);
    error DisputeWindowOver(uint256 id, uint64 end);

    /// @notice `price` is S_T, 1e18 quote per 1 underlying.
    event SeriesFinalized(uint256 indexed seriesId, int256 price);
    /// @notice Seconds of the window with a usable price, and with one too old for settlement.
    event SeriesDisputed(uint256 indexed seriesId, uint64 covered, uint64 beyond);
    /// @notice `route` is 1 next quorum, 2 governance, 3 carried.
    event DisputeResolved(uint256 indexed seriesId, uint8 route, int256 price);
    /// @notice The one privileged price there is.
    event PriceOverridden(uint256 indexed seriesId, int256 price, address by);

    uint8 internal constant NEXT_QUORUM = 1;
    uint8 internal constant GOVERNANCE = 2;
    uint8 internal constant CARRIED = 3;

    ClearingHouse public immutable clearingHouse;
    PriceFeed public immutable feed;
    /// @notice Seconds the settlement price averages over.
    uint64 public immutable settlementWindow;
    /// @notice Least part of the window that must be covered.
    uint256 public immutable coverageBps;
    /// @notice Seconds after expiry for which an observation is waited for.
    uint64 public immutable disputePatience;
    /// @notice Seconds of a dispute before the owner may decide it.
    uint64 public immutable overrideDelay;
    /// @notice Seconds of a dispute after which the owner may not decide it any more.
    uint64 public immutable disputeWindow;

    /// @notice When a series became disputed; 0 when it never was.
    mapping(uint256 id => uint64) public disputedAt;

    constructor(Params memory params, address owner_, ClearingHouse clearingHouse_, PriceFeed feed_) Ownable(owner_) {
        clearingHouse = clearingHouse_;
        feed = feed_;
        settlementWindow = params.settlementWindow;
        coverageBps = params.coverageBps;
        disputePatience = params.disputePatience;
        overrideDelay = params.overrideDelay;
        disputeWindow = params.disputeWindow;
    }

    /// @notice Fixes an expired series' settlement price by the window before its expiry, or opens a dispute.
    function finalize(uint256 seriesId) external {
        Series memory series = clearingHouse.series(seriesId);
        if (series.isFinal) revert AlreadyFinal(seriesId);
        if (disputedAt[seriesId] != 0) revert SeriesInDispute(seriesId, disputedAt[seriesId]);
        uint64 expiry = series.expiry;
        if (block.timestamp < expiry) revert NotExpired(seriesId, expiry);
        (uint64 first, uint64 last) = feed.observed(series.asset);
        if (last < expiry && block.timestamp < expiry + disputePatience) {
            revert PriceNotObserved(series.asset, last, expiry);
        }
        Window memory window;
        if (last != 0 && first < expiry) window = _window(series.asset, _start(expiry, first), expiry);
        if (last >= expiry && first < expiry && _isSound(window)) return _fix(seriesId, window.price);

        disputedAt[seriesId] = uint64(block.timestamp);
        feed.keepWindowAfter(series.asset, uint64(block.timestamp));
        emit SeriesDisputed(seriesId, window.covered, window.beyond);
    }

    /// @notice Ends a dispute by the first sound window that began after it, or, once the owner's time is over, by the
    /// price carried over the gap; anyone may ask for it.
    function resolve(uint256 seriesId) external {
        (Series memory series, uint64 since) = _disputed(seriesId);
        uint64 begin = feed.nextAfter(series.asset, since);
        (uint64 first, uint64 last) = feed.observed(series.asset);
        if (begin != 0 && last >= begin + settlementWindow) {
            Window memory window = _window(series.asset, begin, begin + settlementWindow);
            if (_isSound(window)) return _end(seriesId, NEXT_QUORUM, window.price);
        }
        if (block.timestamp < since + disputeWindow) revert StillDisputed(seriesId, since + disputeWindow);
        _end(seriesId, CARRIED, _carriedPrice(series, first));
    }

    /// @notice Ends a dispute by decision of the owner, after the delay and within the dispute's window only.
    /// @param price S_T, 1e18 quote per 1 underlying, strictly within the asset's bounds
    function overridePrice(uint256 seriesId, int256 price) external onlyOwner {
        (Series memory series, uint64 since) = _disputed(seriesId);
        if (block.timestamp < since + overrideDelay) revert OverrideTooEarly(seriesId, since + overrideDelay);
        if (block.timestamp >= since + disputeWindow) revert DisputeWindowOver(seriesId, since + disputeWindow);
        feed.requireWithinBounds(series.asset, price);
        emit PriceOverridden(seriesId, price, msg.sender);
        _end(seriesId, GOVERNANCE, price);
    }

    function _end(uint256 seriesId, uint8 route, int256 price) internal {
        emit DisputeResolved(seriesId, route, price);
        _fix(seriesId, price);
    }

    function _fix(uint256 seriesId, int256 price) internal {
        clearingHouse.recordFinal(seriesId, price);
        emit SeriesFinalized(seriesId, price);
    }

    function _disputed(uint256 seriesId) internal view returns (Series memory series, uint64 since) {
        series = clearingHouse.series(seriesId);
        since = disputedAt[seriesId];
        if (since == 0 || series.isFinal) revert NotDisputed(seriesId);
    }

    /// @dev TWAP of the window before expiry with the newest price carried on, whatever its gaps; the first
    /// observation's price when that came after it.
    function _carriedPrice(Series memory series, uint64 first) internal view returns (int256) {
        if (first >= series.expiry) return feed.firstPrice(series.asset);
        return _window(series.asset, _start(series.expiry, first), series.expiry).price;
    }

    /// @dev The window begins later when the asset's first observation does.
    function _start(uint64 expiry, uint64 first) internal view returns (uint64 start) {
        start = expiry > settlementWindow ? expiry - settlementWindow : 0;
        if (start < first) start = first;
    }

    /// @param end later than `start`
    function _window(bytes32 asset, uint64 start, uint64 end) internal view returns (Window memory) {
        Sums memory before = feed.sumsAt(asset, start);
        Sums memory after_ = feed.sumsAt(asset, end);
        return Window(
            FixedPoint.divFloor(after_.cumulative - before.cumulative, end - start),
            after_.covered - before.covered,
            after_.beyond - before.beyond
        );
    }

    /// @dev The whole window counts, also where it began later: a young asset is not covered before it was observed.
    function _isSound(Window memory window) internal view returns (bool) {
        return window.covered * BPS >= coverageBps * settlementWindow && window.beyond == 0;
    }
}
