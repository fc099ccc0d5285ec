// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

/// @notice A maker's signed offer, taken by whoever presents it.
struct Quote {
    address maker;
    uint256 seriesId;
    /// 1e18 quote per 1 underlying.
    int256 price;
    /// 1e18 underlying; the largest size, signed from the taker's side (> 0: the taker buys).
    int256 size;
    /// Last timestamp, in seconds, at which it may be taken.
    uint64 deadline;
    /// Any number the maker has not used.
    uint256 nonce;
}

/// @title Signed quotes: EIP-712 hashes and used nonces
abstract contract Quotes is EIP712 {
    /// @notice The quote's signature is of another account than its maker.
    error WrongSigner(address signer, address maker);

    /// @notice The maker's nonce has been used.
    error NonceUsed(address maker, uint256 nonce);

    bytes32 private constant QUOTE_TYPE = keccak256(
        "Quote(address maker,uint256 seriesId,int256 price,int256 size,uint64 deadline,uint256 nonce)"
    );

    /// @dev maker → nonce / 256 → bitmap of used nonces: 256 quotes a slot.
    mapping(address maker => mapping(uint256 word => uint256 bits)) private _usedNonces;

    constructor() EIP712("Harness Exchange", "1") {}

    /// @notice Whether this maker's nonce has been used.
    function isNonceUsed(address maker, uint256 nonce) public view returns (bool) {
        return _usedNonces[maker][nonce >> 8] & (1 << (nonce & 0xff)) != 0;
    }

    /// @notice The digest the maker signs.
    function hashQuote(Quote calldata quote) public view returns (bytes32) {
        return _hashTypedDataV4(
            keccak256(
                abi.encode(
                    QUOTE_TYPE, quote.maker, quote.seriesId, quote.price, quote.size, quote.deadline, quote.nonce
                )
            )
        );
    }

    /// @dev Checks who signed and uses the nonce up.
    function _useQuote(Quote calldata quote, bytes calldata makerSignature) internal {
        address signer = ECDSA.recover(hashQuote(quote), makerSignature);
        if (signer != quote.maker) revert WrongSigner(signer, quote.maker);
        if (isNonceUsed(quote.maker, quote.nonce)) revert NonceUsed(quote.maker, quote.nonce);
        _usedNonces[quote.maker][quote.nonce >> 8] |= 1 << (quote.nonce & 0xff);
    }
}
