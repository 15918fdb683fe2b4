# EIO and ENOSPC at every write, sync, rename, mkdir, link, unlink and truncate of a record. Never an acknowledgement
# without the entry, no lock left behind, and the next record works.
#
# Not every failure has to fail the record: a clean-up, a reflog or a warning may. Then the entry must be there.
# As in kill-every-syscall, strace counts `when=N` for each system call and each thread separately.
. "$(dirname "$0")/lib.sh"
need timeout
need_strace

CALLS='write pwrite64 writev fsync fdatasync sync_file_range syncfs rename renameat renameat2 mkdir mkdirat link linkat
    unlink unlinkat ftruncate fallocate'

# Sets CODE, and HIT to the lines of the calls that were made to fail; the answer is in $WORK/out.
record_with_error() { # ERROR NAME N ID [FLAGS...]
    local error=$1 name=$2 number=$3
    arguments_for "$4"
    shift 4
    timeout 60 strace -f -y -qq -o "$WORK/trace" -e "trace=$name" -e "inject=$name:error=$error:when=$number" \
        "$GIT_AUDIT" "${ARGUMENTS[@]}" --timeout 2 "$@" >"$WORK/out" 2>"$WORK/err"
    CODE=$?
    HIT=$(grep INJECTED "$WORK/trace")
}

check_answer() { # ID WHAT
    local times
    times=$(times_in_history "$1" -n 20)
    [ "$times" -le 1 ] || fail "$2: $times times in the history"
    [ "$times" -eq 0 ] || check_intact "$1"
    # The receipt itself could not be printed: exit 6, and it is recorded. The harness sees its own file in the trace.
    if grep -q "write([0-9]*<$WORK/out>" <<<"$HIT"; then
        [ "$CODE" -eq 6 ] && [ "$times" -eq 1 ] ||
            fail "$2: the receipt was not printed: exit $CODE, $times times in the history"
    elif [ "$CODE" -eq 0 ]; then
        [ -s "$WORK/out" ] && [ "$times" -eq 1 ] ||
            fail "$2: exit 0, $times times in the history, receipt: $(cat "$WORK/out")"
        [ -z "$HIT" ] || tolerated=$((tolerated + 1))
    else
        [ ! -s "$WORK/out" ] || fail "$2: exit $CODE with a receipt: $(cat "$WORK/out")"
        # A message is due, unless it is the message that could not be written.
        [ -s "$WORK/err" ] || grep -q "<$WORK/err>" <<<"$HIT" || fail "$2: exit $CODE without a message"
    fi
}

check_no_lock() { # WHAT
    local lock
    for lock in $(find "$ROOT" -name '*.lock'); do
        # What was made to fail may be the very removal of the lock.
        if grep -q "unlink.*$(basename "$lock")" <<<"$HIT"; then
            [ "$lock" = "$(lock_of_the_ref)" ] && age_lock || rm -f "$lock"
        else
            fail "$1: left behind: $lock"
        fi
    done
}

errors_everywhere() { # VARIANT [FLAGS...]
    local variant=$1 error name number what rounds=0 tolerated=0
    shift
    : >"$WORK/receipts"
    for error in EIO ENOSPC; do
        for name in $CALLS; do
            number=1
            while :; do
                what="$variant: $error at $name $number"
                record_with_error "$error" "$name" "$number" "$variant-$error-$name-$number" "$@"
                [ "$CODE" -ne 124 ] || fail "$what: still running after 60 s"
                check_answer "$variant-$error-$name-$number" "$what: $HIT"
                [ -n "$HIT" ] || break
                check_no_lock "$what: $HIT"
                rounds=$((rounds + 1))
                check_next "$variant-next-$error-$name-$number"
                cat "$WORK/out" "$WORK/next" >>"$WORK/receipts"
                [ $((rounds % 10)) -ne 0 ] || check_fsck "$what"
                number=$((number + 1))
            done
            [ "$CODE" -eq 0 ] || fail "$what: no error, and exit $CODE: $(cat "$WORK/err")"
        done
    done
    check_fsck "$variant, at the end"
    check_receipts "$WORK/receipts"
    printf '%s: %s errors, %s of them tolerated\n' "$variant" "$rounds" "$tolerated"
}

begin_ledger "$WORK/beside" beside
errors_everywhere beside
begin_ledger "$WORK/shown" shown
errors_everywhere shown
if knows_flag record --durability; then
    begin_ledger "$WORK/strict" beside
    errors_everywhere strict --durability strict
fi
