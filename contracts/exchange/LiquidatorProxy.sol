// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {ERC1967Proxy} from "@openzeppelin/contracts/proxy/ERC1967/ERC1967Proxy.sol";

/// @title Where the liquidator is, whichever version
/// @notice The vault and the clearing house know this address and no implementation's, so only the version behind it can
/// liquidate. The version decides who may switch to the next (UUPS): the timelock.
contract LiquidatorProxy is ERC1967Proxy {
    /// @param implementation the first version
    /// @param data its initialisation
    constructor(address implementation, bytes memory data) ERC1967Proxy(implementation, data) {}
}
