// The session with viem.
"use strict";
const { httpUrl, wsUrl, key, otherKey, clients, probe, step, must, failure, until, proven, run } =
  require("./session.cjs");
const { createPublicClient, createWalletClient, defineChain, http, webSocket, keccak256, fromRlp, toHex, numberToHex,
  encodeFunctionData, BaseError, ContractFunctionRevertedError } = clients("viem");
const { privateKeyToAccount } = clients("viem/accounts");

run(async () => {
  const chain = defineChain({ id: 901, name: "harness", nativeCurrency: { name: "Ether", symbol: "ETH", decimals: 18 },
    rpcUrls: { default: { http: [httpUrl], webSocket: [wsUrl] } } });
  const client = createPublicClient({ chain, transport: http(httpUrl, { batch: true }), pollingInterval: 100,
    cacheTime: 0 });
  const socket = createPublicClient({ chain, transport: webSocket(wsUrl) });
  const account = privateKeyToAccount(key);
  const wallet = createWalletClient({ account, chain, transport: http(httpUrl), pollingInterval: 100 });
  const other = privateKeyToAccount(otherKey).address;
  const me = account.address;
  const rpc = (method, ...params) => client.request({ method, params });
  const landed = (hash) => client.waitForTransactionReceipt({ hash });
  const inner = (error, kind) => error instanceof BaseError && error.walk((each) => each instanceof kind);
  const told = (error) => (error.details || "") + " " + error.message;

  step("chain id", await client.getChainId());
  must((await rpc("web3_clientVersion")).startsWith("harness/"), "client version");
  step("client version");
  const first = await client.getBlockNumber();
  await until(async () => (await client.getBlockNumber()) > first, "a new block");
  step("blocks come");
  const latest = await client.getBlock();
  must(latest.number >= first, "latest");
  step("latest");
  must((await client.getBlock({ blockTag: "safe" })).number <= (await client.getBlockNumber()), "safe above latest");
  step("safe");
  const finalized = await client.getBlock({ blockTag: "finalized" });
  must(finalized.number <= (await client.getBlock({ blockTag: "safe" })).number, "finalized above safe");
  step("finalized");
  must((await client.getBlock({ blockHash: latest.hash })).number === latest.number, "by hash");
  must((await client.getBlock({ blockNumber: latest.number })).hash === latest.hash, "by number");
  step("by hash and number");
  must((await client.getBlock({ blockTag: "earliest" })).number === 0n, "earliest");
  step("earliest");
  const had = await client.getBalance({ address: other });
  must((await client.getBalance({ address: me })) > 10n ** 18n, "money");
  step("balance");
  const nonce = await client.getTransactionCount({ address: me });
  step("nonce");
  must((await client.estimateFeesPerGas()).maxFeePerGas > 0n, "fees");
  step("fees");
  const history = await client.getFeeHistory({ blockCount: 2, rewardPercentiles: [50] });
  must(history.baseFeePerGas.length === history.gasUsedRatio.length + 1, "fee history");
  step("fee history");
  step("estimate", await client.estimateGas({ account: me, to: other, value: 1n }));

  const sent = await wallet.sendTransaction({ to: other, value: 123n });
  const receipt = await landed(sent);
  must(receipt.status === "success", "status");
  step("transfer");
  must((await client.getBalance({ address: other })) - had === 123n, "the other has not got it");
  step("transferred");
  must((await client.getTransactionCount({ address: me })) === nonce + 1, "nonce");
  step("nonce used");
  const found = await client.getTransaction({ hash: sent });
  must(found.blockNumber === receipt.blockNumber && found.value === 123n, "transaction");
  step("transaction");
  const block = await client.getBlock({ blockHash: receipt.blockHash });
  must(block.transactions[receipt.transactionIndex] === sent, "place");
  must((await rpc("eth_getBlockReceipts", receipt.blockHash)).some((r) => r.transactionHash === sent),
    "block receipts");
  step("receipt");

  const deployed = await landed(await wallet.deployContract({ abi: probe.abi, bytecode: probe.bytecode }));
  const address = deployed.contractAddress;
  const at = { address, abi: probe.abi };
  const read = (where = {}) => client.readContract({ ...at, functionName: "number", ...where });
  step("deploy");
  step("code", (await client.getCode({ address })).length);
  step("call", await read());
  const pinged = await landed(await wallet.writeContract({ ...at, functionName: "ping", args: [42n] }));
  must(pinged.status === "success", "ping");
  step("write");
  step("read", await read());
  step("read before", await read({ blockNumber: pinged.blockNumber - 1n }));
  step("storage", BigInt(await client.getStorageAt({ address, slot: "0x0" })));
  const logs = await client.getContractEvents({ ...at, eventName: "Pinged", fromBlock: pinged.blockNumber });
  must(logs.length === 1 && logs[0].args.who === me, "log");
  step("logs", logs[0].args.number);
  step("no logs", (await client.getContractEvents({ ...at, eventName: "Pinged", args: { who: other },
    fromBlock: 0n })).length);

  const heads = [];
  const heard = [];
  const pending = [];
  const onError = (error) => { throw error; };
  const stops = [
    socket.watchBlocks({ onBlock: (each) => heads.push(each.number), onError }),
    socket.watchContractEvent({ ...at, eventName: "Pinged", onLogs: (each) => heard.push(...each), onError }),
    socket.watchPendingTransactions({ onTransactions: (each) => pending.push(...each), onError }),
  ];
  await until(() => heads.length >= 3, "three heads");
  must(heads.every((number, index) => index === 0 || number === heads[index - 1] + 1n), "heads skip: " + heads);
  step("subscribed heads");
  const again = await wallet.writeContract({ ...at, functionName: "ping", args: [43n] });
  await until(() => pending.includes(again), "the pending hash");
  step("subscribed pending");
  await until(() => heard.length === 1, "the log");
  must(heard[0].transactionHash === again && heard[0].removed === false, "which log");
  step("subscribed logs");
  stops.forEach((stop) => stop());

  const reason = await failure(client.simulateContract({ ...at, functionName: "fail" }));
  step("reason", inner(reason, ContractFunctionRevertedError).reason);
  const custom = inner(await failure(client.simulateContract({ ...at, functionName: "refuse", args: [7n] })),
    ContractFunctionRevertedError);
  must(custom.data.errorName === "Refused", "custom error");
  step("custom error", custom.data.args[0]);
  const data = encodeFunctionData({ abi: probe.abi, functionName: "fail" });
  const refusal = await failure(client.estimateGas({ account: me, to: address, data }));
  must(told(refusal).includes("no way"), told(refusal));
  step("estimate of a revert", "no way");
  const failed = await landed(await wallet.sendTransaction({ to: address, data, gas: 100_000n }));
  step("failed transaction", failed.status === "reverted" ? 0 : 1);
  step("override", await read({ stateOverride: [{ address, stateDiff: [{ slot: toHex(0, { size: 32 }),
    value: toHex(99, { size: 32 }) }] }] }));

  const waiting = () => client.getTransactionCount({ address: me, blockTag: "pending" });
  let next = await waiting();
  const late = await wallet.sendTransaction({ to: other, value: 2n, nonce: next + 1, gas: 21_000n });
  must((await client.getTransaction({ hash: late })).blockNumber === null, "it cannot be in a block");
  step("nonce gap");
  const early = await wallet.sendTransaction({ to: other, value: 1n, nonce: next, gas: 21_000n });
  const order = [await landed(early), await landed(late)];
  must(order[0].blockNumber < order[1].blockNumber || order[0].transactionIndex < order[1].transactionIndex, "order");
  step("gap filled");

  next = await waiting();
  const paying = (fee, value) => ({ to: other, value, nonce: next + 1, gas: 21_000n, maxFeePerGas: fee,
    maxPriorityFeePerGas: fee });
  const cheap = await wallet.sendTransaction(paying(1_000_000_000n, 3n));
  const underpriced = await failure(wallet.sendTransaction(paying(1_050_000_000n, 4n)));
  must(told(underpriced).includes("replacement transaction underpriced"), told(underpriced));
  step("underpriced", "REPLACEMENT_UNDERPRICED");
  const dear = await wallet.sendTransaction(paying(1_100_000_000n, 5n));
  await wallet.sendTransaction({ to: other, value: 1n, nonce: next, gas: 21_000n });
  await landed(dear);
  must((await failure(client.getTransactionReceipt({ hash: cheap }))).name === "TransactionReceiptNotFoundError",
    "the replaced one landed");
  must((await failure(client.getTransaction({ hash: cheap }))).name === "TransactionNotFoundError",
    "the replaced one is still known");
  step("replacement");
  const poor = await failure(wallet.sendTransaction({ to: other, value: 10n ** 30n, gas: 21_000n, nonce: next + 2 }));
  must(poor.walk((each) => each.name === "InsufficientFundsError"), told(poor));
  step("insufficient funds", "INSUFFICIENT_FUNDS");
  const low = await failure(wallet.sendTransaction({ to: other, nonce: 0, gas: 21_000n }));
  must(low.walk((each) => each.name === "NonceTooLowError"), told(low));
  step("nonce too low", "NONCE_EXPIRED");

  const head = await client.getBlock();
  const proof = await rpc("eth_getProof", address, [toHex(0, { size: 32 })], numberToHex(head.number));
  const decode = (bytes) => fromRlp(bytes, "hex");
  const held = proven(head.stateRoot, address, proof.accountProof, keccak256, decode);
  must(decode(held)[2] === proof.storageHash, "the account's storage root");
  step("account proof");
  const slot = proven(proof.storageHash, toHex(0, { size: 32 }), proof.storageProof[0].proof, keccak256, decode);
  step("storage proof", BigInt(decode(slot)));

  const reached = async (blockTag) => (await client.getBlock({ blockTag })).number >= pinged.blockNumber;
  await until(() => reached("safe"), "the block to be safe");
  step("read at safe", (await read({ blockTag: "safe" })) >= 42n);
  await until(() => reached("finalized"), "the block to be finalized");
  step("read at finalized", (await read({ blockTag: "finalized" })) >= 42n);
});
