#!/usr/bin/env bash
# What the recorder adds to each request, beside nginx as a proxy in front of the same server.
#
#   bench/record.sh [RATE [SECONDS [ROUNDS]]]            default: 1000/s, 4 s, 3 rounds
#
# One nginx answers; a second nginx passes on to it, with connections kept alive, and so does
# `proofload record`. Each round loads the server itself, nginx and the recorder, one after the
# other in turn; of each the median of the rounds is printed, and what the two proxies add. Load
# goes to loopback only. Needs nginx; everything is written below a temporary directory.
set -euo pipefail
cd "$(dirname "$0")/.."

rate=${1:-1000}
seconds=${2:-4}
rounds=${3:-3}
proofload=${PROOFLOAD:-target/release/proofload}
dir=$(mktemp -d)
pids=()

finish() {
    for pid in "${pids[@]}"; do
        kill "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    rm -rf "$dir"
}
trap finish EXIT

. bench/ports.sh

# nginx_with NAME PORT LOCATION
nginx_with() {
    local home="$dir/$1"
    mkdir -p "$home"
    cat >"$home/nginx.conf" <<CONF
daemon off;
master_process off;
worker_processes 1;
pid $home/nginx.pid;
error_log $home/error.log;
events { worker_connections 4096; }
http {
    access_log off;
    client_body_temp_path $home/body;
    proxy_temp_path $home/proxy;
    fastcgi_temp_path $home/fastcgi;
    uwsgi_temp_path $home/uwsgi;
    scgi_temp_path $home/scgi;
    keepalive_requests 100000000;
    keepalive_timeout 300s;
    upstream server { server 127.0.0.1:$direct; keepalive 256; keepalive_requests 100000000; }
    server { listen 127.0.0.1:$2; location / { $3 } }
}
CONF
    nginx -c "$home/nginx.conf" -p "$home" -e "$home/error.log" &
    pids+=($!)
    wait_for "$2"
}

direct=$(free_port)
page=$(head -c 500 /dev/zero | tr '\0' x)
nginx_with server "$direct" "default_type text/plain; return 200 \"$page\";"
nginx=$(free_port)
nginx_with proxy "$nginx" \
    'proxy_pass http://server; proxy_http_version 1.1; proxy_set_header Connection "";'
record=$(free_port)
"$proofload" record --listen "$record" --upstream "http://127.0.0.1:$direct" \
    -o "$dir/recorded.jsonl" >"$dir/record.out" 2>"$dir/record.err" &
recorder=$!
pids+=("$recorder")
wait_for "$record"

# times PORT: p50 and p99 of the response time in nanoseconds.
times() {
    "$proofload" run --target "http://127.0.0.1:$1" --request 'GET /page' --rate "$rate/s" \
        -d "${seconds}s" -c 64 --format json -o "$dir/run.jsonl" 2>/dev/null >"$dir/run.json" || true
    sed -n '/"response_ns"/,/}/p' "$dir/run.json" | awk -F'[:,]' '
        /"p50"/ && !p50 { p50 = $2 + 0 }
        /"p99"/ && !p99 { p99 = $2 + 0 }
        END { print p50, p99 }'
}

for round in $(seq "$rounds"); do
    for way in direct nginx record; do
        echo "$way $(times "${!way}")" >>"$dir/all"
    done
    echo "round $round of $rounds" >&2
done

kill -INT "$recorder"
wait "$recorder" || true
awk '
    function median(way, column,    n, i, j, list, swap) {
        n = 0
        for (i = 1; i <= count; i++) if (name[i] == way) list[++n] = value[i, column]
        for (i = 1; i <= n; i++) for (j = i + 1; j <= n; j++)
            if (list[j] < list[i]) { swap = list[i]; list[i] = list[j]; list[j] = swap }
        return list[int((n + 1) / 2)] / 1000
    }
    { count++; name[count] = $1; value[count, 2] = $2; value[count, 3] = $3 }
    END {
        printf "%-8s | %8s | %8s   (microseconds, median of the rounds)\n", "way", "p50", "p99"
        split("direct nginx record", ways, " ")
        for (i = 1; i <= 3; i++)
            printf "%-8s | %8.0f | %8.0f\n", ways[i], median(ways[i], 2), median(ways[i], 3)
        nginx = median("nginx", 3) - median("direct", 3)
        record = median("record", 3) - median("direct", 3)
        printf "added at p99: nginx %.0f, record %.0f", nginx, record
        if (nginx > 0) printf ", ratio %.2f", record / nginx
        printf "\n"
    }' "$dir/all"
sed -n 1p "$dir/record.out"
