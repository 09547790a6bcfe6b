#!/usr/bin/env python3
"""Runs a WASI preview 1 command module in wasmtime, the gateway's engine: run-in-wasmtime.py MODULE.wasm [ARGS..]

For CARGO_TARGET_WASM32_WASIP1_RUNNER, after `pip install wasmtime`. EPOCHS=1 compiles in the checks by which the gateway interrupts a
runaway guest.
"""

import os
import sys
from importlib.metadata import version

from wasmtime import Config, Engine, ExitTrap, Linker, Module, Store, WasiConfig

args = sys.argv[1:]
if args[0] == "--":
    args = args[1:]
epochs = os.environ.get("EPOCHS") == "1"

config = Config()
config.epoch_interruption = epochs
engine = Engine(config)
store = Store(engine)
if epochs:
    store.set_epoch_deadline(1)  # nobody advances the epoch: the checks are paid for and never fire

wasi = WasiConfig()
wasi.argv = args
wasi.env = [("CORDBOARD_ENGINE", f"wasmtime {version('wasmtime')}" + " with epochs" * epochs)]
wasi.inherit_stdout()
wasi.inherit_stderr()
wasi.preopen_dir("/", "/")
store.set_wasi(wasi)

linker = Linker(engine)
linker.define_wasi()
instance = linker.instantiate(store, Module.from_file(engine, args[0]))
try:
    instance.exports(store)["_start"](store)
except ExitTrap as trap:
    sys.exit(trap.code)
