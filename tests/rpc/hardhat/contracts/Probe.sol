// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

/// @title Probe
/// @notice What a client library must be able to do with a contract: write, read, hear of it, and be refused.
contract Probe {
    /// @notice The call was refused on purpose.
    /// @param code What the caller gave.
    error Refused(uint256 code);

    /// @notice A number was written.
    /// @param who By whom.
    /// @param number The number.
    event Pinged(address indexed who, uint256 number);

    /// @notice The number written last.
    uint256 public number;

    /// @notice Write a number.
    /// @param newNumber The number.
    function ping(uint256 newNumber) external {
        number = newNumber;
        emit Pinged(msg.sender, newNumber);
    }

    /// @notice Revert with a reason.
    function fail() external pure {
        revert("no way");
    }

    /// @notice Revert with a custom error.
    /// @param code Comes back in it.
    function refuse(uint256 code) external pure {
        revert Refused(code);
    }

    /// @notice Burn all the gas it is given.
    function spin() external pure {
        while (true) {}
    }
}
