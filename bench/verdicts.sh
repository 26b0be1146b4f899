#!/usr/bin/env bash
# How often the verdict is right on a service with real work (bench/service), and after how long.
#
#   bench/verdicts.sh [--same N] [--runs N] [--duration TIME] [CASE…]
#
# Cases: same, slow5, slow10, slow20, slow50, tail, errors; all by default. `same` compares the
# service with itself N times (30), the others have something planted on the candidate's `search`
# (or `item`) and run N times (10). Prints one row for each case: verdicts, how often the right
# endpoint was named and a wrong one blamed, seconds until the answer (median and longest).
# Load goes to loopback only; everything is written below a temporary directory, which KEEP=1 keeps.
set -euo pipefail
cd "$(dirname "$0")/.."

same=30 runs=10 duration=60s cases=()
while [ $# -gt 0 ]; do
    case $1 in
    --same) same=$2; shift 2 ;;
    --runs) runs=$2; shift 2 ;;
    --duration) duration=$2; shift 2 ;;
    *) cases+=("$1"); shift ;;
    esac
done
[ ${#cases[@]} -gt 0 ] || cases=(same slow5 slow10 slow20 slow50 tail errors)
proofload=${PROOFLOAD:-target/release/proofload}
service=${SERVICE:-target/release/examples/service}
[ -x "$proofload" ] && [ -x "$service" ] ||
    { echo "build them first: cargo build --release --bins --example service" >&2; exit 1; }
dir=$(mktemp -d)
cleanup() { if [ -z "${KEEP:-}" ]; then rm -rf "$dir"; else echo "kept: $dir"; fi; }
trap cleanup EXIT

# Ten seconds of 130/s for each endpoint, spread over cells of equal length.
echo '{"proofload_workload":1}' >"$dir/w.jsonl"
awk 'BEGIN {
    srand(11)
    split("search item render", names, " ")
    for (n = 1; n <= 3; n++)
        for (k = 0; k < 1300; k++)
            printf "%.0f /%s/%d\n", 1e9 * (k + rand()) / 130, names[n], 1000 + k
}' | sort -n | awk '{
    printf "{\"offset_ns\":%s,\"method\":\"GET\",\"path\":\"%s\",\"status\":200}\n", $1, $2
}' >>"$dir/w.jsonl"

# compare NAME FLAGS… : one line "code seconds endpoints-regressed"
compare() {
    local name=$1 code=0 begin end
    shift
    begin=$(date +%s.%N)
    "$proofload" compare -w "$dir/w.jsonl" -d "$duration" --out-dir "$dir/$name" \
        --baseline-cmd "exec $service --port {port}" \
        --candidate-cmd "exec $service --port {port} $*" >"$dir/$name.txt" 2>"$dir/$name.log" || code=$?
    end=$(date +%s.%N)
    awk -v code="$code" -v begin="$begin" -v end="$end" -F'","' '
        $3 == "true" && $4 == "regressed" { sub(/^"[A-Z]* *\/?/, "", $1); sub(/^"/, "", $1); bad[$1 ":" $2] = 1 }
        END { printf "%s %.1f", code, end - begin; for (b in bad) printf " %s", b; print "" }
    ' "$dir/$name/changes.csv"
}

uname -srm
printf '| planted | runs | PASS | REGRESSED | INCONCLUSIVE | INVALID | named | blamed | median s | longest s |\n'
printf '|---|---|---|---|---|---|---|---|---|---|\n'
for case in "${cases[@]}"; do
    n=$runs flags=() right=search
    case $case in
    same) n=$same right=none ;;
    slow*) flags=(--slow "search=$(awk -v p="${case#slow}" 'BEGIN { print 1 + p / 100 }')") ;;
    tail) flags=(--tail search=0.01x5) ;;
    errors) flags=(--errors item=0.005) right=item ;;
    *) echo "no such case: $case" >&2; exit 2 ;;
    esac
    : >"$dir/$case.lines"
    for i in $(seq "$n"); do compare "$case-$i" "${flags[@]}" >>"$dir/$case.lines"; done
    sort -n -k2 "$dir/$case.lines" | awk -v case="$case" -v right="$right" '
        { code[$1]++; s[NR] = $2; named = 0; blamed = 0
          for (i = 3; i <= NF; i++) { if (index($i, right)) named = 1; else if (!index($i, "workload")) blamed = 1 }
          names += named; blames += blamed }
        END { printf "| %s | %d | %d | %d | %d | %d | %d | %d | %.0f | %.0f |\n", case, NR, code[0], code[10],
              code[11], code[12], names, blames, s[int((NR + 1) / 2)], s[NR] }'
done
