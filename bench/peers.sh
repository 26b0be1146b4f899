#!/usr/bin/env bash
# proofload beside every other generator that is installed, in one run on one machine: the server
# pinned to one core, the generator to another, the tools in turn (A B C, A B C, …), the median of
# the repetitions reported. Ratios are what counts; absolute figures belong to the machine.
#
#   bench/peers.sh [--reps N] [--seconds N] [--json FILE] [SECTION…]
#
# Sections: h1 tls h2 accuracy rate gaps memory; default all. bench/README.md says what each means.
# Needs nginx, openssl, taskset and awk; of wrk, oha, h2load, hey, wrk2, vegeta and k6 it takes
# what is in PATH and names what is not. Loopback only; every process has a limit in time, and only
# those that were started here are ended. KEEP=1 keeps the temporary directory with all logs;
# PROOFLOAD=FILE and ARRIVALS=FILE take built binaries instead of building them.
set -euo pipefail
export LC_ALL=C
cd "$(dirname "$0")/.."

sections=() reps=3 seconds=5 json=target/peers.json
while [ $# -gt 0 ]; do
    case $1 in
        --reps) reps=$2; shift 2 ;;
        --seconds) seconds=$2; shift 2 ;;
        --json) json=$2; shift 2 ;;
        h1 | tls | h2 | accuracy | rate | gaps | memory) sections+=("$1"); shift ;;
        *) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0" >&2; exit 2 ;;
    esac
done
[ ${#sections[@]} -gt 0 ] || sections=(h1 tls h2 accuracy rate gaps memory)
for tool in nginx openssl taskset awk; do
    command -v $tool >/dev/null || { echo "$tool is not installed" >&2; exit 1; }
done
# Of the cores that this shell may use: the first for servers, the last for generators.
mapfile -t cores < <(taskset -cp $$ | sed 's/.*: //' | tr ',' '\n' |
    awk -F- '{ for (i = $1; i <= ($2 == "" ? $1 : $2); i++) print i }')
server_core=${cores[0]} generator_core=${cores[-1]}
[ "$server_core" != "$generator_core" ] || echo "warning: one core only; no figure is worth much" >&2

proofload=${PROOFLOAD:-target/release/proofload}
arrivals=${ARRIVALS:-target/release/examples/arrivals}
if [ -z "${PROOFLOAD:-}" ] || [ -z "${ARRIVALS:-}" ]; then
    cargo build --release --locked --bin proofload --example arrivals
fi

dir=$(mktemp -d)
results=$dir/results.tsv # section, case, tool, metric, value: one line for each repetition
notes=$dir/notes.txt     # what was skipped, and why
: >"$results"
: >"$notes"
mkfifo "$dir/pause"
exec {pause}<>"$dir/pause"
servers=()
measuring=
cleanup() {
    trap "" INT TERM # timeout sends its signal twice, and the second must not cut this short
    for pid in $measuring "${servers[@]}"; do
        kill "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    if [ -z "${KEEP:-}" ]; then rm -rf "$dir"; else echo "kept: $dir"; fi
}
trap cleanup EXIT
trap 'exit 130' INT TERM

. bench/ports.sh

note() { grep -qxF -- "$*" "$notes" || printf '%s\n' "$*" >>"$notes"; }
# Waits without starting a process, which would be counted and would take a core.
rest() { read -rt "$1" -u "$pause" || true; }
# record SECTION CASE TOOL METRIC VALUE
record() { [ -z "$5" ] || printf '%s\t%s\t%s\t%s\t%s\n' "$@" >>"$results"; }
# number FILE KEY…: the first number in a JSON file behind these keys, each behind the last.
number() {
    awk -v keys="${*:2}" 'BEGIN { n = split(keys, key, " "); at = 1 }
        { while (at <= n && (i = index($0, "\"" key[at] "\":"))) {
              $0 = substr($0, i + length(key[at]) + 3)
              if (at++ == n) { gsub(/[ ,}].*$/, "", $1); print $1; exit } } }' "$1"
}
calc() { awk "BEGIN { printf \"%.6g\", $1 }"; }

# measure LOG LIMIT_S COMMAND…: runs a generator on its core; leaves code, cpu_s and peak_kb, and
# in LOG.rss a line "seconds rss_kb descriptors" for each second. CPU time comes from the times of
# the waited child; the subshell starts no other process. A run that exceeds its limit is ended.
measure() {
    local log=$1 limit=$2 users system
    shift 2
    : >"$log.rss"
    (
        trap - EXIT INT TERM
        ulimit -n hard
        taskset -c "$generator_core" "$@" >"$log" 2>"$log.err" &
        pid=$!
        trap 'kill "$pid" 2>/dev/null; exit 143' TERM INT
        peak=0 ticks=0
        SECONDS=0
        while kill -0 "$pid" 2>/dev/null; do
            rss=
            while read -r key value _; do
                case $key in VmHWM:) peak=$value ;; VmRSS:) rss=$value ;; esac
            done 2>/dev/null <"/proc/$pid/status" || true
            if [ $((ticks++ % 10)) = 0 ] && [ -n "$rss" ]; then
                descriptors=("/proc/$pid/fd"/*)
                echo "$SECONDS $rss ${#descriptors[@]}" >>"$log.rss"
            fi
            if [ "$SECONDS" -gt "$limit" ]; then kill -9 "$pid" 2>/dev/null || true; fi
            rest 0.1
        done
        code=0
        wait "$pid" || code=$?
        times >"$log.times"
        echo "$code $peak" >"$log.end"
    ) &
    measuring=$!
    wait "$measuring" || true
    measuring=
    read -r code peak_kb <"$log.end"
    # The second line is that of the children: 0m1.234s 0m0.567s
    read -r users system < <(sed -n 's/[ms]/ /g;2p' "$log.times" |
        awk '{ print $1 * 60 + $2, $3 * 60 + $4 }')
    cpu_s=$(calc "$users + $system")
    [ "$code" = 0 ] || note "${log##*/}: the generator ended with $code"
}

# failed TOOL WHERE LOG: says why a run gave nothing.
failed() {
    local why
    why=$(grep -v '^[[:space:]]*$' "$3.err" "$3" -h 2>/dev/null | head -1 || true)
    note "$1 in $2 gave no figures: ended with ${code:-?}: ${why:-nothing printed}"
}

# completed TOOL LOG: successful requests.
completed() {
    case $1 in
        proofload) number "$2" ok ;;
        wrk | wrk2) awk '/ requests in / { n = $1 } /Non-2xx/ { n -= $NF } END { print n + 0 }' "$2" ;;
        oha) awk '/"statusCodeDistribution"/ { on = 1; next } /}/ { on = 0 }
            on && /"2[0-9][0-9]":/ { gsub(/[^0-9:]/, ""); split($0, p, ":"); n += p[2] }
            END { print n + 0 }' "$2" ;;
        h2load) awk '/^status codes:/ { print $3 + 0 }' "$2" ;;
        hey) awk '/\[2[0-9][0-9]\].*responses/ { n += $2 } END { print n + 0 }' "$2" ;;
    esac
}

have() {
    [ "$1" = proofload ] || command -v "$1" >/dev/null || {
        note "skipped, not in PATH: $1"
        return 1
    }
}
present() { # present TOOL…: those that are there
    local tool
    for tool in "$@"; do if have "$tool"; then echo "$tool"; fi; done
}

# ---------------------------------------------------------------------------------------- servers

modules=(/usr/lib/nginx/modules/ngx_http_echo_module.so /usr/lib*/nginx/modules/ngx_http_echo_module.so)
start_nginx() {
    local home=$dir/nginx slow='' load='' tries=100
    mkdir -p "$home/www"
    awk 'BEGIN { for (i = 0; i < 16; i++) print "a small static page of about half a kB" }' \
        >"$home/www/index.html"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
        -subj /CN=localhost -addext 'subjectAltName=DNS:localhost,IP:127.0.0.1' \
        -keyout "$home/key.pem" -out "$home/cert.pem" 2>/dev/null
    http=$(free_port) https=$(free_port) h2c=$(free_port)
    has_slow=
    if [ -e "${modules[0]}" ]; then
        has_slow=1
        load="load_module ${modules[0]};"
        slow='location /slow { echo_sleep 0.45; echo done; }
            location /slower { echo_sleep 6; echo done; }'
    fi
    local common="root $home/www; $slow"
    cat >"$home/nginx.conf" <<CONF
$load
daemon off;
master_process off;
worker_processes 1;
pid $home/nginx.pid;
error_log $home/error.log;
worker_rlimit_nofile $(ulimit -Hn);
events { worker_connections 20000; }
http {
    types { text/html html; }
    access_log off;
    client_body_temp_path $home/body;
    proxy_temp_path $home/proxy;
    fastcgi_temp_path $home/fastcgi;
    uwsgi_temp_path $home/uwsgi;
    scgi_temp_path $home/scgi;
    sendfile on;
    open_file_cache max=10;
    keepalive_requests 1000000000;
    keepalive_timeout 300s;
    ssl_certificate $home/cert.pem;
    ssl_certificate_key $home/key.pem;
    ssl_protocols TLSv1.3;
    server { listen 127.0.0.1:$http backlog=16384; $common }
    server { listen 127.0.0.1:$https ssl backlog=16384; $common }
    server { listen 127.0.0.1:$h2c http2; $common }
}
CONF
    # With one process nginx itself does not raise the limit of descriptors.
    (ulimit -n hard && exec taskset -c "$server_core" \
        nginx -c "$home/nginx.conf" -p "$home" -e "$home/error.log") 2>"$home/stderr" &
    servers+=($!)
    until (exec 3<>"/dev/tcp/127.0.0.1/$h2c") 2>/dev/null; do
        tries=$((tries - 1))
        [ $tries -gt 0 ] || { cat "$home/stderr" "$home/error.log" >&2; exit 1; }
        rest 0.05
    done
}

# receive PLAN LENGTH_S LOG: starts the server that stamps arrivals; leaves url.
receive() {
    local tries=100
    taskset -c "$server_core" "$arrivals" --plan "$1" --idle 1500ms --for "$(($2 + 30))s" \
        --json "$3.json" >"$3" 2>"$3.err" &
    servers+=($!)
    until url=$(sed -n 's/^listening on //p' "$3") && [ -n "$url" ]; do
        tries=$((tries - 1))
        [ $tries -gt 0 ] || { cat "$3.err" >&2; exit 1; }
        rest 0.05
    done
}
# received: waits for the report of the server started last.
received() {
    wait "${servers[-1]}" || true
    unset 'servers[-1]'
}

# --------------------------------------------------------------------------------------- sections

ours() { command=("$proofload" run --output "$dir/x.run.jsonl" --format json "$@"); }

closed_h1() { # TOOL URL
    command=()
    case $1 in
        proofload) ours --target "$2" --request 'GET /' --insecure --arrivals closed -c 64 -d "${seconds}s" ;;
        wrk) command=(wrk -t1 -c64 -d"${seconds}s" "$2/") ;;
        oha) command=(oha --no-tui --output-format json --insecure -c 64 -z "${seconds}s" "$2/") ;;
        h2load) command=(h2load --h1 -t1 -c64 -D "$seconds" "$2/") ;;
        hey) command=(hey -c 64 -z "${seconds}s" "$2/") ;;
    esac
}
closed_h2() { # TOOL URL
    command=()
    case $1 in
        proofload) ours --target "$2" --request 'GET /' --protocol http2 --arrivals closed -c 8 \
            --streams 32 --max-in-flight 256 -d "${seconds}s" ;;
        oha) command=(oha --no-tui --output-format json --http2 -c 8 -p 32 -z "${seconds}s" "$2/") ;;
        h2load) command=(h2load -t1 -c8 -m32 -D "$seconds" "$2/") ;;
    esac
}
# closed SECTION COMMANDS URL TOOL…: CPU per request, requests per second, peak memory.
closed() {
    local section=$1 commands=$2 url=$3 rep tool log requests
    shift 3
    for rep in $(seq "$reps"); do
        for tool in "$@"; do
            log=$dir/$section-$tool-$rep
            "$commands" "$tool" "$url"
            measure "$log" $((seconds + 30)) "${command[@]}"
            requests=$(completed "$tool" "$log")
            if [ "${requests:-0}" = 0 ]; then failed "$tool" "$section" "$log"; continue; fi
            record "$section" - "$tool" cpu_us "$(calc "1e6 * $cpu_s / $requests")"
            record "$section" - "$tool" per_s "$(calc "$requests / $seconds")"
            record "$section" - "$tool" peak_mb "$(calc "$peak_kb / 1024")"
        done
    done
}

paced() { # TOOL RATE URL LENGTH_S
    command=()
    case $1 in
        proofload) ours --target "$3" --request 'GET /' --rate "$2/s" -d "$4s" ;;
        oha) command=(oha --no-tui --output-format json -c 64 -q "$2" -z "$4s" "$3/") ;;
        wrk2) command=(wrk2 -t1 -c64 -R"$2" -d"$4s" "$3/") ;;
        hey) command=(hey -c 50 -q "$(($2 / 50))" -z "$4s" "$3/") ;;
        vegeta) command=(vegeta attack -targets "$dir/target.txt" -rate "$2/s" -duration "$4s"
            -output /dev/null) ; echo "GET $3/" >"$dir/target.txt" ;;
        k6) command=(k6 run --quiet "$dir/k6.js")
            cat >"$dir/k6.js" <<K6
import http from 'k6/http';
export const options = { discardResponseBodies: true, scenarios: { s: {
    executor: 'constant-arrival-rate', rate: $2, timeUnit: '1s', duration: '$4s',
    preAllocatedVUs: 100, maxVUs: 1000 } } };
export default function () { http.get('$3/'); }
K6
            ;;
    esac
}
section_accuracy() {
    local tools rate rep tool log url metric
    mapfile -t tools < <(present proofload oha wrk2 vegeta k6 hey)
    for rate in 2000 10000; do
        for rep in $(seq "$reps"); do
            for tool in "${tools[@]}"; do
                log=$dir/accuracy-$rate-$tool-$rep
                receive "constant:$rate/s" "$seconds" "$log.arrivals"
                paced "$tool" "$rate" "$url" "$seconds"
                measure "$log" $((seconds + 20)) "${command[@]}"
                received
                if [ "$(number "$log.arrivals.json" arrivals)" -lt 100 ] 2>/dev/null; then
                    failed "$tool" accuracy "$log"
                    continue
                fi
                for metric in p50 p99 max; do
                    record accuracy "$rate/s" "$tool" "${metric}_us" \
                        "$(calc "$(number "$log.arrivals.json" late_ns $metric) / 1000")"
                done
                record accuracy "$rate/s" "$tool" bursts_pct \
                    "$(calc "100 * $(number "$log.arrivals.json" burst_share)")"
                record accuracy "$rate/s" "$tool" skipped "$(number "$log.arrivals.json" skipped)"
            done
        done
    done
}

section_rate() {
    local rep log length=10
    for rep in $(seq "$reps"); do
        log=$dir/rate-proofload-$rep
        ours --target "http://127.0.0.1:$http" --request 'GET /' --rate 50000/s -d "${length}s"
        measure "$log" $((length + 40)) "${command[@]}"
        if [ -z "$(number "$log" sent)" ]; then failed proofload rate "$log"; continue; fi
        record rate 50000/s proofload sent "$(number "$log" sent)"
        record rate 50000/s proofload not_sent "$(number "$log" not_sent)"
        record rate 50000/s proofload failed \
            "$(calc "$(number "$log" http_error) + $(number "$log" transport_error)")"
        record rate 50000/s proofload lag_p99_us "$(calc "$(number "$log" send_lag_ns p99) / 1000")"
        record rate 50000/s proofload cpu_pct "$(calc "100 * $cpu_s / $length")"
    done
}

# Log-normal gaps with a mean of 500 µs and σ = 1, by Box and Muller over the generator of Lehmer.
write_gaps() {
    echo '{"proofload_workload":1}' >"$1"
    awk -v n=$((2000 * seconds)) 'function uniform() {
            state = (state * 16807) % 2147483647
            return state / 2147483647
        }
        BEGIN {
            state = 20261123
            for (i = 0; i < n; i++) {
                printf "{\"offset_ns\":%.0f,\"method\":\"GET\",\"path\":\"/\"}\n", at
                z = sqrt(-2 * log(uniform())) * cos(6.283185307179586 * uniform())
                at += 500000 * exp(z - 0.5)
            }
        }' >>"$1"
}
section_gaps() {
    local rep log url metric file=$dir/gaps.jsonl length
    write_gaps "$file"
    length=$(tail -1 "$file" | awk -F'[:,]' '{ printf "%d", $2 / 1e6 }')
    for rep in $(seq "$reps"); do
        log=$dir/gaps-proofload-$rep
        receive "file:$file" "$seconds" "$log.arrivals"
        ours --target "$url" --workload "$file" --arrivals recorded -d "${length}ms"
        measure "$log" $((seconds + 30)) "${command[@]}"
        received
        if [ -z "$(number "$log" ok)" ]; then failed proofload gaps "$log"; continue; fi
        for metric in p50 p99 max; do
            record gaps log-normal proofload "gap_${metric}_us" \
                "$(calc "$(number "$log.arrivals.json" gap_ns $metric) / 1000")"
        done
        record gaps log-normal proofload compared "$(number "$log.arrivals.json" fitted)"
    done
}

# hold CASE LENGTH_S LIMIT_S FLAG…: memory of ours in one long run.
hold() {
    local case=$1 length=$2 limit=$3 log=$dir/memory-$1
    shift 3
    ours -d "${length}s" "$@"
    measure "$log" "$limit" "${command[@]}"
    if [ -z "$(number "$log" sent)" ]; then failed proofload "memory, $case" "$log"; return; fi
    record memory "$case" proofload peak_mb "$(calc "$peak_kb / 1024")"
    record memory "$case" proofload descriptors "$(awk '$3 > n { n = $3 } END { print n + 0 }' "$log.rss")"
    record memory "$case" proofload not_sent "$(number "$log" not_sent)"
    record memory "$case" proofload failed \
        "$(calc "$(number "$log" http_error) + $(number "$log" transport_error)")"
    if [ "$case" = 64 ]; then
        # The slope of the resident size over the second half, by least squares.
        record memory "$case" proofload mb_per_min "$(awk -v half=$((length / 2)) '$1 >= half {
            n++; x += $1; y += $2; xx += $1 * $1; xy += $1 * $2 }
        END { d = n * xx - x * x; printf "%.3f", (d > 0 ? (n * xy - x * y) / d * 60 / 1024 : 0) }' "$log.rss")"
    else
        record memory "$case" proofload kb_each "$(awk -v peak="$peak_kb" '$3 > n { n = $3 }
            END { printf "%.2f", (n > 0 ? peak / n : 0) }' "$log.rss")"
    fi
}
section_memory() {
    hold 64 60 90 --target "http://127.0.0.1:$http" --request 'GET /' --arrivals closed -c 64
    if [ -z "$has_slow" ]; then note 'skipped: 9,000 connections, nginx has no echo module'; return; fi
    # 20,000/s that take 450 ms, and over TLS 1,500/s that take 6 s: 9,000 in flight each.
    hold 9000 20 60 --target "http://127.0.0.1:$http" --request 'GET /slow' --rate 20000/s \
        --max-in-flight 12000
    hold 9000-tls 20 60 --target "https://127.0.0.1:$https" --request 'GET /slower' --insecure \
        --rate 1500/s --max-in-flight 12000
}

# ------------------------------------------------------------------------------------- the report

version() {
    case $1 in
        proofload) "$proofload" --version ;;
        nginx) nginx -v 2>&1 ;;
        wrk | wrk2) "$1" -v 2>&1 | head -1 ;;
        k6) k6 version ;;
        vegeta) vegeta -version 2>&1 | tr '\n' ' ' ;;
        hey) echo "hey$(dpkg-query -W -f ' ${Version}' hey 2>/dev/null || true)" ;;
        *) "$1" --version 2>&1 | head -1 ;;
    esac
}
head_lines() {
    local tool
    echo "machine: $(uname -srm), $(awk -F': ' '/^model name/ { print $2; exit }' /proc/cpuinfo), ${#cores[@]} cores; server on $server_core, generator on $generator_core"
    echo "commit: $(git describe --always --dirty 2>/dev/null || echo unknown); load before: $(cut -d' ' -f1-3 /proc/loadavg)"
    echo "repetitions: $reps, ${seconds} s each; medians"
    for tool in nginx $(present proofload wrk oha h2load hey wrk2 vegeta k6); do
        echo "version: $(version "$tool" || true)"
    done
}

# Median, and how ours compares, of every section, case, tool and metric.
medians() {
    awk -F'\t' -v OFS='\t' '
        { k = $1 OFS $2 OFS $3 OFS $4; if (!(k in n)) key[++keys] = k; v[k, ++n[k]] = $5 }
        END {
            for (at = 1; at <= keys; at++) {
                k = key[at]; m = n[k]
                for (i = 2; i <= m; i++) for (j = i; j > 1 && v[k, j] + 0 < v[k, j - 1] + 0; j--) {
                    t = v[k, j]; v[k, j] = v[k, j - 1]; v[k, j - 1] = t }
                half = int(m / 2)
                print k, m % 2 ? v[k, half + 1] : (v[k, half] + v[k, half + 1]) / 2, m, v[k, 1], v[k, m]
            }
        }' "$results" >"$dir/medians.tsv"
}
table() { awk -F'\t' -f bench/peers_table.awk "$dir/medians.tsv"; }
as_json() {
    awk -F'\t' -v heads="$dir/head.txt" -v notes="$notes" \
        -f bench/peers_json.awk "$dir/medians.tsv" "$dir/medians.tsv" >"$json"
}

head_lines >"$dir/head.txt"
start_nginx
for section in "${sections[@]}"; do
    echo "… $section" >&2
    case $section in
        h1) mapfile -t tools < <(present proofload wrk oha h2load hey)
            closed h1 closed_h1 "http://127.0.0.1:$http" "${tools[@]}" ;;
        tls) mapfile -t tools < <(present proofload wrk oha hey)
            closed tls closed_h1 "https://127.0.0.1:$https" "${tools[@]}" ;;
        h2) mapfile -t tools < <(present proofload h2load oha)
            closed h2 closed_h2 "http://127.0.0.1:$h2c" "${tools[@]}" ;;
        *) "section_$section" ;;
    esac
done
medians
cat "$dir/head.txt"
table
if [ -s "$notes" ]; then printf '\n'; cat "$notes"; fi
if [ -s "$dir/medians.tsv" ]; then as_json; echo "figures: $json"; fi
