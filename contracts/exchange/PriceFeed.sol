// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {SignedMath} from "@openzeppelin/contracts/utils/math/SignedMath.sol";
import {BPS} from "./FixedPoint.sol";
import {IndexPrice} from "./IndexPrice.sol";
import {Observations, Sums} from "./Observations.sol";
import {Params} from "./Params.sol";
import {Pauses} from "./Pauses.sol";
import {NotTimelock} from "./Timelock.sol";

/// @notice What is fixed about an asset when it is listed.
struct AssetTerms {
    bytes32 name;
    /// Whether prices ≤ 0 are accepted (futures on oil went to −37.63).
    bool isSigned;
    /// An index at or below this is refused; 1e18 quote per 1 underlying.
    int256 minAnswer;
    /// An index at or above this is refused; 1e18 quote per 1 underlying.
    int256 maxAnswer;
}

/// @title Signed multi-reporter rounds and the index made of them
/// @notice Prices are int256, 1e18 quote per 1 underlying. Observations form a left-continuous step function, whose
/// integral A(t) = Σ price·dt counts from the asset's first observation.
contract PriceFeed is Ownable, Observations {
    using SafeCast for int256;
    using SafeCast for uint256;

    error AssetAlreadyListed(bytes32 asset);
    error BadBounds(bytes32 asset, int256 minAnswer, int256 maxAnswer);
    error LengthMismatch(uint256 prices, uint256 signatures);
    error TooFewSources(uint256 given, uint256 required);
    error UnknownReporter(address signer);
    error SignersNotAscending(address previous, address next);
    error NonPositivePrice(bytes32 asset, int256 price);
    error RoundNotNewer(bytes32 asset, uint64 round, uint64 last);
    error TimestampNotNewer(bytes32 asset, uint64 timestamp, uint64 last);
    error TimestampInFuture(uint64 timestamp, uint64 blockTimestamp);
    /// @notice The index must lie strictly between the bounds: a feed that clamps would answer the bound itself.
    error AnswerOutOfBounds(bytes32 asset, int256 price, int256 minAnswer, int256 maxAnswer);
    /// @notice The newest price is older than may be used; seconds.
    error StalePrice(bytes32 asset, uint64 age, uint64 maxAge);

    event AssetListed(bytes32 indexed asset, bool isSigned, int256 minAnswer, int256 maxAnswer);
    event ReporterChanged(address indexed reporter, bool isReporter);
    /// @notice `prices` as submitted, in the order of their signers.
    event RoundAccepted(
        bytes32 indexed asset,
        uint64 indexed round,
        uint64 timestamp,
        int256 price,
        uint256 sources,
        int256[] prices
    );
    /// @notice The index moved by more than the breaker allows; nobody opens before `until` (seconds).
    event MarketHalted(bytes32 indexed asset, int256 from, int256 to, uint64 until);

    /// @dev What funding accrues on; one slot.
    struct Funded {
        /// Funding clock at the last acceptance.
        uint64 activeAt;
        /// B: Σ |price|·seconds of that clock, a gap counted for at most `fundingGap` of them.
        uint192 integral;
    }

    /// @dev One slot.
    struct Bounds {
        int128 min;
        int128 max;
    }

    /// @notice Signatures of distinct reporters a round needs.
    uint256 public immutable minSources;
    /// @notice How far a price may lie from the round's median before it is clamped, of the median.
    uint256 public immutable clampBps;
    /// @notice The largest change from one index to the next that halts nothing, of the former.
    uint256 public immutable breakerBps;
    /// @notice How long a market halts, in seconds.
    uint64 public immutable haltDuration;
    /// @notice Where the funding clock runs.
    Pauses public immutable pauses;
    /// @notice Who appoints reporters: as many as a round needs could make a price of their own.
    address public immutable timelock;
    /// @notice Active seconds after an observation for which funding goes on without another.
    uint64 public immutable fundingGap;

    mapping(address signer => bool) public isReporter;
    /// @notice Nobody opens in a market of this asset before; seconds.
    mapping(bytes32 asset => uint64) public haltedUntil;
    mapping(bytes32 asset => Bounds) private _bounds;
    mapping(bytes32 asset => Funded) private _funded;

    /// @param params the venue's parameters
    /// @param owner_ who lists assets
    /// @param clearingHouse_ who may ask for instants to be kept
    /// @param settlement_ who may ask for windows to be kept
    /// @param pauses_ where the funding clock runs
    /// @param timelock_ who appoints reporters
    /// @param reporters the first reporter set
    /// @param assets the first assets
    constructor(
        Params memory params,
        address owner_,
        address clearingHouse_,
        address settlement_,
        Pauses pauses_,
        address timelock_,
        address[] memory reporters,
        AssetTerms[] memory assets
    ) Ownable(owner_) Observations(params, clearingHouse_, settlement_) {
        minSources = params.minSources;
        clampBps = params.clampBps;
        breakerBps = params.breakerBps;
        haltDuration = params.haltDuration;
        pauses = pauses_;
        timelock = timelock_;
        fundingGap = params.fundingGap;
        for (uint256 i; i < reporters.length; ++i) _setReporter(reporters[i], true);
        for (uint256 i; i < assets.length; ++i) _listAsset(assets[i]);
    }

    /// @notice Accepts a round: permissionless, since the signatures carry the authority; whoever needs a price brings it.
    /// @param asset name of the underlying
    /// @param round number above the last accepted one
    /// @param timestamp when it was observed, in seconds; above the last accepted one, not in the future
    /// @param prices one per signature, 1e18 quote per 1 underlying
    /// @param signatures of registered reporters, in strictly ascending order of their addresses
    function submit(
        bytes32 asset,
        uint64 round,
        uint64 timestamp,
        int256[] calldata prices,
        bytes[] calldata signatures
    ) external {
        Head memory head = _head(asset);
        if (prices.length != signatures.length) revert LengthMismatch(prices.length, signatures.length);
        if (prices.length < minSources) revert TooFewSources(prices.length, minSources);
        if (round <= head.round) revert RoundNotNewer(asset, round, head.round);
        if (timestamp <= head.timestamp) revert TimestampNotNewer(asset, timestamp, head.timestamp);
        if (timestamp > block.timestamp) revert TimestampInFuture(timestamp, uint64(block.timestamp));

        address previous;
        for (uint256 i; i < prices.length; ++i) {
                prices[i].toInt128(); // refuses what would not fit, before it is reckoned with
            if (prices[i] <= 0 && !head.isSigned) revert NonPositivePrice(asset, prices[i]);
            bytes32 inner =
                keccak256(abi.encode(block.chainid, address(this), asset, round, timestamp, prices[i]));
            address signer = ECDSA.recover(MessageHashUtils.toEthSignedMessageHash(inner), signatures[i]);
            if (!isReporter[signer]) revert UnknownReporter(signer);
            if (signer <= previous) revert SignersNotAscending(previous, signer);
            previous = signer;
        }

        int256 price = IndexPrice.indexOf(prices, clampBps);
        requireWithinBounds(asset, price);
        bool isFirst = head.count == 0;
        int256 before = isFirst ? int256(0) : int256(_newest(asset, head).price);
        _fund(asset, isFirst, before);
        _observe(asset, head, round, timestamp, price);
        emit RoundAccepted(asset, round, timestamp, price, prices.length, prices);
        if (!isFirst) _haltOnJump(asset, before, price);
    }

    /// @notice Lists an asset.
    /// @param isSigned whether prices ≤ 0 are accepted
    /// @param minAnswer an index at or below this is refused; ≥ 0 unless signed
    /// @param maxAnswer an index at or above this is refused
    function listAsset(bytes32 asset, bool isSigned, int256 minAnswer, int256 maxAnswer) external onlyOwner {
        _listAsset(AssetTerms(asset, isSigned, minAnswer, maxAnswer));
    }

    /// @notice Adds or removes a reporter; timelock only, so everybody saw it coming.
    function setReporter(address reporter, bool isReporter_) external {
        if (msg.sender != timelock) revert NotTimelock(msg.sender);
        _setReporter(reporter, isReporter_);
    }

    /// @notice The newest accepted price, provided it is at most `maxPriceAge` old.
    /// @return price 1e18 quote per 1 underlying
    /// @return timestamp when it was observed, in seconds
    function freshPrice(bytes32 asset) external view returns (int256 price, uint64 timestamp) {
        Head memory head = _head(asset);
        if (head.count == 0) revert NoPrice(asset);
        uint64 age = uint64(block.timestamp) - head.timestamp;
        if (age > maxPriceAge) revert StalePrice(asset, age, maxPriceAge);
        return (_newest(asset, head).price, head.timestamp);
    }

    /// @notice B now: ∫ |price| over the funding clock, 1e18 quote-seconds. After a round it goes on for `fundingGap` of
    /// its seconds at that round's price and then stands still until the next; 0 before the first.
    function fundedIntegral(bytes32 asset) external view returns (uint256) {
        Head memory head = _head(asset);
        if (head.count == 0) return 0;
        return _fundedUntil(_funded[asset], pauses.fundingClock(), _newest(asset, head).price);
    }

    /// @notice B and the funding clock as the newest round left them.
    function fundedAtLastRound(bytes32 asset) external view returns (uint256 integral, uint64 activeAt) {
        Funded memory funded = _funded[asset];
        return (funded.integral, funded.activeAt);
    }

    /// @notice The bounds an index must lie strictly between, 1e18 quote per 1 underlying.
    function bounds(bytes32 asset) external view returns (int256 minAnswer, int256 maxAnswer) {
        _head(asset);
        return (_bounds[asset].min, _bounds[asset].max);
    }

    /// @notice Reverts unless a price, 1e18 quote per 1 underlying, lies strictly within the asset's bounds.
    function requireWithinBounds(bytes32 asset, int256 price) public view {
        Bounds memory bounds_ = _bounds[asset];
        if (price <= bounds_.min || price >= bounds_.max) {
            revert AnswerOutOfBounds(asset, price, bounds_.min, bounds_.max);
        }
    }

    function _haltOnJump(bytes32 asset, int256 from, int256 to) internal {
        if (SignedMath.abs(to - from) * BPS <= breakerBps * SignedMath.abs(from)) return;
        uint64 until = uint64(block.timestamp) + haltDuration;
        haltedUntil[asset] = until;
        emit MarketHalted(asset, from, to, until);
    }

    /// @dev Brings B up to now at the price that held until now.
    function _fund(bytes32 asset, bool isFirst, int256 price) internal {
        uint64 active = pauses.fundingClock();
        Funded memory funded = _funded[asset];
        if (!isFirst) funded.integral = _fundedUntil(funded, active, price).toUint192();
        funded.activeAt = active;
        _funded[asset] = funded;
    }

    function _listAsset(AssetTerms memory terms) internal {
        // No name is what a market without an asset has.
        if (terms.name == 0) revert UnknownAsset(terms.name);
        if (_heads[terms.name].isListed) revert AssetAlreadyListed(terms.name);
        bool fits = terms.minAnswer >= type(int128).min && terms.maxAnswer <= type(int128).max;
        if (!fits || terms.minAnswer >= terms.maxAnswer || (terms.minAnswer < 0 && !terms.isSigned)) {
            revert BadBounds(terms.name, terms.minAnswer, terms.maxAnswer);
        }
        _heads[terms.name].isListed = true;
        _heads[terms.name].isSigned = terms.isSigned;
        _bounds[terms.name] = Bounds(int128(terms.minAnswer), int128(terms.maxAnswer));
        emit AssetListed(terms.name, terms.isSigned, terms.minAnswer, terms.maxAnswer);
    }

    function _setReporter(address reporter, bool isReporter_) internal {
        isReporter[reporter] = isReporter_;
        emit ReporterChanged(reporter, isReporter_);
    }

    /// @dev B at an active time, while `price` is the newest accepted one.
    function _fundedUntil(Funded memory funded, uint64 active, int256 price) internal view returns (uint256) {
        // The clock of a block whose system transaction did not run may lie behind that of an earlier one.
        uint256 elapsed = active > funded.activeAt ? active - funded.activeAt : 0;
        if (elapsed > fundingGap) elapsed = fundingGap;
        return funded.integral + SignedMath.abs(price) * elapsed;
    }
}
