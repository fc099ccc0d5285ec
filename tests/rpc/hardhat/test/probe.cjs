"use strict";
const assert = require("node:assert");
const { ethers, network } = require("hardhat");

describe("Probe", function () {
  let probe, me, other;

  before(async function () {
    [me, other] = await ethers.getSigners();
    probe = await ethers.deployContract("Probe");
    await probe.waitForDeployment();
  });

  it("is deployed by an account of the node", async function () {
    assert.notStrictEqual(await ethers.provider.getCode(await probe.getAddress()), "0x");
    assert.strictEqual((await ethers.provider.getNetwork()).chainId, 901n);
  });

  it("writes, reads and emits", async function () {
    const receipt = await (await probe.connect(other).ping(7)).wait();
    assert.strictEqual(await probe.number(), 7n);
    const [event] = await probe.queryFilter("Pinged", receipt.blockNumber);
    assert.strictEqual(event.args.who, other.address);
  });

  it("says why it reverts", async function () {
    await assert.rejects(probe.fail(), /no way/);
    await assert.rejects(probe.refuse(3), /custom error 0x[0-9a-f]{8}/);
  });

  it("waits for a block with evm_mine", async function () {
    const before = await ethers.provider.getBlockNumber();
    await network.provider.send("evm_mine");
    assert.ok((await ethers.provider.getBlockNumber()) > before);
  });

  it("raises a balance with hardhat_setBalance", async function () {
    const poor = ethers.Wallet.createRandom().address;
    await network.provider.send("hardhat_setBalance", [poor, "0x64"]);
    assert.strictEqual(await ethers.provider.getBalance(poor), 100n);
    await assert.rejects(network.provider.send("hardhat_setBalance", [poor, "0x1"]), /can only be raised/);
  });

  it("says why a helper is not offered", async function () {
    await assert.rejects(network.provider.send("evm_increaseTime", [60]), /time belongs to all nodes together/);
    await assert.rejects(network.provider.send("hardhat_reset"), /forks no other/);
  });
});
