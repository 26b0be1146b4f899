#!/usr/bin/env bash
# How often a disturbed generator says that it was disturbed, and an undisturbed one does not.
#
#   bench/health.sh [TRIES]                              default: 3 of each kind
#
# Builds the release binary, runs tests/health.rs so often, and prints one row for each kind and
# command. Every disturbed try has to end in 12 with its reason; of the undisturbed ones at most
# one in thirty may. Load goes to loopback only. A quota needs a cgroup that can be made, and the
# ports a network namespace (root): what cannot be had is skipped by name.
set -euo pipefail
cd "$(dirname "$0")/.."

tries=${1:-3}
out=$(mktemp)
trap 'rm -f "$out"' EXIT

status=0
PROOFLOAD_TRIES=$tries cargo test --release --locked --test health -- \
    --nocapture --test-threads 1 >"$out" || status=$?

printf '%-26s | %-7s | %5s | %5s | %5s | %5s\n' generator command tries 12 '0' other
sed -n 's/^.*health| //p' "$out"
grep -E '^disturbed:|skipped' "$out" || true

flagged=$(sed -n 's/^.*health| undisturbed[^|]*|[^|]*|[^|]*| *\([0-9]*\) .*/\1/p' "$out" |
    sort -n | tail -1)
most=$(((tries + 29) / 30))
if [ "${flagged:-0}" -gt "$most" ]; then
    echo "undisturbed, and yet flagged: $flagged of $tries; at most $most may be" >&2
    status=1
fi
if [ "$status" != 0 ]; then
    grep -A5 -E 'panicked|FAILED' "$out" >&2 || true
fi
exit "$status"
