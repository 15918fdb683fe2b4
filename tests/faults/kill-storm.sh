# Six writers in loops, and hundreds of `kill -9` at random moments of their records. What was acknowledged is there.
. "$(dirname "$0")/lib.sh"
need timeout
WRITERS=6
KILLS_EACH=85 # 510 in all; a kill counts when there was something left to kill

# How long a record takes here, in microseconds, with all the others at work: kills are spread over that time.
measure() {
    local started=${EPOCHREALTIME/./} writer
    for ((writer = 0; writer < WRITERS; writer++)); do
        (for number in 1 2 3 4 5; do record "measure-$writer-$number" >/dev/null || exit 1; done) &
    done
    wait
    LIFE=$(((${EPOCHREALTIME/./} - started) / 5))
}

# Records one task after the other; two of three records are killed. What was not acknowledged is sometimes recorded
# again, as a caller would do, and sometimes left.
writer() { # NUMBER
    local kills=0 number=0 again=no id pid code pause
    RANDOM=$((4711 + $1))
    while [ "$kills" -lt "$KILLS_EACH" ] && [ -e "$RUNNING" ]; do
        [ "$again" = yes ] || number=$((number + 1))
        id=writer-$1-$number
        arguments_for "$id"
        "$GIT_AUDIT" "${ARGUMENTS[@]}" >"$WORK/out.$1" 2>"$WORK/err.$1" &
        pid=$!
        if [ $((RANDOM % 3)) -ne 0 ]; then
            # Half of the kills in the first third: while it waits for others there is little to break.
            printf -v pause '0.%06d' $(((RANDOM * 32768 + RANDOM) % (LIFE / (1 + RANDOM % 2 * 2)) + 300))
            pause "$pause"
            kill -9 "$pid" 2>/dev/null
        fi
        wait "$pid"
        code=$?
        again=no
        case $code in
        0)
            [ -s "$WORK/out.$1" ] || echo "$id: exit 0 without a receipt" >>"$WORK/refused"
            cat "$WORK/out.$1" >>"$WORK/receipts.$1"
            ;;
        137)
            kills=$((kills + 1))
            [ ! -s "$WORK/out.$1" ] || cat "$WORK/out.$1" >>"$WORK/receipts.$1"
            [ $((RANDOM % 2)) -eq 0 ] || again=yes
            ;;
        *) printf '%s: exit %s: %s\n' "$id" "$code" "$(cat "$WORK/err.$1")" >>"$WORK/refused" ;;
        esac
    done
    echo "$kills" >"$WORK/kills.$1"
}

# A lock that stays the same for a while belongs to nobody any more. Making it old saves the ten seconds until it
# counts as stale, each time.
age_left_locks() {
    local before='' now
    while [ -e "$RUNNING" ]; do
        now=$(stat -c %i:%Y "$(lock_of_the_ref)" 2>/dev/null)
        [ -z "$now" ] || [ "$now" != "$before" ] || age_lock
        before=$now
        pause 0.3
    done
}

# A git that lost its parent finishes by itself; one that was killed leaves index.lock, which the user removes.
remove_left_index_lock() {
    local tries=0
    while [ -e "$ROOT/index.lock" ] && [ $((tries += 1)) -lt 50 ]; do pause 0.1; done
    rm -f "$ROOT/index.lock"
}

storm() { # VARIANT
    local writer kills=0 pids=()
    begin_ledger "$WORK/$1" "$1"
    rm -f "$WORK"/receipts* "$WORK"/kills.* "$WORK/refused"
    touch "$RUNNING"
    measure
    age_left_locks &
    local aging=$!
    for ((writer = 0; writer < WRITERS; writer++)); do
        writer "$writer" 2>/dev/null & # where the shell would say each time that something was killed
        pids+=($!)
    done
    wait "${pids[@]}"
    rm -f "$RUNNING"
    wait "$aging"
    [ ! -e "$WORK/refused" ] || fail "$1: records failed: $(head -n 5 "$WORK/refused")"
    for writer in $(cat "$WORK"/kills.*); do kills=$((kills + writer)); done
    [ "$kills" -ge 500 ] || fail "$1: too few kills: $kills"
    cat "$WORK"/receipts.* >"$WORK/receipts"
    remove_left_index_lock
    check_next after-the-storm
    check_fsck "$1"
    check_receipts "$WORK/receipts"
    check_next after-the-checks
    printf '%s: %s kills, %s receipts, a record took %s us\n' "$1" "$kills"\
        "$(wc -l <"$WORK/receipts")" "$LIFE"
}

storm beside
storm shown
