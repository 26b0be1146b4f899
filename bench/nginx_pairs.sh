#!/usr/bin/env bash
# Pairs of real nginx processes: the same twice, gzip level 9 against 1, a sleep of 30 ms against
# 20 ms. Prints one line for each comparison, so that false alarms and misses can be counted.
#
#   bench/nginx_pairs.sh [REPETITIONS [DURATION]]        default: 10 of the same pair, 60s each
#
# Needs nginx with the echo module (Debian: nginx-light libnginx-mod-http-echo) and awk. Load
# goes to loopback only; everything is written below a temporary directory, which KEEP=1 keeps.
set -euo pipefail
cd "$(dirname "$0")/.."

repetitions=${1:-10}
duration=${2:-60s}
proofload=${PROOFLOAD:-target/release/proofload}
modules=(/usr/lib/nginx/modules/ngx_http_echo_module.so /usr/lib*/nginx/modules/ngx_http_echo_module.so)
dir=$(mktemp -d)
servers=()

stop_servers() {
    for pid in "${servers[@]}"; do
        kill "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    servers=()
}
cleanup() {
    stop_servers
    if [ -z "${KEEP:-}" ]; then rm -rf "$dir"; else echo "kept: $dir"; fi
}
trap cleanup EXIT

command -v nginx >/dev/null || { echo "nginx is not installed" >&2; exit 1; }
[ -e "${modules[0]}" ] || { echo "the echo module is not installed" >&2; exit 1; }
[ -x "$proofload" ] || { echo "build it first: cargo build --release" >&2; exit 1; }

. bench/ports.sh

# Three small pages, and a text of about 200 kB in words that compress like prose.
mkdir "$dir/www"
awk -v dir="$dir/www" 'BEGIN {
    srand(7)
    for (i = 0; i < 3000; i++) {
        word = ""
        for (n = 2 + int(rand() * 8); n > 0; n--) word = word sprintf("%c", 97 + int(rand() * 26))
        words[i] = word
    }
    split("a.html b.html c.html", pages, " ")
    for (p in pages) for (i = 0; i < 150; i++) printf "%s ", words[int(rand() * 3000)] > dir "/" pages[p]
    for (size = 0; size < 200000; size += length(word) + 1) {
        word = words[int(3000 * rand() * rand())]
        printf "%s%s", word, (size % 80 < 8 ? "\n" : " ") > dir "/text.txt"
    }
}'

# start NAME PORT GZIP_LEVEL SLEEP
start() {
    local home="$dir/$1"
    mkdir -p "$home"
    cat >"$home/nginx.conf" <<CONF
load_module ${modules[0]};
daemon off;
master_process off;
worker_processes 1;
pid $home/nginx.pid;
error_log $home/error.log;
events { worker_connections 4096; }
http {
    types { text/html html; text/plain txt; }
    log_format timed '\$msec \$request_time \$status "\$request"';
    access_log $home/access.log timed buffer=64k;
    client_body_temp_path $home/body;
    proxy_temp_path $home/proxy;
    fastcgi_temp_path $home/fastcgi;
    uwsgi_temp_path $home/uwsgi;
    scgi_temp_path $home/scgi;
    keepalive_requests 100000000;
    keepalive_timeout 300s;
    gzip on;
    gzip_types text/plain;
    gzip_comp_level $3;
    server {
        listen 127.0.0.1:$2;
        root $dir/www;
        location /slow { echo_sleep $4; echo done; }
    }
}
CONF
    nginx -c "$home/nginx.conf" -p "$home" -e "$home/error.log" &
    servers+=($!)
    wait_for "$2"
}

# workload FILE PATH=RATE…: ten seconds of each, spread over cells of equal length.
workload() {
    local file=$1
    shift
    echo '{"proofload_workload":1}' >"$file"
    awk 'BEGIN {
        srand(11)
        for (i = 1; i < ARGC; i++) {
            split(ARGV[i], pair, "=")
            for (k = 0; k < 10 * pair[2]; k++)
                printf "%.0f %s\n", 1e9 * (k + rand()) / pair[2], pair[1]
        }
    }' "$@" | sort -n | awk '{
        printf "{\"offset_ns\":%s,\"method\":\"GET\",\"path\":\"%s\",", $1, $2
        print "\"headers\":[[\"accept-encoding\",\"gzip\"]],\"status\":200}"
    }' >>"$file"
}

# pair NAME WORKLOAD LEVEL_BASELINE SLEEP_BASELINE LEVEL_CANDIDATE SLEEP_CANDIDATE
pair() {
    local baseline candidate code=0
    baseline=$(free_port)
    candidate=$(free_port)
    start "$1-baseline" "$baseline" "$3" "$4"
    start "$1-candidate" "$candidate" "$5" "$6"
    "$proofload" compare --baseline "http://127.0.0.1:$baseline" \
        --candidate "http://127.0.0.1:$candidate" -w "$2" -d "$duration" \
        --out-dir "$dir/$1" >"$dir/$1.txt" 2>"$dir/$1.log" || code=$?
    stop_servers
    printf '%-10s exit %-3s %s\n' "$1" "$code" "$(head -1 "$dir/$1.txt")"
    awk -F'","' '$3 == "true" && $4 == "regressed" {
        sub(/^"/, "", $1)
        printf "           %s %s: %+.1f %% [%+.1f, %+.1f], %s rounds\n", $1, $2, 100 * $7, 100 * $8, 100 * $9, $16
    }' "$dir/$1/changes.csv"
    if [ "$code" != 0 ] && [ "$code" != 10 ]; then
        awk '/^Why:/ { why = 1 } /^$/ { why = 0 } why && /^  / { print "         " $0 }' "$dir/$1.txt"
    fi
}

workload "$dir/pages.jsonl" /a.html=250 /b.html=250 /c.html=250
workload "$dir/gzip.jsonl" /a.html=250 /b.html=250 /c.html=250 /text.txt=16
workload "$dir/sleep.jsonl" /a.html=250 /b.html=250 /c.html=250 /slow=100

uname -srm
nginx -v 2>&1
for i in $(seq "$repetitions"); do
    pair "same-$i" "$dir/pages.jsonl" 6 0.020 6 0.020
done
pair gzip "$dir/gzip.jsonl" 1 0.020 9 0.020
pair sleep "$dir/sleep.jsonl" 6 0.020 6 0.030
