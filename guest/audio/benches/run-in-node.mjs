// Runs a WASI preview 1 command module in Node: `node run-in-node.mjs MODULE.wasm [ARGS..]`.
//
// For CARGO_TARGET_WASM32_WASIP1_RUNNER where no other engine is at hand. The V8 it runs on is not the engine
// of the gateway (that is wasmtime), so take its figures as a second opinion.
import { readFile } from "node:fs/promises";
import process from "node:process";

process.removeAllListeners("warning"); // node:wasi says at every start that it is experimental
process.on("warning", () => {});
const { WASI } = await import("node:wasi");

const [module, ...args] = process.argv.slice(2).filter((arg, i) => !(i === 0 && arg === "--"));
const wasi = new WASI({
  version: "preview1",
  args: [module, ...args],
  env: { ...process.env, CORDBOARD_ENGINE: `V8 ${process.versions.v8} (node ${process.version})` },
  preopens: { "/": "/" },
});
const { instance } = await WebAssembly.instantiate(await readFile(module), wasi.getImportObject());
process.exitCode = wasi.start(instance);
