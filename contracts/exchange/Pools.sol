// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @title Pools, and the account that an owner has in each
/// @notice Pool 0 is the cross pool, where an account is its owner's address. In an isolated pool it is an address derived
/// from both, which nobody has a key to, so that a position, cash or an auction names its pool by its account alone.
abstract contract Pools {
    /// @notice The pool is not there; the highest number is `count`.
    error UnknownPool(uint32 pool, uint32 count);
    /// @notice Move collateral into the pool first.
    error AccountNotOpen(address owner, uint32 pool);

    /// @notice The owner's account in an isolated pool; emitted once.
    event AccountOpened(address indexed account, address indexed owner, uint32 indexed pool);

    /// @dev What is known of an account; one slot.
    struct Member {
        /// Whether it ever held anything.
        bool isRegistered;
        /// 0 also for whoever was never seen.
        uint32 pool;
    }

    /// @notice Number of isolated pools; theirs are 1 to this.
    uint32 public poolCount;

    mapping(address account => Member) private _members;
    mapping(uint32 pool => address[]) private _accounts;

    /// @notice The pool whose collateral backs an account.
    function poolOf(address account) public view returns (uint32) {
        return _members[account].pool;
    }

    /// @notice Whether an account ever held anything.
    function isRegistered(address account) external view returns (bool) {
        return _members[account].isRegistered;
    }

    /// @notice Every account of a pool that ever held anything, in order of registration.
    function accounts(uint32 pool) external view returns (address[] memory) {
        return _accounts[pool];
    }

    /// @notice Where an owner's account in a pool is, whether or not it is open.
    function accountOf(address owner, uint32 pool) public pure returns (address) {
        return pool == 0 ? owner : address(uint160(uint256(keccak256(abi.encode(owner, pool)))));
    }

    /// @notice An owner's account in a pool; reverts with `AccountNotOpen` before collateral was moved there.
    function accountIn(address owner, uint32 pool) public view returns (address account) {
        account = accountOf(owner, pool);
        if (pool != 0 && _members[account].pool != pool) revert AccountNotOpen(owner, pool);
    }

    /// @dev Takes a pool into use if it is the next number.
    function _admit(uint32 pool) internal {
        uint32 count = poolCount;
        if (pool <= count) return;
        if (pool > count + 1) revert UnknownPool(pool, count);
        poolCount = pool;
    }

    function _requireKnown(uint32 pool) internal view {
        if (pool > poolCount) revert UnknownPool(pool, poolCount);
    }

    /// @dev The owner's account in a pool, opened if need be.
    function _open(address owner, uint32 pool) internal returns (address account) {
        account = accountOf(owner, pool);
        if (pool == 0 || _members[account].pool == pool) return account;
        _members[account].pool = pool;
        emit AccountOpened(account, owner, pool);
    }

    function _register(address account) internal {
        Member storage member = _members[account];
        if (member.isRegistered) return;
        member.isRegistered = true;
        _accounts[member.pool].push(account);
    }
}
