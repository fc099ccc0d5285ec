// A session of toxiproxy-node-client against a running network: what it does to a front door, a JSON-RPC call feels.
// Prints how many ms calls took at each step, as one JSON document.
const { Toxiproxy } = require("toxiproxy-node-client");

async function main(api, door, url) {
  const call = async () => {
    const began = performance.now();
    const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "eth_chainId" });
    const reply = await fetch(url, { method: "POST", headers: { "content-type": "application/json" }, body });
    const { result } = await reply.json();
    if (result !== "0x385") throw new Error("another chain: " + result);
    return performance.now() - began;
  };
  const fastest = async () => Math.min(await call(), await call(), await call(), await call(), await call());

  const proxy = await new Toxiproxy(api).get(door);
  const seen = { before: await fastest() };
  const toxic = await proxy.addToxic({
    name: "slow", type: "latency", stream: "downstream", toxicity: 1, attributes: { latency: 250, jitter: 0 },
  });
  seen.slow = await fastest();
  await toxic.update({ attributes: { latency: 500 } });
  seen.slower = await fastest();
  await toxic.remove();
  seen.removed = await fastest();
  await proxy.addToxic({
    name: "again", type: "latency", stream: "upstream", toxicity: 1, attributes: { latency: 250, jitter: 0 },
  });
  seen.again = await fastest();
  await new Toxiproxy(api).reset();
  seen.reset = await fastest();
  return seen;
}

main(...process.argv.slice(2)).then(
  (seen) => console.log(JSON.stringify(seen)),
  (error) => { console.error(error); process.exit(1); },
);
