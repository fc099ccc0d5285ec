// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {Params} from "./Params.sol";

/// @notice Running sums up to an instant, from the asset's first observation on.
struct Sums {
    /// A: Σ price·seconds, 1e18 quote-seconds.
    int256 cumulative;
    /// Seconds with a price of at most `maxPriceAge`.
    uint64 covered;
    /// Seconds with a price older than `settlementMaxGap`.
    uint64 beyond;
}

/// @title What was observed of each asset, and its sums over time
/// @notice Observations form a left-continuous step function of their own timestamps, so a late round changes nothing.
abstract contract Observations {
    using SafeCast for int256;
    using SafeCast for uint256;

    error UnknownAsset(bytes32 asset);
    /// @notice No round of this asset was ever accepted.
    error NoPrice(bytes32 asset);
    error BeforeFirstObservation(bytes32 asset, uint64 timestamp, uint64 first);
    error AfterLastObservation(bytes32 asset, uint64 timestamp, uint64 last);
    /// @notice The instant is older than the observations still kept, and no series needs it.
    error ObservationDropped(bytes32 asset, uint64 timestamp, uint64 oldest);
    error NotClearingHouse(address caller);
    error NotSettlement(address caller);

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

    /// @dev Two slots. 192 bits hold any int128 price for 2^63 seconds, 32 bits 136 years.
    struct Observation {
        uint64 timestamp;
        uint64 round;
        int128 price;
        /// The sums at `timestamp`.
        int192 cumulative;
        uint32 covered;
        uint32 beyond;
    }

    /// @dev Sums kept for ever; one slot.
    struct Instant {
        bool isRecorded;
        int184 cumulative;
        uint32 covered;
        uint32 beyond;
    }

    /// @notice Oldest price that counts as fresh, and as covering a second of a settlement window; seconds.
    uint64 public immutable maxPriceAge;
    /// @notice Age of a price from which on a second of a settlement window is a gap.
    uint64 public immutable settlementMaxGap;
    /// @notice Seconds a settlement price averages over.
    uint64 public immutable settlementWindow;
    /// @notice The contract that may ask for instants to be kept.
    address public immutable clearingHouse;
    /// @notice The contract that may ask for the next observation to be kept.
    address public immutable settlement;

    /// @notice Price of the asset's first observation.
    mapping(bytes32 asset => int256) public firstPrice;
    /// @notice Timestamp of the first observation after an instant that was asked for; 0 until there is one.
    mapping(bytes32 asset => mapping(uint64 instant => uint64)) public nextAfter;

    mapping(bytes32 asset => Head) internal _heads;
    mapping(bytes32 asset => Observation[OBSERVATIONS]) private _observations;
    /// @dev Instants of listed series not reached yet, unordered; at most two per series, three for a disputed one.
    mapping(bytes32 asset => uint64[]) private _awaited;
    /// @dev Instants whose next observation is not there yet, unordered; at most one per disputed series.
    mapping(bytes32 asset => uint64[]) private _awaitedNext;
    mapping(bytes32 asset => mapping(uint64 timestamp => Instant)) private _instants;

    constructor(Params memory params, address clearingHouse_, address settlement_) {
        maxPriceAge = params.maxPriceAge;
        settlementMaxGap = params.settlementMaxGap;
        settlementWindow = params.settlementWindow;
        clearingHouse = clearingHouse_;
        settlement = settlement_;
    }

    /// @notice Asks that the sums at an instant stay readable for ever, because a series settles by it.
    /// @dev An instant before the first observation is left out: settlement then counts from that observation.
    function keepInstant(bytes32 asset, uint64 timestamp) external {
        if (msg.sender != clearingHouse) revert NotClearingHouse(msg.sender);
        Head memory head = _head(asset);
        if (_instants[asset][timestamp].isRecorded) return;
        if (head.count > 0 && timestamp <= head.timestamp) {
            if (timestamp >= head.firstTimestamp) _record(asset, timestamp, sumsAt(asset, timestamp));
            return;
        }
        _add(_awaited[asset], timestamp);
    }

    /// @notice Asks that the first observation after an instant, and the window that begins with it, be kept, because a
    /// disputed series settles by it.
    /// @param timestamp no earlier than the newest observation; seconds
    function keepWindowAfter(bytes32 asset, uint64 timestamp) external {
        if (msg.sender != settlement) revert NotSettlement(msg.sender);
        if (nextAfter[asset][timestamp] == 0) _add(_awaitedNext[asset], timestamp);
    }

    /// @notice The newest accepted round, zeros when there is none; 1e18 quote per 1 underlying. May be stale.
    function latest(bytes32 asset) external view returns (uint64 round, uint64 timestamp, int256 price) {
        Head memory head = _heads[asset];
        if (head.count > 0) price = _newest(asset, head).price;
        return (head.round, head.timestamp, price);
    }

    /// @notice Timestamps of the asset's first and newest observation, zeros when there is none.
    function observed(bytes32 asset) external view returns (uint64 first, uint64 last) {
        return (_heads[asset].firstTimestamp, _heads[asset].timestamp);
    }

    /// @notice The sums at the newest observation; zeros when there is none.
    function newestSums(bytes32 asset) external view returns (Sums memory) {
        Head memory head = _heads[asset];
        if (head.count == 0) return Sums(0, 0, 0);
        return _sumsFrom(_newest(asset, head), head.timestamp);
    }

    /// @notice A(t), 1e18 quote-seconds, exact for any t between the first and the newest observation that is either
    /// still in the ring or was asked for by a series.
    function cumulativeAt(bytes32 asset, uint64 timestamp) external view returns (int256) {
        Head memory head = _head(asset);
        if (timestamp > head.timestamp && head.count > 0) {
            revert AfterLastObservation(asset, timestamp, head.timestamp);
        }
        return sumsAt(asset, timestamp).cumulative;
    }

    /// @notice The sums at an instant from the first observation on, the newest price carried on beyond its observation;
    /// exact where the instant is in the ring, after it, or was asked for by a series.
    function sumsAt(bytes32 asset, uint64 timestamp) public view returns (Sums memory) {
        Head memory head = _head(asset);
        if (head.count == 0) revert NoPrice(asset);
        if (timestamp < head.firstTimestamp) {
            revert BeforeFirstObservation(asset, timestamp, head.firstTimestamp);
        }
        if (timestamp == head.firstTimestamp) return Sums(0, 0, 0);
        Instant memory instant = _instants[asset][timestamp];
        if (instant.isRecorded) return Sums(instant.cumulative, instant.covered, instant.beyond);

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
        return _sumsFrom(_observation(asset, low), timestamp);
    }

    /// @dev Appends an observation later than all before it.
    function _observe(bytes32 asset, Head memory head, uint64 round, uint64 timestamp, int256 price) internal {
        Sums memory sums;
        if (head.count == 0) {
            head.firstTimestamp = timestamp;
            firstPrice[asset] = price;
            _recordAwaited(asset, timestamp, Observation(timestamp, round, price.toInt128(), 0, 0, 0));
        } else {
            Observation memory last = _newest(asset, head);
            sums = _sumsFrom(last, timestamp);
            _recordAwaited(asset, timestamp, last);
        }
        _recordNext(asset, timestamp, sums);
        _observations[asset][head.count % OBSERVATIONS] = Observation(
            timestamp,
            round,
            price.toInt128(),
            int192(sums.cumulative),
            uint256(sums.covered).toUint32(),
            uint256(sums.beyond).toUint32()
        );
        head.round = round;
        head.timestamp = timestamp;
        head.count += 1;
        _heads[asset] = head;
    }

    function _head(bytes32 asset) internal view returns (Head memory head) {
        head = _heads[asset];
        if (!head.isListed) revert UnknownAsset(asset);
    }

    /// @dev Needs at least one observation.
    function _newest(bytes32 asset, Head memory head) internal view returns (Observation storage) {
        return _observation(asset, head.count - 1);
    }

    /// @dev Moves every awaited instant up to `until` out of the waiting list; those before `last` have no sums.
    function _recordAwaited(bytes32 asset, uint64 until, Observation memory last) private {
        uint64[] storage awaited = _awaited[asset];
        uint256 i = awaited.length;
        while (i > 0) {
            uint64 timestamp = awaited[--i];
            if (timestamp > until) continue;
            if (timestamp >= last.timestamp) _record(asset, timestamp, _sumsFrom(last, timestamp));
            awaited[i] = awaited[awaited.length - 1];
            awaited.pop();
        }
    }

    /// @dev An observation begins the window of every instant before it that waits for one.
    function _recordNext(bytes32 asset, uint64 timestamp, Sums memory sums) private {
        uint64[] storage awaited = _awaitedNext[asset];
        uint256 i = awaited.length;
        while (i > 0) {
            uint64 instant = awaited[--i];
            if (timestamp <= instant) continue;
            nextAfter[asset][instant] = timestamp;
            _record(asset, timestamp, sums);
            _add(_awaited[asset], timestamp + settlementWindow);
            awaited[i] = awaited[awaited.length - 1];
            awaited.pop();
        }
    }

    function _record(bytes32 asset, uint64 timestamp, Sums memory sums) private {
        _instants[asset][timestamp] = Instant(
            true, int184(sums.cumulative), uint256(sums.covered).toUint32(), uint256(sums.beyond).toUint32()
        );
    }

    function _add(uint64[] storage list, uint64 item) private {
        for (uint256 i; i < list.length; ++i) if (list[i] == item) return;
        list.push(item);
    }

    function _observation(bytes32 asset, uint256 index) private view returns (Observation storage) {
        return _observations[asset][index % OBSERVATIONS];
    }

    /// @dev The sums at an instant while `last` is the newest observation at or before it. int128 prices over the 2^32
    /// seconds that `covered` and `beyond` are kept for stay within 160 bits, so that the casts above cut nothing.
    function _sumsFrom(Observation memory last, uint64 timestamp) private view returns (Sums memory) {
        uint64 age = timestamp - last.timestamp;
        return Sums(
            last.cumulative + int256(last.price) * int256(uint256(age)),
            last.covered + (age < maxPriceAge ? age : maxPriceAge),
            last.beyond + (age > settlementMaxGap ? age - settlementMaxGap : 0)
        );
    }
}
