// The session with ethers 6.
"use strict";
const { httpUrl, wsUrl, key, otherKey, clients, probe, step, must, failure, until, proven, run } =
  require("./session.cjs");
const { ethers } = clients("ethers");

run(async () => {
  const provider = new ethers.JsonRpcProvider(httpUrl, undefined, { pollingInterval: 100, cacheTimeout: -1 });
  const socket = new ethers.WebSocketProvider(wsUrl);
  const wallet = new ethers.Wallet(key, provider);
  const other = new ethers.Wallet(otherKey, provider).address;
  const me = wallet.address;

  step("chain id", (await provider.getNetwork()).chainId);
  must((await provider.send("web3_clientVersion", [])).startsWith("harness/"), "client version");
  step("client version");
  const first = await provider.getBlockNumber();
  await until(async () => (await provider.getBlockNumber()) > first, "a new block");
  step("blocks come");
  const latest = await provider.getBlock("latest");
  must(latest.number >= first, "latest");
  step("latest");
  const safe = await provider.getBlock("safe");
  const finalized = await provider.getBlock("finalized");
  must(safe.number <= (await provider.getBlockNumber()), "safe above latest");
  step("safe");
  must(finalized.number <= (await provider.getBlock("safe")).number, "finalized above safe");
  step("finalized");
  must((await provider.getBlock(latest.hash)).hash === (await provider.getBlock(latest.number)).hash, "by hash");
  step("by hash and number");
  must((await provider.getBlock("earliest")).number === 0, "earliest");
  step("earliest");
  const had = await provider.getBalance(other);
  must((await provider.getBalance(me)) > 10n ** 18n, "money");
  step("balance");
  const nonce = await provider.getTransactionCount(me);
  step("nonce");
  const fees = await provider.getFeeData();
  must(fees.gasPrice > 0n, "fees"); // without a base fee ethers pays the old way, with a gas price
  step("fees");
  const history = await provider.send("eth_feeHistory", ["0x2", "latest", [50]]);
  must(history.baseFeePerGas.length === history.gasUsedRatio.length + 1, "fee history");
  step("fee history");
  step("estimate", await provider.estimateGas({ from: me, to: other, value: 1n }));

  const sent = await wallet.sendTransaction({ to: other, value: 123n });
  const receipt = await sent.wait();
  must(receipt.status === 1, "status");
  step("transfer");
  must((await provider.getBalance(other)) - had === 123n, "the other has not got it");
  step("transferred");
  must((await provider.getTransactionCount(me)) === nonce + 1, "nonce");
  step("nonce used");
  const found = await provider.getTransaction(sent.hash);
  must(found.blockNumber === receipt.blockNumber && found.value === 123n, "transaction");
  step("transaction");
  const block = await provider.getBlock(receipt.blockHash);
  must(block.transactions[receipt.index] === sent.hash, "place");
  must((await provider.send("eth_getBlockReceipts", [receipt.blockHash])).some((r) => r.transactionHash === sent.hash),
    "block receipts");
  step("receipt");

  const factory = new ethers.ContractFactory(probe.abi, probe.bytecode, wallet);
  const contract = await factory.deploy();
  const deployed = await contract.deploymentTransaction().wait();
  const at = deployed.contractAddress;
  step("deploy");
  step("code", (await provider.getCode(at)).length);
  step("call", await contract.number());
  const pinged = await (await contract.ping(42n)).wait();
  must(pinged.status === 1, "ping");
  step("write");
  step("read", await contract.number());
  step("read before", await contract.number({ blockTag: pinged.blockNumber - 1 }));
  step("storage", BigInt(await provider.getStorage(at, 0)));
  const logs = await contract.queryFilter("Pinged", pinged.blockNumber, "latest");
  must(logs.length === 1 && logs[0].args.who === me, "log");
  step("logs", logs[0].args.number);
  step("no logs", (await contract.queryFilter(contract.filters.Pinged(other), 0)).length);

  const heads = [];
  await socket.on("block", (number) => heads.push(number));
  const heard = [];
  await socket.on({ address: at }, (log) => heard.push(log));
  const pending = [];
  await socket.on("pending", (hash) => pending.push(hash));
  await until(() => heads.length >= 3, "three heads");
  must(heads.every((number, index) => index === 0 || number === heads[index - 1] + 1), "heads skip: " + heads);
  step("subscribed heads");
  const again = await contract.ping(43n);
  await until(() => pending.includes(again.hash), "the pending hash");
  step("subscribed pending");
  await until(() => heard.length === 1, "the log");
  must(heard[0].transactionHash === again.hash && heard[0].removed === false, "which log");
  step("subscribed logs");

  step("reason", (await failure(contract.fail.staticCall())).reason);
  const custom = await failure(contract.refuse.staticCall(7n));
  must(custom.revert.name === "Refused", "custom error");
  step("custom error", custom.revert.args[0]);
  step("estimate of a revert", (await failure(provider.estimateGas({ to: at,
    data: contract.interface.encodeFunctionData("fail") }))).reason);
  const failed = await failure((await wallet.sendTransaction({ to: at, gasLimit: 100_000n,
    data: contract.interface.encodeFunctionData("fail") })).wait());
  step("failed transaction", failed.receipt.status);
  const pretended = await provider.send("eth_call", [
    { to: at, data: contract.interface.encodeFunctionData("number") }, "latest",
    { [at]: { stateDiff: { [ethers.toBeHex(0, 32)]: ethers.toBeHex(99, 32) } } },
  ]);
  step("override", BigInt(pretended));

  let next = await provider.getTransactionCount(me, "pending");
  const late = await wallet.sendTransaction({ to: other, value: 2n, nonce: next + 1, gasLimit: 21_000n });
  must((await provider.getTransaction(late.hash)).blockNumber === null, "it cannot be in a block");
  step("nonce gap");
  const early = await wallet.sendTransaction({ to: other, value: 1n, nonce: next, gasLimit: 21_000n });
  const order = [await early.wait(), await late.wait()];
  must(order[0].blockNumber < order[1].blockNumber || order[0].index < order[1].index, "order");
  step("gap filled");

  next = await provider.getTransactionCount(me, "pending");
  const paying = (fee, value) => ({ to: other, value, nonce: next + 1, gasLimit: 21_000n, maxFeePerGas: fee,
    maxPriorityFeePerGas: fee });
  const cheap = await wallet.sendTransaction(paying(1_000_000_000n, 3n));
  const underpriced = await failure(wallet.sendTransaction(paying(1_050_000_000n, 4n)));
  step("underpriced", underpriced.code);
  const dear = await wallet.sendTransaction(paying(1_100_000_000n, 5n));
  await wallet.sendTransaction({ to: other, value: 1n, nonce: next, gasLimit: 21_000n });
  await provider.waitForTransaction(dear.hash);
  must((await provider.getTransactionReceipt(cheap.hash)) === null, "the replaced one landed");
  must((await provider.getTransaction(cheap.hash)) === null, "the replaced one is still known");
  step("replacement");
  step("insufficient funds", (await failure(wallet.sendTransaction({ to: other, value: 10n ** 30n, gasLimit: 21_000n,
    nonce: next + 2 }))).code);
  step("nonce too low", (await failure(wallet.sendTransaction({ to: other, nonce: 0, gasLimit: 21_000n }))).code);

  const head = await provider.getBlock("latest");
  const state = (await provider.send("eth_getBlockByHash", [head.hash, false])).stateRoot;
  const proof = await provider.send("eth_getProof", [at, [ethers.toBeHex(0, 32)], { blockHash: head.hash }]);
  const account = proven(state, at, proof.accountProof, ethers.keccak256, ethers.decodeRlp);
  must(ethers.decodeRlp(account)[2] === proof.storageHash, "the account's storage root");
  step("account proof");
  const slot = proven(proof.storageHash, ethers.toBeHex(0, 32), proof.storageProof[0].proof, ethers.keccak256,
    ethers.decodeRlp);
  step("storage proof", BigInt(ethers.decodeRlp(slot)));

  await until(async () => (await provider.getBlock("safe")).number >= pinged.blockNumber, "the block to be safe");
  step("read at safe", (await contract.number({ blockTag: "safe" })) >= 42n);
  await until(async () => (await provider.getBlock("finalized")).number >= pinged.blockNumber, "to be finalized");
  step("read at finalized", (await contract.number({ blockTag: "finalized" })) >= 42n);
});
