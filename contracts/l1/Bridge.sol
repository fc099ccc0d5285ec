// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {BridgeMessage, messageId} from "./BridgeMessage.sol";

/// @title The L1 side of the bridge: locks tokens, and keeps in its storage what was sent
/// @notice Nobody signs for a message: `sentAt` in the state of a finalised L1 block is all that L2 believes.
contract Bridge {
    using SafeERC20 for IERC20;

    /// @notice A message goes to somebody.
    error NoTarget();

    /// @notice Less gas than the minting of the tokens takes, or more than a block of L2 could give.
    error GasOutOfRange(uint64 gas, uint64 least, uint64 most);

    /// @notice The payload is longer than `most` bytes.
    error PayloadTooLong(uint256 length, uint256 most);

    /// @notice `value` in native token units is locked, and the message may be delivered on L2 once this block is final.
    event MessageSent(
        bytes32 indexed id,
        uint64 indexed nonce,
        address indexed sender,
        address target,
        uint256 value,
        uint64 gas,
        bytes payload
    );

    /// @notice Least gas of a message: what the minting of its tokens takes, with a margin.
    uint64 public constant GAS_MIN = 80_000;
    /// @notice Most gas of a message.
    uint64 public constant GAS_MAX = 5_000_000;
    /// @notice Longest payload, in bytes.
    uint256 public constant PAYLOAD_MAX = 1_024;

    /// @notice L1 block in which a message was sent; 0: never. In slot SENT_AT_SLOT, where the other side looks for it.
    mapping(bytes32 id => uint256 l1Block) public sentAt;

    /// @notice Messages sent so far, which is the nonce of the newest.
    uint64 public sent;

    /// @notice What is locked for L2, native token units.
    uint256 public locked;

    IERC20 public immutable token;
    uint256 public immutable destination;

    /// @param token_ what is bridged
    /// @param destination_ chain id of the L2
    constructor(IERC20 token_, uint256 destination_) {
        token = token_;
        destination = destination_;
    }

    /// @notice Locks tokens of the caller and sends them, and a call if there is a payload, to L2.
    /// @dev The token is a plain one: it moves what it says and calls nobody, so the transfer may come last.
    /// @param target who gets the tokens there
    /// @param value native token units; may be 0
    /// @param gas gas of the first attempt on L2, the minting included
    /// @param payload handed to the target's `onMessage`; empty for tokens only
    /// @return id of the message
    function send(address target, uint256 value, uint64 gas, bytes calldata payload) external returns (bytes32 id) {
        if (target == address(0)) revert NoTarget();
        if (gas < GAS_MIN || gas > GAS_MAX) revert GasOutOfRange(gas, GAS_MIN, GAS_MAX);
        if (payload.length > PAYLOAD_MAX) revert PayloadTooLong(payload.length, PAYLOAD_MAX);
        uint64 nonce = ++sent;
        id = messageId(BridgeMessage(nonce, msg.sender, target, value, gas, payload), block.chainid, destination);
        sentAt[id] = block.number;
        locked += value;
        emit MessageSent(id, nonce, msg.sender, target, value, gas, payload);
        token.safeTransferFrom(msg.sender, address(this), value);
    }
}
