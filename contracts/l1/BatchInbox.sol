// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @title Where batchers post frames on L1
/// @notice Data availability only: the calldata of a successful `submit` is the message, and derivation decides what
/// it is worth from the sender and the bytes.
contract BatchInbox {
    /// @notice Posts one frame.
    /// @dev Writes nothing and emits nothing: whoever derives reads the transaction itself, so a frame costs its
    /// calldata and no state. Anyone may call; frames of unauthorised senders are ignored by derivation.
    /// @param frame channel_id(16) ‖ index(2) ‖ last(1) ‖ data, as the rollup specification defines it
    function submit(bytes calldata frame) external {}
}
