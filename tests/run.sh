#!/bin/sh
# Runs every test. Needs Rust, git, a C compiler and make; uses cargo-nextest where it is installed. The
# clients for Python and Node are tested where python3 and node are installed.
#
#   sh tests/run.sh            all of them
#   sh tests/run.sh NAME       of the rehearsals, those whose name holds NAME
set -eu
cd "$(dirname "$0")/.."

step() { printf '\n== %s\n' "$*"; }

if cargo nextest --version >/dev/null 2>&1; then
    run="cargo nextest run"
else
    run="cargo test"
fi

if [ $# -gt 0 ]; then
    step "rehearsals: $1"
    exec $run --features simulator --test rehearsal "$1"
fi

# What this machine cannot test is listed at the end.
WASESSIOND_SKIPPED=$(mktemp)
export WASESSIOND_SKIPPED
trap 'rm -f "$WASESSIOND_SKIPPED"' EXIT

# The crate itself, with the daemon that rehearses, and the clients in Python and Node.
step "the daemon, wactl, the library"
$run --features simulator

step "the examples in the documentation"
cargo test --quiet --doc --features simulator

# A real build checks WhatsApp's certificate and refuses a configured endpoint. Built by itself: cargo
# joins the features of everything it builds in one run.
step "a real build refuses the simulator"
$run --lib --bins whatsapp::

step "the simulator"
$run --package wasim
cargo test --quiet --doc --package wasim

step "the main job"
cargo run --quiet --example demo --features simulator

if [ -s "$WASESSIOND_SKIPPED" ]; then
    printf '\nEverything passed, but this machine could not test:\n'
    sort -u "$WASESSIOND_SKIPPED"
else
    printf '\nEverything passed.\n'
fi
