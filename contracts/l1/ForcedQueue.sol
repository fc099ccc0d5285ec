// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @title Where anybody makes L2 execute something that its sequencers would rather leave out
/// @notice The entries of one L1 block execute, in this order, at the head of the first L2 block with that origin. Each
/// is chained to all before it, so that one word commits to the whole queue.
/// @dev Says what was asked, never whether it is any good on L2: derivation decides, and an entry that turns out to be
/// invalid there is consumed. Gas is declared here, because the contract does not take raw transactions apart.
contract ForcedQueue {
    /// @notice Only kind 0, a transaction signed for L2, can be enqueued.
    error UnknownKind(uint8 kind);

    /// @notice The payload is empty, or has more bytes than one L2 transaction may have.
    error PayloadLength(uint256 length, uint256 limit);

    /// @notice The gas declared is outside of what an entry may ask for.
    error GasOutOfRange(uint64 gas, uint64 least, uint64 most);

    /// @notice This L1 block's entries leave less gas than was asked for; the next block has room again.
    error BlockGasExhausted(uint64 gas, uint64 left);

    /// @notice Less was sent than the entry costs now, in wei; the fee rises with the backlog.
    error FeeTooLow(uint256 paid, uint256 fee);

    /// @notice What was sent above the fee, in wei, could not be given back.
    error RefundFailed(address to, uint256 amount);

    /// @notice An entry joined the queue.
    /// @param index its place in the queue, from 0
    /// @param kind 0
    /// @param gas L2 gas it may use
    /// @param payload the raw transaction
    /// @param accumulator the chain's word after this entry
    event Enqueued(uint64 indexed index, uint8 indexed kind, uint64 gas, bytes payload, bytes32 accumulator);

    /// @notice A transaction signed by its L2 sender.
    uint8 public constant SIGNED_TRANSACTION = 0;

    /// @notice Most bytes of a payload: what an L2 node takes for one transaction.
    uint256 public constant PAYLOAD_BYTES_MAX = 131_072;

    /// @notice Least gas of an entry: that of the cheapest transaction.
    uint64 public constant GAS_MIN = 21_000;

    /// @notice Wei per L2 gas while nothing is queued up.
    uint256 public constant FEE_PER_GAS_MIN = 1 gwei;

    /// @notice Most L2 gas that the entries of one L1 block may declare together.
    uint64 public immutable blockGasMax;

    /// @notice L2 gas by which the backlog falls in each L1 block: half of what a block may add.
    uint64 public immutable blockGasTarget;

    /// @notice Entries so far; the next one's index.
    uint64 public length;

    /// @notice L1 block of the newest entry.
    uint64 public lastBlock;

    /// @notice Gas that the entries of `lastBlock` declared.
    uint64 public lastBlockGas;

    /// @dev Gas above target, summed up to the end of the block before `lastBlock`.
    uint64 private _backlog;

    /// @notice keccak256(accumulator before, keccak256(index, kind, gas, keccak256(payload))), each a word; zero while
    /// the queue is empty.
    bytes32 public accumulator;

    /// @param blockGasMax_ most L2 gas that the entries of one L1 block may declare together; at least 2 * GAS_MIN
    constructor(uint64 blockGasMax_) {
        if (blockGasMax_ < 2 * GAS_MIN) revert GasOutOfRange(blockGasMax_, 2 * GAS_MIN, type(uint64).max);
        blockGasMax = blockGasMax_;
        blockGasTarget = blockGasMax_ / 2;
    }

    /// @notice Puts an entry at the end of the queue, and gives back what was sent above the fee.
    /// @dev The fee stays here for good: paid to anybody, it would be cheap for him to fill the queue and crowd others
    /// out.
    /// @param kind 0
    /// @param gas L2 gas the entry may use; a transaction with a higher limit is invalid on L2
    /// @param payload the raw transaction
    /// @return index the entry's place in the queue
    function enqueue(uint8 kind, uint64 gas, bytes calldata payload) external payable returns (uint64 index) {
        if (kind != SIGNED_TRANSACTION) revert UnknownKind(kind);
        if (payload.length == 0 || payload.length > PAYLOAD_BYTES_MAX) {
            revert PayloadLength(payload.length, PAYLOAD_BYTES_MAX);
        }
        if (gas < GAS_MIN || gas > blockGasMax) revert GasOutOfRange(gas, GAS_MIN, blockGasMax);

        uint256 over = _charge(gas);
        index = _append(kind, gas, payload);
        // Last, after every effect: whoever re-enters from here enqueues another entry behind this one.
        if (over != 0) {
            (bool isBack,) = msg.sender.call{value: over}("");
            if (!isBack) revert RefundFailed(msg.sender, over);
        }
    }

    /// @notice What an entry costs if it joins now, in wei.
    /// @param gas L2 gas the entry may use
    function feeOf(uint64 gas) external view returns (uint256) {
        (uint64 backlog_, uint64 used) = _now();
        return uint256(gas) * _feePerGas(uint256(backlog_) + used);
    }

    /// @dev Takes the gas out of this L1 block's and returns what was sent above the fee.
    function _charge(uint64 gas) private returns (uint256 over) {
        (uint64 backlog_, uint64 used) = _now();
        if (gas > blockGasMax - used) revert BlockGasExhausted(gas, blockGasMax - used);
        uint256 fee = uint256(gas) * _feePerGas(uint256(backlog_) + used);
        if (msg.value < fee) revert FeeTooLow(msg.value, fee);
        lastBlock = uint64(block.number);
        lastBlockGas = used + gas;
        _backlog = backlog_;
        return msg.value - fee;
    }

    function _append(uint8 kind, uint64 gas, bytes calldata payload) private returns (uint64 index) {
        index = length;
        bytes32 entry = keccak256(abi.encode(index, kind, gas, keccak256(payload)));
        bytes32 next = keccak256(abi.encode(accumulator, entry));
        length = index + 1;
        accumulator = next;
        emit Enqueued(index, kind, gas, payload, next);
    }

    /// @dev The backlog before this L1 block and the gas used in it. The backlog fits 64 bits: a block adds at most half
    /// of blockGasMax to it, and there are not that many blocks.
    function _now() private view returns (uint64 backlog_, uint64 used) {
        uint64 passed = uint64(block.number) - lastBlock;
        if (passed == 0) return (_backlog, lastBlockGas);
        uint256 relief = uint256(passed) * blockGasTarget;
        uint256 grown = uint256(_backlog) + lastBlockGas;
        return (grown > relief ? uint64(grown - relief) : 0, 0);
    }

    /// @dev Linear in what waits: twice the minimum once a target's worth does. Rounded up, against who enqueues.
    function _feePerGas(uint256 queued) private view returns (uint256) {
        return FEE_PER_GAS_MIN + (FEE_PER_GAS_MIN * queued + blockGasTarget - 1) / blockGasTarget;
    }
}
