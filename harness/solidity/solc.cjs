// Gives the npm package `solc` (WebAssembly) the two options of a native solc that py-solc-x uses: `--version`, and
// `--standard-json` from stdin to stdout. Sources come complete in the input, so there is no import callback.
// Usage: node solc.cjs <node_modules> --version | --standard-json
"use strict";
// A compiler nobody waits for any more would go on for seconds; the compilation blocks this thread, so another one looks.
const { Worker } = require("worker_threads");
new Worker(
  "const parent = " + process.ppid + ";" +
  "setInterval(() => { if (process.ppid !== parent) process.kill(process.pid, 'SIGKILL'); }, 100);",
  { eval: true },
).unref();
const path = require("path");
const solc = require(path.join(process.argv[2], "solc"));

if (process.argv.includes("--version")) {
  console.log("solc, the solidity compiler commandline interface\nVersion: " + solc.version());
} else if (process.argv.includes("--standard-json")) {
  process.stdout.write(solc.compile(require("fs").readFileSync(0, "utf8")));
} else {
  console.error("solc.cjs: expected --version or --standard-json");
  process.exitCode = 2;
}
