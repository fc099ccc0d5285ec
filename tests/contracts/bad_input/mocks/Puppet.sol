// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Hooked} from "./HookToken.sol";

/// @title An account that calls what it is told, and once something more in the middle of a transfer of its tokens
contract Puppet is Hooked {
    struct Call {
        address target;
        bytes data;
    }

    Call private _inner;
    bool private _isArmed;

    /// @notice Whether the call in the middle was made, and whether it succeeded.
    bool public wasHeard;
    bool public hasSucceeded;
    /// @notice What it was answered.
    bytes public answer;

    /// @notice Makes the calls in turn; all of them or none.
    function run(Call[] calldata calls) external {
        for (uint256 i; i < calls.length; ++i) _require(calls[i].target, calls[i].data);
    }

    /// @notice Makes the outer call; the inner one within it, at the first hook, whether or not that succeeds.
    function runWithin(Call calldata outer, Call calldata inner) external {
        _inner = inner;
        _isArmed = true;
        _require(outer.target, outer.data);
        _isArmed = false;
        delete _inner;
    }

    /// @inheritdoc Hooked
    function onTransfer() external {
        if (!_isArmed) return;
        _isArmed = false;
        wasHeard = true;
        (hasSucceeded, answer) = _inner.target.call(_inner.data);
    }

    function _require(address target, bytes memory data) private {
        (bool succeeded, bytes memory reason) = target.call(data);
        if (succeeded) return;
        assembly ("memory-safe") {
            revert(add(reason, 0x20), mload(reason))
        }
    }
}
