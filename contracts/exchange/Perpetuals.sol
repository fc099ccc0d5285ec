// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {SignedMath} from "@openzeppelin/contracts/utils/math/SignedMath.sol";
import {BPS, FixedPoint, WAD} from "./FixedPoint.sol";
import {Params} from "./Params.sol";
import {PriceFeed} from "./PriceFeed.sol";

/// @notice The funding of one perpetual series.
struct Market {
    /// Underlying's name in the price feed.
    bytes32 asset;
    /// I: what one unit long has paid since listing, 1e18 quote per 1 underlying.
    int256 index;
    /// The feed's funded integral at the last accrual.
    uint256 integral;
    /// Σ |size|·premium of the window's trades, 1e36.
    int256 weighted;
    /// Σ |size| of the window's trades, 1e18 underlying.
    uint128 weight;
    /// Rate in force, 1e18 per period; positive: longs pay shorts. At most the cap either way, so 64 bits are plenty.
    int64 rate;
    /// Number of the premium window the trades are of.
    uint64 window;
}

/// @title Funding of perpetuals
/// @notice An index per market that accounts settle against lazily, before their size changes. The rate of an interval
/// is known before it begins, and an interval without observations counts for at most the feed's `fundingGap` active
/// seconds, so no premium from after an outage is ever applied to the outage.
contract Perpetuals {
    using SafeCast for int256;
    using SafeCast for uint256;

    error NotClearingHouse(address caller);
    /// @notice No perpetual has this series id.
    error NotPerpetual(uint256 id);
    error PeriodIsZero();
    /// @notice The cap would not fit the slot; bps.
    error CapTooLarge(uint256 capBps, uint256 max);

    /// @notice Values after the accrual: index 1e18 quote per 1 underlying, rate 1e18 per period, integral of the feed.
    event FundingAccrued(uint256 indexed seriesId, int256 index, int256 rate, uint256 integral);
    /// @notice What the account's cash changed by, 1e18 quote.
    event FundingSettled(address indexed account, uint256 indexed seriesId, int256 cashDelta);

    /// @notice Largest `fundingCapBps`: 900 % a period, the most that `rate` holds.
    uint256 public constant CAP_BPS_MAX = 90_000;

    address public immutable clearingHouse;
    PriceFeed public immutable feed;
    /// @notice Seconds a rate is per.
    uint64 public immutable fundingPeriod;
    /// @notice Seconds of trades that make a rate.
    uint64 public immutable premiumWindow;
    /// @notice Largest rate either way, 1e18 per period.
    int256 public immutable rateMax;
    /// @notice Rate at no premium, 1e18 per period.
    int256 public immutable interest;

    mapping(uint256 id => Market) private _markets;
    mapping(address account => mapping(uint256 id => int256)) private _entryIndex;
    /// @notice Minus the funding settled so far, 1e18 quote; ≥ 0, and moved to dust, when nobody holds the series.
    mapping(uint256 id => int256) public clearing;

    modifier onlyClearingHouse() {
        if (msg.sender != clearingHouse) revert NotClearingHouse(msg.sender);
        _;
    }

    constructor(Params memory params, address clearingHouse_, PriceFeed feed_) {
        if (params.fundingPeriod == 0 || params.premiumWindow == 0) revert PeriodIsZero();
        if (params.fundingCapBps > CAP_BPS_MAX) revert CapTooLarge(params.fundingCapBps, CAP_BPS_MAX);
        clearingHouse = clearingHouse_;
        feed = feed_;
        fundingPeriod = params.fundingPeriod;
        premiumWindow = params.premiumWindow;
        rateMax = int256(params.fundingCapBps * WAD / BPS);
        interest = (params.fundingInterestBps * WAD / BPS).toInt256();
    }

    /// @notice Brings a market's funding up to now, and its rate up to date; anyone may.
    function accrue(uint256 id) external {
        Market memory market_ = _known(id);
        uint64 window = _window();
        uint256 integral = feed.fundedIntegral(market_.asset);
        if (integral == market_.integral && window <= market_.window) return;
        market_.index = _indexAt(market_, integral);
        market_.integral = integral;
        if (window > market_.window) {
            market_.rate = _rate(market_);
            (market_.weight, market_.weighted, market_.window) = (0, 0, window);
        }
        _markets[id] = market_;
        emit FundingAccrued(id, market_.index, market_.rate, integral);
    }

    /// @notice Opens a market; clearing house only, which does it once per series.
    function list(uint256 id, bytes32 asset) external onlyClearingHouse {
        Market storage market_ = _markets[id];
        market_.asset = asset;
        market_.integral = feed.fundedIntegral(asset);
        market_.window = _window();
    }

    /// @notice Settles an account against the index as last accrued; clearing house only, which pays it.
    /// @param size the account's position before it changes, 1e18 underlying
    /// @return cashDelta ⌊−size·(I − Iᵤ)⌋, 1e18 quote
    function settle(address account, uint256 id, int256 size) external onlyClearingHouse returns (int256 cashDelta) {
        int256 index = _markets[id].index;
        int256 entry = _entryIndex[account][id];
        if (index == entry) return 0;
        _entryIndex[account][id] = index;
        if (size == 0) return 0;
        cashDelta = _payment(size, index - entry);
        clearing[id] -= cashDelta;
        emit FundingSettled(account, id, cashDelta);
    }

    /// @notice Adds a trade to the premium of its window; clearing house only, after an accrual.
    /// @param size 1e18 underlying, of either side
    /// @param price 1e18 quote per 1 underlying
    /// @param indexPrice the fresh price of the underlying, > 0
    function recordTrade(uint256 id, int256 size, int256 price, int256 indexPrice) external onlyClearingHouse {
        Market storage market_ = _markets[id];
        uint256 weight = SignedMath.abs(size);
        int256 premium = FixedPoint.mulDivFloor(price - indexPrice, int256(WAD), uint256(indexPrice));
        market_.weight = (market_.weight + weight).toUint128();
        market_.weighted += weight.toInt256() * premium;
    }

    /// @notice Hands over what rounding left once nobody holds the series; clearing house only, which books it.
    function takeClearing(uint256 id) external onlyClearingHouse returns (int256 left) {
        left = clearing[id];
        if (left != 0) clearing[id] = 0;
    }

    /// @notice One market as stored; zeros when there is none.
    function market(uint256 id) external view returns (Market memory) {
        return _markets[id];
    }

    /// @notice Iᵤ, the index an account was last settled at.
    function entryIndex(address account, uint256 id) external view returns (int256) {
        return _entryIndex[account][id];
    }

    /// @notice What settling now would add to the account's cash, accrual included; 1e18 quote.
    /// @param size the account's position, 1e18 underlying
    function pending(address account, uint256 id, int256 size) external view returns (int256) {
        Market memory market_ = _known(id);
        int256 index = _indexAt(market_, feed.fundedIntegral(market_.asset));
        return _payment(size, index - _entryIndex[account][id]);
    }

    function _payment(int256 size, int256 growth) internal pure returns (int256) {
        return FixedPoint.mulDivFloor(-size, growth, WAD);
    }

    /// @dev Floored: the sum over accounts is floored again, so neither side gains by it.
    function _indexAt(Market memory market_, uint256 integral) internal view returns (int256) {
        int256 growth = (integral - market_.integral).toInt256();
        return market_.index + FixedPoint.mulDivFloor(market_.rate, growth, uint256(fundingPeriod) * WAD);
    }

    /// @dev The size-weighted premium of the window's trades, floored, plus interest, clamped.
    function _rate(Market memory market_) internal view returns (int64) {
        int256 premium = market_.weight == 0 ? int256(0) : FixedPoint.divFloor(market_.weighted, market_.weight);
        return int64(SignedMath.max(SignedMath.min(premium + interest, rateMax), -rateMax));
    }

    function _window() internal view returns (uint64) {
        return uint64(block.timestamp) / premiumWindow;
    }

    function _known(uint256 id) internal view returns (Market memory market_) {
        market_ = _markets[id];
        if (market_.asset == 0) revert NotPerpetual(id);
    }
}
