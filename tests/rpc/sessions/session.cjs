// What the JavaScript sessions share: where they are, how a step is reported, and a proof checked by hand.
"use strict";
const fs = require("fs");
const path = require("path");
const { createRequire } = require("module");

const [httpUrl, wsUrl, key, otherKey] = process.argv.slice(2);
const clients = createRequire(path.join(process.env.RPC_CLIENTS, "package.json"));
const probe = JSON.parse(fs.readFileSync(path.join(__dirname, "..", "probe.json"), "utf8"));

/** Report one step; what it found goes to the test, which compares it between the clients. */
function step(name, value = null) {
  const plain = JSON.stringify({ step: name, value }, (_, each) => (typeof each === "bigint" ? each.toString() : each));
  process.stdout.write(plain + "\n");
}

function must(condition, why) {
  if (!condition) throw new Error(why);
}

/** The error a promise ends in; fails if it does not. */
async function failure(promise) {
  let value;
  try {
    value = await promise;
  } catch (error) {
    return error;
  }
  throw new Error("expected a failure, got " + String(value));
}

async function until(condition, what, seconds = 60) {
  const deadline = Date.now() + seconds * 1000;
  for (;;) {
    const found = await condition();
    if (found) return found;
    must(Date.now() < deadline, "not within " + seconds + " s: " + what);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** The value a Merkle-Patricia proof leads to, or null. `keccak` and `decode` are the library's own. */
function proven(root, keyHex, proof, keccak, decode) {
  let nibbles = keccak(keyHex).slice(2).split("").map((digit) => parseInt(digit, 16));
  let expected = root;
  for (const encoded of proof) {
    if (encoded.length >= 66) must(keccak(encoded) === expected, "a node of the proof has another hash");
    const node = decode(encoded);
    if (node.length === 17) {
      if (nibbles.length === 0) return node[16];
      expected = node[nibbles.shift()];
      if (expected === "0x") return null;
      continue;
    }
    const path = node[0].slice(2).split("").map((digit) => parseInt(digit, 16));
    const rest = path.slice(path[0] & 1 ? 1 : 2);
    if (rest.some((nibble, index) => nibble !== nibbles[index])) return null;
    nibbles = nibbles.slice(rest.length);
    if (path[0] >= 2) return nibbles.length === 0 ? node[1] : null;
    expected = node[1];
  }
  throw new Error("the proof ends before its key");
}

function run(main) {
  main().then(
    () => process.exit(0),
    (error) => {
      process.stderr.write(String(error && error.stack ? error.stack : error).slice(0, 4000) + "\n");
      process.exit(1);
    },
  );
}

module.exports = { httpUrl, wsUrl, key, otherKey, clients, probe, step, must, failure, until, proven, run };
