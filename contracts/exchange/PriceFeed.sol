// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {SignedMath} from "@openzeppelin/contracts/utils/math/SignedMath.sol";
import {LibSort} from "solady/src/utils/LibSort.sol";
import {L1Info} from "../l2/L1Info.sol";
import {FixedPoint} from "./FixedPoint.sol";
import {Params} from "./Params.sol";

/// @title Signed multi-reporter rounds, their median, and the price's integral over time
/// @notice Prices are int256, 1e18 quote per 1 underlying. Observations form a left-continuous step function, whose
/// integral A(t) = Σ price·dt counts from the asset's first observation.
contract PriceFeed is Ownable {
    using SafeCast for int256;
    using SafeCast for uint256;

    error UnknownAsset(bytes32 asset);
    error AssetAlreadyListed(bytes32 asset);
    error LengthMismatch(uint256 prices, uint256 signatures);
    error TooFewSources(uint256 given, uint256 required);
    error UnknownReporter(address signer);
    error SignersNotAscending(address previous, address next);
    error NonPositivePrice(bytes32 asset, int256 price);
    error RoundNotNewer(bytes32 asset, uint64 round, uint64 last);
    error TimestampNotNewer(bytes32 asset, uint64 timestamp, uint64 last);
    error TimestampInFuture(uint64 timestamp, uint64 blockTimestamp);
    /// @notice No round of this asset was ever accepted.
    error NoPrice(bytes32 asset);
    /// @notice The newest price is older than may be used; seconds.
    error StalePrice(bytes32 asset, uint64 age, uint64 maxAge);
    error BeforeFirstObservation(bytes32 asset, uint64 timestamp, uint64 first);
    error AfterLastObservation(bytes32 asset, uint64 timestamp, uint64 last);
    /// @notice The instant is older than the observations still kept, and no series needs it.
    error ObservationDropped(bytes32 asset, uint64 timestamp, uint64 oldest);
    error NotClearingHouse(address caller);

    event AssetListed(bytes32 indexed asset, bool isSigned);
    event ReporterChanged(address indexed reporter, bool isReporter);
    event RoundAccepted(bytes32 indexed asset, uint64 indexed round, uint64 timestamp, int256 price, uint256 sources);

    /// @notice Observations kept per asset, two slots each. Every slot costs every block (Anvil rebuilds the trie), and
    /// settlement does not rest on this number: the instants a series needs are kept apart.
    uint256 public constant OBSERVATIONS = 64;

    /// @dev Everything about an asset but its observations; one slot.
    struct Head {
        uint64 round;
        uint64 timestamp;
        uint64 firstTimestamp;
        uint32 count;
        bool isListed;
        /// Whether prices ≤ 0 are accepted.
        bool isSigned;
    }

    struct Observation {
        uint64 timestamp;
        uint64 round;
        int128 price;
        /// A(timestamp).
        int256 cumulative;
    }

    /// @dev What funding accrues on; one slot.
    struct Funded {
        /// Active clock at the last acceptance.
        uint64 activeAt;
        /// B: Σ |price|·active seconds, a gap counted for at most `fundingGap` of them.
        uint192 integral;
    }

    struct Instant {
        bool isRecorded;
        int248 cumulative;
    }

    /// @notice Signatures of distinct reporters a round needs.
    uint256 public immutable minSources;
    /// @notice Oldest price that counts as fresh, in seconds.
    uint64 public immutable maxPriceAge;
    /// @notice The contract that may ask for instants to be kept.
    address public immutable clearingHouse;
    /// @notice Where the active clock runs.
    L1Info public immutable l1Info;
    /// @notice Active seconds after an observation for which funding goes on without another.
    uint64 public immutable fundingGap;

    mapping(address signer => bool) public isReporter;
    mapping(bytes32 asset => Head) private _heads;
    mapping(bytes32 asset => Observation[OBSERVATIONS]) private _observations;
    /// @notice Price of the asset's first observation.
    mapping(bytes32 asset => int256) public firstPrice;
    mapping(bytes32 asset => Funded) private _funded;
    /// @dev Instants of listed series not reached yet, unordered; at most two per series.
    mapping(bytes32 asset => uint64[]) private _awaited;
    mapping(bytes32 asset => mapping(uint64 timestamp => Instant)) private _instants;

    /// @param params the venue's parameters
    /// @param owner_ who lists assets and changes reporters
    /// @param clearingHouse_ who may ask for instants to be kept
    /// @param l1Info_ where the active clock runs
    /// @param reporters the first reporter set
    /// @param assets names of the first assets, all with positive prices
    constructor(
        Params memory params,
        address owner_,
        address clearingHouse_,
        L1Info l1Info_,
        address[] memory reporters,
        bytes32[] memory assets
    ) Ownable(owner_) {
        minSources = params.minSources;
        maxPriceAge = params.maxPriceAge;
        clearingHouse = clearingHouse_;
        l1Info = l1Info_;
        fundingGap = params.fundingGap;
        for (uint256 i; i < reporters.length; ++i) _setReporter(reporters[i], true);
        for (uint256 i; i < assets.length; ++i) _listAsset(assets[i], false);
    }

    /// @notice Accepts a round: permissionless, since the signatures carry the authority.
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
            if (prices[i] <= 0 && !head.isSigned) revert NonPositivePrice(asset, prices[i]);
            bytes32 inner =
                keccak256(abi.encode(block.chainid, address(this), asset, round, timestamp, prices[i]));
            address signer = ECDSA.recover(MessageHashUtils.toEthSignedMessageHash(inner), signatures[i]);
            if (!isReporter[signer]) revert UnknownReporter(signer);
            if (signer <= previous) revert SignersNotAscending(previous, signer);
            previous = signer;
        }

        int256 price = _median(prices);
        _append(asset, head, round, timestamp, price);
        emit RoundAccepted(asset, round, timestamp, price, prices.length);
    }

    /// @notice Asks that A(timestamp) stay readable for ever, because a series settles by it.
    /// @dev An instant before the first observation is left out: settlement then counts from that observation.
    function keepInstant(bytes32 asset, uint64 timestamp) external {
        if (msg.sender != clearingHouse) revert NotClearingHouse(msg.sender);
        Head memory head = _head(asset);
        if (_instants[asset][timestamp].isRecorded) return;
        if (head.count > 0 && timestamp <= head.timestamp) {
            if (timestamp >= head.firstTimestamp) _record(asset, timestamp, cumulativeAt(asset, timestamp));
            return;
        }
        uint64[] storage awaited = _awaited[asset];
        for (uint256 i; i < awaited.length; ++i) if (awaited[i] == timestamp) return;
        awaited.push(timestamp);
    }

    /// @notice Lists an asset.
    /// @param isSigned whether prices ≤ 0 are accepted (futures on oil went to −37.63)
    function listAsset(bytes32 asset, bool isSigned) external onlyOwner {
        _listAsset(asset, isSigned);
    }

    /// @notice Adds or removes a reporter.
    function setReporter(address reporter, bool isReporter_) external onlyOwner {
        _setReporter(reporter, isReporter_);
    }

    /// @notice The newest accepted round, zeros when there is none. May be stale.
    function latest(bytes32 asset) external view returns (uint64 round, uint64 timestamp, int256 price) {
        Head memory head = _heads[asset];
        if (head.count > 0) price = _observation(asset, head.count - 1).price;
        return (head.round, head.timestamp, price);
    }

    /// @notice The newest accepted price, provided it is at most `maxPriceAge` old.
    /// @return price 1e18 quote per 1 underlying
    /// @return timestamp when it was observed, in seconds
    function freshPrice(bytes32 asset) external view returns (int256 price, uint64 timestamp) {
        Head memory head = _head(asset);
        if (head.count == 0) revert NoPrice(asset);
        uint64 age = uint64(block.timestamp) - head.timestamp;
        if (age > maxPriceAge) revert StalePrice(asset, age, maxPriceAge);
        return (_observation(asset, head.count - 1).price, head.timestamp);
    }

    /// @notice Timestamps of the asset's first and newest observation, zeros when there is none.
    function observed(bytes32 asset) external view returns (uint64 first, uint64 last) {
        return (_heads[asset].firstTimestamp, _heads[asset].timestamp);
    }

    /// @notice A at the newest observation; 0 when there is none.
    function cumulative(bytes32 asset) external view returns (int256) {
        uint32 count = _heads[asset].count;
        return count == 0 ? int256(0) : _observation(asset, count - 1).cumulative;
    }

    /// @notice B now: ∫ |price| over active time, 1e18 quote-seconds. After a round it goes on for `fundingGap` active
    /// seconds at that round's price and then stands still until the next; 0 before the first.
    function fundedIntegral(bytes32 asset) external view returns (uint256) {
        Head memory head = _head(asset);
        if (head.count == 0) return 0;
        return _fundedUntil(_funded[asset], l1Info.activeClock(), _observation(asset, head.count - 1).price);
    }

    /// @notice B and the active clock as the newest round left them.
    function fundedAtLastRound(bytes32 asset) external view returns (uint256 integral, uint64 activeAt) {
        Funded memory funded = _funded[asset];
        return (funded.integral, funded.activeAt);
    }

    /// @notice A(t), 1e18 quote-seconds, exact for any t between the first and the newest observation that is either
    /// still in the ring or was asked for by a series.
    function cumulativeAt(bytes32 asset, uint64 timestamp) public view returns (int256) {
        Head memory head = _head(asset);
        if (head.count == 0) revert NoPrice(asset);
        if (timestamp < head.firstTimestamp) {
            revert BeforeFirstObservation(asset, timestamp, head.firstTimestamp);
        }
        if (timestamp > head.timestamp) revert AfterLastObservation(asset, timestamp, head.timestamp);
        Instant memory instant = _instants[asset][timestamp];
        if (instant.isRecorded) return instant.cumulative;

        // Binary search for the newest observation at or before the instant, in (low, high].
        uint256 low = head.count > OBSERVATIONS ? head.count - OBSERVATIONS : 0;
        uint64 oldest = _observation(asset, low).timestamp;
        if (timestamp < oldest) revert ObservationDropped(asset, timestamp, oldest);
        uint256 high = head.count - 1;
        while (low < high) {
            uint256 middle = (low + high + 1) / 2;
            if (_observation(asset, middle).timestamp <= timestamp) low = middle;
            else high = middle - 1;
        }
        return _extrapolate(_observation(asset, low), timestamp);
    }

    function _append(bytes32 asset, Head memory head, uint64 round, uint64 timestamp, int256 price) internal {
        int256 total;
        uint64 active = l1Info.activeClock();
        if (head.count == 0) {
            head.firstTimestamp = timestamp;
            firstPrice[asset] = price;
            _recordAwaited(asset, timestamp, Observation(timestamp, round, price.toInt128(), 0));
        } else {
            Observation memory last = _observation(asset, head.count - 1);
            total = _extrapolate(last, timestamp);
            _recordAwaited(asset, timestamp, last);
            _funded[asset].integral = _fundedUntil(_funded[asset], active, last.price).toUint192();
        }
        _funded[asset].activeAt = active;
        _observations[asset][head.count % OBSERVATIONS] = Observation(timestamp, round, price.toInt128(), total);
        head.round = round;
        head.timestamp = timestamp;
        head.count += 1;
        _heads[asset] = head;
    }

    /// @dev Moves every awaited instant up to `until` out of the waiting list; those before `last` have no A(t).
    function _recordAwaited(bytes32 asset, uint64 until, Observation memory last) internal {
        uint64[] storage awaited = _awaited[asset];
        uint256 i = awaited.length;
        while (i > 0) {
            uint64 timestamp = awaited[--i];
            if (timestamp > until) continue;
            if (timestamp >= last.timestamp) _record(asset, timestamp, _extrapolate(last, timestamp));
            awaited[i] = awaited[awaited.length - 1];
            awaited.pop();
        }
    }

    function _record(bytes32 asset, uint64 timestamp, int256 value) internal {
        _instants[asset][timestamp] = Instant(true, value.toInt248());
    }

    function _listAsset(bytes32 asset, bool isSigned) internal {
        if (_heads[asset].isListed) revert AssetAlreadyListed(asset);
        _heads[asset].isListed = true;
        _heads[asset].isSigned = isSigned;
        emit AssetListed(asset, isSigned);
    }

    function _setReporter(address reporter, bool isReporter_) internal {
        isReporter[reporter] = isReporter_;
        emit ReporterChanged(reporter, isReporter_);
    }

    function _head(bytes32 asset) internal view returns (Head memory head) {
        head = _heads[asset];
        if (!head.isListed) revert UnknownAsset(asset);
    }

    function _observation(bytes32 asset, uint256 index) internal view returns (Observation storage) {
        return _observations[asset][index % OBSERVATIONS];
    }

    /// @dev B at an active time, while `price` is the newest accepted one.
    function _fundedUntil(Funded memory funded, uint64 active, int256 price) internal view returns (uint256) {
        // The clock of a block whose system transaction did not run may lie behind that of an earlier one.
        uint256 elapsed = active > funded.activeAt ? active - funded.activeAt : 0;
        if (elapsed > fundingGap) elapsed = fundingGap;
        return funded.integral + SignedMath.abs(price) * elapsed;
    }

    /// @dev A(timestamp) while `last` is the newest observation at or before it.
    function _extrapolate(Observation memory last, uint64 timestamp) internal pure returns (int256) {
        return last.cumulative + int256(last.price) * int256(uint256(timestamp - last.timestamp));
    }

    /// @dev The middle price; of an even number the two middle ones' mean, floored toward −∞.
    function _median(int256[] memory prices) internal pure returns (int256) {
        LibSort.insertionSort(prices);
        uint256 middle = prices.length / 2;
        if (prices.length % 2 == 1) return prices[middle];
        return FixedPoint.divFloor(prices[middle - 1] + prices[middle], 2);
    }
}
