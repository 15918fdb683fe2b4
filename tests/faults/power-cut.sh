# The power is cut after each acknowledgement: the file under a loop-mounted ext4 is copied as it is at that moment, and
# the copy is mounted. What was acknowledged is there, however the file system was mounted.
#
# The loop device keeps nothing back, so this finds what was never handed to the disk, not what a disk that lies about
# its cache would lose.
. "$(dirname "$0")/lib.sh"
need_disk
need timeout

after_each() { # WHAT beside|shown ENTRIES-PER-CALL CALLS MOUNT-OPTIONS MKFS-ARGUMENTS...
    local what=$1 where=$2 per_call=$3 calls=$4 options=$5 call entry
    shift 5
    make_disk "$options" "$@"
    begin_ledger "$WORK/disk/repository" "$where"
    sync
    : >"$WORK/receipts"
    for ((call = 1; call <= calls; call++)); do
        cd "$WORK/disk/repository" || exit 1
        if [ "$per_call" -eq 1 ]; then
            record "task-$call" >"$WORK/out" 2>"$WORK/err"
        else
            for ((entry = 1; entry <= per_call; entry++)); do json_line "task-$call-$entry"; done |
                "$GIT_AUDIT" record --json - >"$WORK/out" 2>"$WORK/err"
        fi || fail "$what: exit $?: $(cat "$WORK/err")"
        cut_power
        cat "$WORK/out" >>"$WORK/receipts"
        [ "$(wc -l <"$WORK/out")" -eq "$per_call" ] || fail "$what: $(wc -l <"$WORK/out") receipts"
        power_on
        check_survived "$WORK/receipts" "$what, after call $call"
        unmount_last
    done
    drop_disk
}

# Records that ask for no durability, after others that did: what was durable stays.
off_after_durable() { # WHAT CALLS MOUNT-OPTIONS
    local what=$1 calls=$2 options=$3 call
    make_disk "$options"
    begin_ledger "$WORK/disk/repository" beside
    sync
    : >"$WORK/receipts"
    for ((call = 1; call <= calls; call++)); do
        cd "$WORK/disk/repository" || exit 1
        if [ $((call % 3)) -eq 1 ]; then
            record "task-$call" >>"$WORK/receipts" 2>"$WORK/err"
        else
            record "task-$call" --durability off >/dev/null 2>"$WORK/err"
        fi || fail "$what: exit $?: $(cat "$WORK/err")"
        # Somebody else's file, whose flush commits the journal.
        echo "$call" >"$WORK/disk/other" && sync "$WORK/disk/other"
        cut_power
        power_on
        check_survived "$WORK/receipts" "$what, after call $call"
        unmount_last
    done
    drop_disk
}

after_each default beside 1 50 defaults
off_after_durable 'off after durable' 30 defaults
off_after_durable 'off after durable, both' 30 data=writeback,noauto_da_alloc
after_each writeback beside 1 50 data=writeback
after_each noauto_da_alloc beside 1 50 noauto_da_alloc
after_each both beside 1 50 data=writeback,noauto_da_alloc
after_each 'no journal' beside 1 50 defaults -O ^has_journal
after_each 'no journal, noauto_da_alloc' beside 1 50 noauto_da_alloc -O ^has_journal
after_each 'checked out' shown 1 50 data=writeback,noauto_da_alloc
after_each 'JSON Lines' beside 5 20 data=writeback,noauto_da_alloc
