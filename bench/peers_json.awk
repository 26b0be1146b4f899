# Writes the medians of bench/peers.sh as JSON. Reads them twice: first for our own figures, which
# each ratio needs. -v heads=FILE -v notes=FILE: lines that stand at the top.

function quoted(s) { gsub(/\\/, "\\\\", s); gsub(/"/, "\\\"", s); gsub(/[[:cntrl:]]/, " ", s); return "\"" s "\"" }
function lines(file,   out, s) {
    while ((getline s < file) > 0) out = out (out == "" ? "" : ", ") quoted(s)
    return "[" out "]"
}
FNR == NR { if ($3 == "proofload") ours[$1, $2, $4] = $5; next }
FNR == 1 {
    print "{\n  \"schema\": \"proofload.peers.v1\",\n  \"head\": " lines(heads) ","
    print "  \"notes\": " lines(notes) ",\n  \"results\": ["
}
{
    ratio = $3 != "proofload" && (($1, $2, $4) in ours) && $5 != 0 ? sprintf("%.4f", ours[$1, $2, $4] / $5) : "null"
    printf "%s    {\"section\": %s, \"case\": %s, \"tool\": %s, \"metric\": %s, \"median\": %s, \"repetitions\": %s, \"min\": %s, \"max\": %s, \"ours_over_it\": %s}", \
        (FNR > 1 ? ",\n" : ""), quoted($1), quoted($2), quoted($3), quoted($4), $5, $6, $7, $8, ratio
}
END { print "\n  ]\n}" }
