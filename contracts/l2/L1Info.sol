// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @title What L2 knows of L1, and whether the sequencer is up
/// @notice Written by the system transaction that opens every L2 block. It is also the uptime feed: status is derived
/// from the gaps between those calls and voted on by nobody.
/// @dev A predeploy: its code is placed by genesis, so its storage must start as zeros and its settings are immutables.
contract L1Info {
    /// @notice Somebody other than the depositor tried to write.
    error NotDepositor(address caller);

    /// @notice The sequencer went down (`up` false, at `startedAt`) or is up again since `startedAt` (seconds).
    event UptimeChanged(bool up, uint64 startedAt);

    /// @notice The chain was down in [`since`, `until`); `downTime` is the total of all ended outages (seconds).
    event OutageEnded(uint64 since, uint64 until, uint64 downTime);

    /// @notice The only account that may write: the sender of system transactions, as on the OP Stack.
    address public constant DEPOSITOR = 0xDeaDDEaDDeAdDeAdDEAdDEaddeAddEAdDEAd0001;

    /// @notice What `startedAt` says while no restart has ever happened.
    uint64 public constant UP_SINCE_GENESIS = 1;

    /// @notice Seconds between two L2 blocks above which the chain is taken to have been down.
    uint64 public immutable uptimeGap;

    /// @notice Number of the newest L1 block L2 has seen.
    uint64 public number;

    /// @notice Timestamp of that L1 block, in seconds.
    uint64 public timestamp;

    /// @dev block.timestamp of the previous call; 0 before the first.
    uint64 private _lastCall;

    /// @dev 0 stands for UP_SINCE_GENESIS, so that genesis needs no storage.
    uint64 private _startedAt;

    /// @notice Hash of the newest L1 block L2 has seen.
    bytes32 public hash;

    bool private _isDown;

    /// @dev When the present outage began; meaningful while down.
    uint64 private _downSince;

    /// @notice Seconds of all ended outages.
    uint64 public downTime;

    /// @notice How many L1 blocks' hashes are kept: the newest seen and those before it.
    uint64 public constant HASHES = 64;

    /// @dev Hash of L1 block n at n modulo HASHES.
    bytes32[HASHES] private _hashes;

    /// @param uptimeGap_ seconds between two L2 blocks above which the chain is taken to have been down
    constructor(uint64 uptimeGap_) {
        uptimeGap = uptimeGap_;
    }

    /// @notice Records the L1 origin of this L2 block and derives the sequencer's status.
    /// @param number_ L1 block number
    /// @param hash_ L1 block hash
    /// @param timestamp_ L1 block timestamp, in seconds
    /// @param auto_ true when this block was derived without a sequencer
    function setL1Block(uint64 number_, bytes32 hash_, uint64 timestamp_, bool auto_) external {
        if (msg.sender != DEPOSITOR) revert NotDepositor(msg.sender);
        uint64 now_ = uint64(block.timestamp);
        uint64 gap = _lastCall == 0 ? 0 : now_ - _lastCall;

        number = number_;
        timestamp = timestamp_;
        _lastCall = now_;
        hash = hash_;
        _hashes[number_ % HASHES] = hash_;

        bool wasDown = _isDown;
        bool isRestart = wasDown || gap > uptimeGap;
        // A gap is an outage whether or not a sequencer ended it; one that auto blocks already count goes on.
        if (!wasDown && isRestart) _endOutage(now_ - gap, now_);
        if (auto_) {
            if (!wasDown) {
                _isDown = true;
                _downSince = now_;
                emit UptimeChanged(false, now_);
            }
        } else if (isRestart) {
            if (wasDown) _endOutage(_downSince, now_);
            _isDown = false;
            _startedAt = now_;
            emit UptimeChanged(true, now_);
        }
    }

    /// @notice Hash of an L1 block as L2 saw it; 0 when it has not seen it, or so long ago that it was forgotten.
    /// @dev Origins follow each other without gaps. Of the blocks before the first one seen there is nothing, which is 0 too.
    function hashAt(uint64 number_) external view returns (bytes32) {
        return number_ <= number && number - number_ < HASHES ? _hashes[number_ % HASHES] : bytes32(0);
    }

    /// @notice Seconds that stand still while the chain is down: what funding and auctions run on.
    function activeClock() external view returns (uint64) {
        return (_isDown ? _downSince : uint64(block.timestamp)) - downTime;
    }

    /// @notice Whether the sequencer is up; false before the first call.
    function isUp() external view returns (bool) {
        return _lastCall != 0 && !_isDown;
    }

    /// @notice Since when it is up, in seconds; `UP_SINCE_GENESIS` if it never restarted, and 0 before the first call: an
    /// invalid round, which is to be taken for down.
    function startedAt() external view returns (uint64) {
        if (_lastCall == 0) return 0;
        return _startedAt == 0 ? UP_SINCE_GENESIS : _startedAt;
    }

    function _endOutage(uint64 since, uint64 until) private {
        downTime += until - since;
        emit OutageEnded(since, until, downTime);
    }
}
