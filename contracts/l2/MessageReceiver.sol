// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @title What a contract on L2 must have to be the target of a message with a payload
interface MessageReceiver {
    /// @notice A message arrived; its tokens are the receiver's already. Reverting gives them back to the bridge.
    /// @param id of the message
    /// @param sender who sent it on L1
    /// @param value native token units
    /// @param payload as it was sent
    function onMessage(bytes32 id, address sender, uint256 value, bytes calldata payload) external;
}
