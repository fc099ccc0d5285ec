// Gives the npm package `solc` (WebAssembly) the two options of a native solc that py-solc-x uses: `--version`, and
// `--standard-json` from stdin to stdout. Sources come complete in the input, so there is no import callback.
// With `--serve` it stays: a line of standard JSON in, a line out, until its input ends.
// Usage: node solc.cjs <node_modules> --version | --standard-json | --serve
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
} else if (process.argv.includes("--serve")) {
  require("readline").createInterface({ input: process.stdin, crlfDelay: Infinity }).on("line", (line) => {
    process.stdout.write(JSON.stringify(JSON.parse(solc.compile(line))) + "\n");
  });
} else {
  console.error("solc.cjs: expected --version, --serve or --standard-json");
  process.exitCode = 2;
}
