# 50 processes record 20 entries each, 30 % of them ids that others record too, while git packs, repacks and prunes
# without a pause. Every record succeeds, every id is in the history once.
. "$(dirname "$0")/lib.sh"
need timeout
PROCESSES=50
ENTRIES=20

# Of every ten entries three are those of a neighbour.
writer() { # NUMBER
    local entry id code
    for ((entry = 0; entry < ENTRIES; entry++)); do
        if [ $((entry % 10)) -lt 3 ]; then
            id=writer-$((($1 + 1) % PROCESSES))-$((entry + 3))
        else
            id=writer-$1-$entry
        fi
        record "$id" >>"$WORK/receipts.$1" 2>"$WORK/err.$1"
        code=$?
        [ "$code" -eq 0 ] || printf '%s: exit %s: %s\n' "$id" "$code" "$(cat "$WORK/err.$1")" >>"$WORK/refused"
    done
}

# What somebody else does in the repository all the time; whether it succeeds is not the question.
loop() { # COMMAND...
    while [ -e "$RUNNING" ]; do
        "$@" >/dev/null 2>&1
        rounds=$((rounds + 1))
    done
    echo "$rounds" >>"$WORK/rounds"
}

writers_beside() { # VARIANT LOOP...
    local variant=$1 command writer pids=() loops=() rounds=0
    shift
    begin_ledger "$WORK/$variant" beside "$branch"
    rm -f "$WORK"/receipts* "$WORK/refused" "$WORK/rounds"
    touch "$RUNNING"
    for command in "$@"; do
        # shellcheck disable=SC2086 # words of a command
        loop $command &
        loops+=($!)
    done
    for ((writer = 0; writer < PROCESSES; writer++)); do
        writer "$writer" &
        pids+=($!)
    done
    wait "${pids[@]}"
    rm -f "$RUNNING"
    wait "${loops[@]}"
    [ ! -e "$WORK/refused" ] ||
        fail "$variant: $(wc -l <"$WORK/refused") records failed: $(head -n 5 "$WORK/refused")"
    cat "$WORK"/receipts.* >"$WORK/receipts"
    [ "$(wc -l <"$WORK/receipts")" -eq $((PROCESSES * ENTRIES)) ] ||
        fail "$variant: $(wc -l <"$WORK/receipts") receipts"
    check_fsck "$variant"
    check_receipts "$WORK/receipts"
    [ "$(history_ids | wc -l)" -eq $((PROCESSES * ENTRIES * 7 / 10)) ] ||
        fail "$variant: $(history_ids | wc -l) entries in the history"
    check_next after-all
    printf '%s: rounds of the loops: %s\n' "$variant" "$(paste -sd' ' "$WORK/rounds")"
}

# Each on its own, then together: `gc` puts what no ref names yet into a pack for such things, and `repack -ad` drops
# what no ref names from every pack that it finds.
failed=''
branch=audit
beside() { # VARIANT LOOP...
    (writers_beside "$@") || failed="$failed $1"
}
beside gc 'git gc -q' 'git pack-refs --all'
beside repack 'git repack -adq' 'git pack-refs --all'
beside together 'git gc -q' 'git repack -adq' 'git pack-refs --all'
# `pack-refs` removes the directory of such a branch, once its file is packed.
branch=team/audit
beside nested 'git pack-refs --all' 'git pack-refs --all'
branch=audit
# The user goes on with the code, on the branch that is checked out.
beside commits 'git gc -q' 'git pack-refs --all' 'git commit --quiet --allow-empty --message code'
# Pruning at once takes every object that no ref names yet. git warns against doing it beside a writer.
beside pruning 'git gc --prune=now -q' 'git pack-refs --all'
[ -z "$failed" ] || fail "failed variants:$failed"
