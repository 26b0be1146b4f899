#!/usr/bin/env bash
# Finds a proofload or builds one from the sources that this action came with, and names it.
set -euo pipefail

if [ -n "${INPUT_BINARY:-}" ]; then
    binary=$INPUT_BINARY
elif binary=$(command -v proofload); then
    :
else
    cargo install --locked --root "$RUNNER_TEMP/proofload" --path "$GITHUB_ACTION_PATH/../../.."
    binary=$RUNNER_TEMP/proofload/bin/proofload
fi
"$binary" --version
printf 'binary=%s\n' "$binary" >>"$GITHUB_OUTPUT"
