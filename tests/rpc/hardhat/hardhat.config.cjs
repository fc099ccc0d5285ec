// A project as Hardhat users have it, but for its compiler: the one npm brought, since the test machine may be offline.
"use strict";
const path = require("path");
const { createRequire } = require("module");
const clients = createRequire(path.join(process.env.RPC_CLIENTS, "package.json"));
clients("@nomicfoundation/hardhat-ethers");
const { subtask } = clients("hardhat/config");
const { TASK_COMPILE_SOLIDITY_GET_SOLC_BUILD } = clients("hardhat/builtin-tasks/task-names");

const version = clients("solc/package.json").version;
subtask(TASK_COMPILE_SOLIDITY_GET_SOLC_BUILD, async () => ({
  compilerPath: clients.resolve("solc/soljson.js"),
  isSolcJs: true,
  version,
  longVersion: version,
}));

module.exports = {
  solidity: { version, settings: { evmVersion: "cancun" } },
  defaultNetwork: "harness",
  // No accounts: Hardhat asks the node for them (eth_accounts) and has it sign (eth_sendTransaction).
  networks: { harness: { url: process.env.RPC_URL, chainId: 901 } },
  mocha: { timeout: 60_000 },
};
