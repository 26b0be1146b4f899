# Sourced by the scripts beside it: ports of loopback.

# free_port: one that nobody listens on.
free_port() {
    local port
    while true; do
        port=$((20000 + RANDOM % 12000))
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
    done
}

# wait_for PORT: until something listens there, ten seconds at most.
wait_for() {
    local tries=200
    until (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; do
        tries=$((tries - 1))
        [ $tries -gt 0 ] || { echo "nothing answers on port $1" >&2; exit 1; }
        sleep 0.05
    done
}
