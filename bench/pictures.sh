#!/usr/bin/env bash
# Takes charts out of a report, as SVG files that stand alone: the pictures of docs/method.md.
#
#   bench/pictures.sh REPORT.html SECTION NAME=TEXT…
#
# SECTION is the endpoint as its heading shows it, or the id of a section; each TEXT is what the
# description of a chart in it begins with. Writes docs/pictures/NAME.svg. The reports behind the
# pictures in the tree are some of `KEEP=1 bench/nginx_pairs.sh 1` and of
# `KEEP=1 bench/verdicts.sh --runs 1 slow10 tail`:
#
#   bench/pictures.sh DIR/sleep/report.html rounds sides='p50 of both sides'
#   bench/pictures.sh DIR/slow10-1/report.html 'GET /search/{id}' rounds='Change of p50'
#   bench/pictures.sh DIR/tail-1/report.html 'GET /search/{id}' quantiles='Difference'
set -euo pipefail
cd "$(dirname "$0")/.."

[ $# -ge 3 ] || { sed -n '4p' "$0" >&2; exit 2; }
report=$1 section=$2
shift 2
mkdir -p docs/pictures
for picture in "$@"; do
    file=docs/pictures/${picture%%=*}.svg
    # The colours of both schemes and the rules for lines, fills and texts come along.
    awk -v section="$section" -v text="${picture#*=}" '
        /<style>/ { is_style = 1; sub(/.*<style>/, "") }
        /<\/style>/ { is_style = 0 }
        is_style && /^:root/ { is_colour = 1 }
        is_style && /^@media \(prefers-color-scheme/ { is_colour = 1; depth = 1 }
        is_colour || is_style && /^(\.plot text|\.marker|\.[fs]-|\[class)/ { style = style $0 "\n" }
        is_colour && /^}/ { is_colour = 0 }
        index($0, "id=\"" section "\"") || /<(h2|h3|summary)/ && index($0, section) { is_here = 1 }
        is_here && index($0, "<svg class=\"plot\"") && index($0, "aria-label=\"" text) {
            sub(/.*<svg class="plot"/, "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"plot\"")
            sub(/<\/svg>.*/, "")
            at = index($0, "><")
            print substr($0, 1, at) "\n<style>\n" style "svg { font-family: sans-serif; }\n</style>"
            gsub(/></, ">\n<")
            print substr($0, at + 2) "\n</svg>"
            found = 1
            exit
        }
        END { if (!found) { print "no such chart: " section ", " text > "/dev/stderr"; exit 1 } }
    ' "$report" >"$file" || { rm -f "$file"; exit 1; }
    echo "$file"
done
