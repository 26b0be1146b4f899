# Prints the medians of bench/peers.sh as one table for each section and case, with the ratio of
# ours to each tool in the metric that counts: CPU per request, or the p99 of the error.
#
# Input: section, case, tool, metric, median, repetitions, least, most; tabs between.

{
    group = $1 FS $2
    if (!(group in seen)) { seen[group] = ++groups; name[groups] = group }
    if (!((group, $3) in row)) { row[group, $3] = 1; tools[group] = tools[group] " " $3 }
    if (!((group, $4) in column)) { column[group, $4] = 1; metrics[group] = metrics[group] " " $4 }
    value[group, $3, $4] = $5
}
END {
    for (g = 1; g <= groups; g++) {
        group = name[g]; split(group, part, FS)
        printf "\n%s%s\n", part[1], part[2] == "-" ? "" : ", " part[2]
        m = split(metrics[group], metric, " "); k = split(tools[group], tool, " ")
        main = ""
        for (c = 1; c <= m; c++) if (metric[c] == "cpu_us" || metric[c] == "p99_us") main = metric[c]
        printf "  %-12s", "tool"
        for (c = 1; c <= m; c++) printf "%14s", metric[c]
        printf "%s\n", main != "" ? sprintf("%20s", "ours/it " main) : ""
        for (r = 1; r <= k; r++) {
            printf "  %-12s", tool[r]
            for (c = 1; c <= m; c++) {
                x = value[group, tool[r], metric[c]]
                printf "%14s", x == "" ? "-" : (x + 0 >= 1000 || x == int(x)) ? sprintf("%.0f", x) : sprintf("%.2f", x)
            }
            ours = value[group, "proofload", main]; x = value[group, tool[r], main]
            if (main != "") printf "%20s", tool[r] == "proofload" || ours == "" || x + 0 == 0 ? "" : sprintf("%.3f", ours / x)
            print ""
        }
    }
}
