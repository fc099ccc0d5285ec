// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {BlockHeader} from "@openzeppelin/contracts/utils/BlockHeader.sol";
import {Memory} from "@openzeppelin/contracts/utils/Memory.sol";
import {RLP} from "@openzeppelin/contracts/utils/RLP.sol";
import {TrieProof} from "@openzeppelin/contracts/utils/cryptography/TrieProof.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {CollateralToken} from "../exchange/CollateralToken.sol";
import {BridgeMessage, SENT_AT_SLOT, messageId} from "../l1/BridgeMessage.sol";
import {L1Info} from "./L1Info.sol";
import {MessageReceiver} from "./MessageReceiver.sol";

/// @title The L2 side of the bridge: believes the state of L1, and executes each message once
/// @notice Two steps, both for anybody: `prove` that L1's bridge has sent a message, and `execute` it once the L1 block it was
/// sent in is final. Trusted is `L1Info` (what the rollup's nodes agree that L1 is), and nobody else: neither relayers
/// nor whoever owns anything.
contract BridgeInbox {
    using BlockHeader for Memory.Slice[];
    using RLP for *;
    using SafeCast for uint256;

    /// @dev Where a message is on its way; the order is part of the interface.
    enum Status {
        NONE,
        DELIVERED,
        FAILED
    }

    /// @notice L2 does not know the hash of that L1 block: not seen yet, or too long ago.
    error UnknownL1Block(uint64 number);

    /// @notice The header is not that of the L1 block it is said to be.
    error WrongHeader(bytes32 given, bytes32 known);

    /// @notice In the state of that block L1's bridge had not sent the message.
    error NotSent(bytes32 id);

    /// @notice Somebody proved the message before.
    error AlreadyProven(bytes32 id, uint64 sentAt);

    /// @notice Nobody proved the message yet.
    error NotProven(bytes32 id);

    /// @notice The L1 block of the message can still be reorganised away.
    error NotFinal(bytes32 id, uint64 sentAt, uint64 seen);

    /// @notice The message was executed before.
    error AlreadyDelivered(bytes32 id);

    /// @notice Too little gas is left for what the message asks for.
    error GasTooLow(uint256 left, uint256 needed);

    /// @notice Only this contract calls this function.
    error NotInbox(address caller);

    /// @notice In the state of L1 block `l1Number` a message of L1 block `sentAt` is sent.
    event MessageProven(bytes32 indexed id, uint64 sentAt, uint64 l1Number, bytes32 l1Hash, bytes32 stateRoot);

    /// @notice Its tokens are minted and its call, if any, succeeded; this happens once.
    event MessageExecuted(
        bytes32 indexed id,
        uint64 indexed nonce,
        address indexed sender,
        address target,
        uint256 value,
        uint64 sentAt
    );

    /// @notice Nothing happened to its tokens, and anybody may execute it again.
    event MessageFailed(bytes32 indexed id, uint64 sentAt);

    /// @dev Gas for what follows the attempt, and for the call of it.
    uint256 private constant RESERVE = 60_000;

    L1Info public immutable l1Info;
    CollateralToken public immutable token;
    /// @notice The bridge on L1.
    address public immutable bridge;
    /// @notice Chain id of L1.
    uint256 public immutable source;
    /// @notice A block is final when so many stand on it, L1 blocks.
    uint64 public immutable finalityDepth;

    /// @notice Where a message is.
    mapping(bytes32 id => Status) public status;

    /// @notice L1 block a message was sent in, once proven; 0: not proven.
    mapping(bytes32 id => uint64 l1Block) public provenAt;

    constructor(L1Info l1Info_, CollateralToken token_, address bridge_, uint256 source_, uint64 finalityDepth_) {
        l1Info = l1Info_;
        token = token_;
        bridge = bridge_;
        source = source_;
        finalityDepth = finalityDepth_;
    }

    /// @notice Shows that L1's bridge has sent a message, by the state of an L1 block that L2 knows the hash of.
    /// @param id of the message
    /// @param l1Number number of that L1 block
    /// @param header its header, RLP
    /// @param account trie nodes down to the bridge, as `eth_getProof` gives them
    /// @param slot trie nodes down to the bridge's `sentAt[id]`
    function prove(bytes32 id, uint64 l1Number, bytes calldata header, bytes[] calldata account, bytes[] calldata slot)
        external
    {
        if (provenAt[id] != 0) revert AlreadyProven(id, provenAt[id]);
        bytes32 stateRoot = _stateRoot(l1Number, header);
        // A node may keep what was only read as a leaf of value 0, which proves the contrary.
        uint64 sentAt = _sentAt(id, _storageRoot(stateRoot, account), slot);
        if (sentAt == 0) revert NotSent(id);
        provenAt[id] = sentAt;
        emit MessageProven(id, sentAt, l1Number, l1Info.hashAt(l1Number), stateRoot);
    }

    /// @notice Executes a message that was proven and is final; again, if it failed.
    /// @dev Delivered before anything is called, so that nothing it calls can have it delivered once more. The first attempt has
    /// the gas its sender asked for and needs all of that to be there, or a relayer could make it fail; a later one has
    /// what is left, or a sender who asked for too little would have lost his tokens.
    function execute(BridgeMessage calldata message) external {
        bytes32 id = messageId(message, source, block.chainid);
        Status before = status[id];
        if (before == Status.DELIVERED) revert AlreadyDelivered(id);
        uint64 sentAt = provenAt[id];
        if (sentAt == 0) revert NotProven(id);
        uint64 seen = l1Info.number();
        if (sentAt + finalityDepth > seen) revert NotFinal(id, sentAt, seen);
        uint256 least = uint256(message.gas) * 64 / 63 + RESERVE;
        if (gasleft() < least) revert GasTooLow(gasleft(), least);
        uint256 gas = before == Status.NONE ? message.gas : gasleft() - RESERVE;
        status[id] = Status.DELIVERED;
        try this.perform{gas: gas}(id, message) {
            emit MessageExecuted(id, message.nonce, message.sender, message.target, message.value, sentAt);
        } catch {
            status[id] = Status.FAILED;
            emit MessageFailed(id, sentAt);
        }
    }

    /// @notice Mints and calls, all of it or nothing; for this contract alone.
    /// @dev It calls one function and no other: with a selector of the sender's choice a message could have this contract,
    /// which may mint, call the token.
    function perform(bytes32 id, BridgeMessage calldata message) external {
        if (msg.sender != address(this)) revert NotInbox(msg.sender);
        token.bridgeMint(message.target, message.value);
        if (message.payload.length > 0) {
            MessageReceiver(message.target).onMessage(id, message.sender, message.value, message.payload);
        }
    }

    /// @notice Status and block of proof of several messages, and the newest L1 block that L2 knows: what a relayer asks.
    function look(bytes32[] calldata ids) external view returns (uint8[] memory, uint64[] memory, uint64, bytes32) {
        uint8[] memory statuses = new uint8[](ids.length);
        uint64[] memory blocks = new uint64[](ids.length);
        for (uint256 i = 0; i < ids.length; ++i) {
            statuses[i] = uint8(status[ids[i]]);
            blocks[i] = provenAt[ids[i]];
        }
        return (statuses, blocks, l1Info.number(), l1Info.hash());
    }

    /// @dev The state root in the header of an L1 block that L2 knows.
    function _stateRoot(uint64 l1Number, bytes calldata header) private view returns (bytes32) {
        bytes32 known = l1Info.hashAt(l1Number);
        if (known == 0) revert UnknownL1Block(l1Number);
        if (keccak256(header) != known) revert WrongHeader(keccak256(header), known);
        return BlockHeader.parseHeader(header).getStateRoot();
    }

    /// @dev The bridge's account is [nonce, balance, storage root, code hash].
    function _storageRoot(bytes32 stateRoot, bytes[] calldata proof) private view returns (bytes32) {
        bytes memory key = abi.encodePacked(keccak256(abi.encodePacked(bridge)));
        return TrieProof.traverse(stateRoot, key, proof).decodeList()[2].readBytes32();
    }

    function _sentAt(bytes32 id, bytes32 storageRoot, bytes[] calldata proof) private pure returns (uint64) {
        bytes memory key = abi.encodePacked(keccak256(abi.encode(keccak256(abi.encode(id, SENT_AT_SLOT)))));
        return TrieProof.traverse(storageRoot, key, proof).decodeUint256().toUint64();
    }
}
