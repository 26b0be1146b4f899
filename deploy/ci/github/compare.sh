#!/usr/bin/env bash
# One comparison. What the workflow gave stands in INPUT_*; nothing of it is expanded or split, but
# for INPUT_ARGUMENTS, of which each line is one argument.
set -euo pipefail

arguments=(
    compare
    "--baseline=$INPUT_BASELINE"
    "--candidate=$INPUT_CANDIDATE"
    "--out-dir=$INPUT_OUT_DIR"
)
[ -z "${INPUT_WORKLOAD:-}" ] || arguments+=("--workload=$INPUT_WORKLOAD")
[ -z "${INPUT_DURATION:-}" ] || arguments+=("--duration=$INPUT_DURATION")
while IFS= read -r line; do
    [ -z "$line" ] || arguments+=("$line")
done <<<"${INPUT_ARGUMENTS:-}"

# In place of this shell, so that a cancelled job reaches it and what was measured is saved.
exec "${PROOFLOAD:-proofload}" "${arguments[@]}"
