// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @title A token whose transfers say that they failed
contract RefusingToken {
    fallback(bytes calldata) external returns (bytes memory) {
        return abi.encode(false);
    }
}

/// @title Something that calls itself upgradeable, of another kind
contract OddImplementation {
    function proxiableUUID() external pure returns (bytes32) {
        return bytes32(uint256(1));
    }
}

/// @title Reverts without a word
contract Silent {
    fallback() external payable {
        revert();
    }
}
