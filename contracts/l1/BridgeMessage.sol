// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @dev What an L1 account asks to happen on L2.
struct BridgeMessage {
    /// Counts the bridge's messages, from 1.
    uint64 nonce;
    /// Who sent it on L1.
    address sender;
    /// Who gets the tokens on L2 and, with a payload, is called.
    address target;
    /// Native token units.
    uint256 value;
    /// Gas of the first attempt on L2; later ones may use what they are given.
    uint64 gas;
    /// Handed to the target; empty: tokens only.
    bytes payload;
}

/// @dev Storage slot of `Bridge.sentAt`, which the other side proves entries of. A test proves one.
uint256 constant SENT_AT_SLOT = 0;

/// @dev Of the format of a message; part of every id.
uint8 constant MESSAGE_VERSION = 1;

/// @dev The id of a message: no two of any bridge between any two chains share one, the nonce being among it.
function messageId(BridgeMessage memory message, uint256 source, uint256 destination) pure returns (bytes32) {
    return keccak256(
        abi.encode(
            MESSAGE_VERSION,
            source,
            destination,
            message.nonce,
            message.sender,
            message.target,
            message.value,
            message.gas,
            keccak256(message.payload)
        )
    );
}
