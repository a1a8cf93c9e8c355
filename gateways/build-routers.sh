#!/usr/bin/env bash
# Builds Hive Router and Apollo Router where `npm run test:routers` looks for them. Hive Router wants Rust 1.97; with an older
# default, name a toolchain that you have: HIVE_TOOLCHAIN=nightly. Both want protoc, as from Debian's protobuf-compiler.
set -euo pipefail

root="${XDG_CACHE_HOME:-$HOME/.cache}/onenet-ota-subgraph/routers"
# Debug builds without debug information are good enough for the tests.
export CARGO_PROFILE_DEV_DEBUG=0 CARGO_INCREMENTAL=0

# Without the feature its build installs npm packages.
cargo ${HIVE_TOOLCHAIN:+"+$HIVE_TOOLCHAIN"} install hive-router@0.3.10 --locked --debug --features graphiql --root "$root"
cargo install apollo-router@2.13.1 --locked --debug --root "$root"
