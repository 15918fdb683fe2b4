# The power is cut at random moments while records go on. What was acknowledged before the cut is there, the branch is
# never empty or dangling, and the next record works.
. "$(dirname "$0")/lib.sh"
need_disk
need timeout
CUTS=30

keep_recording() {
    local number=0
    while [ -e "$RUNNING" ]; do
        # While a cut is looked at, the small disk need not fill up.
        [ -e "$WORK/recording" ] || { pause 0.005; continue; }
        number=$((number + 1))
        record "task-$number" >"$WORK/out" 2>"$WORK/err" || {
            printf 'task-%s: exit %s: %s\n' "$number" "$?" "$(cat "$WORK/err")" >>"$WORK/refused"
            return
        }
        cat "$WORK/out" >>"$WORK/receipts"
    done
}

cut_while_recording() { # WHAT beside|shown MOUNT-OPTIONS MKFS-ARGUMENTS...
    local what=$1 where=$2 options=$3 cut loop pause
    shift 3
    make_disk "$options" "$@"
    begin_ledger "$WORK/disk/repository" "$where"
    sync
    : >"$WORK/receipts"
    rm -f "$WORK/refused"
    touch "$RUNNING"
    keep_recording &
    loop=$!
    for ((cut = 1; cut <= CUTS; cut++)); do
        touch "$WORK/recording"
        printf -v pause '0.%06d' $((RANDOM * 4 + 1000))
        pause "$pause"
        cp "$WORK/receipts" "$WORK/before"
        cut_power
        rm -f "$WORK/recording"
        power_on
        check_survived "$WORK/before" "$what, cut $cut"
        cd "$WORK/cut/repository" || exit 1
        ROOT=$PWD/.git
        # git does not make its index durable, so what it was doing to it can be lost; that is not tried here.
        if [ "$where" = beside ]; then
            age_lock
            check_next after-the-cut
            check_fsck "$what, after cut $cut"
        fi
        cd "$WORK" || exit 1
        unmount_last
    done
    rm -f "$RUNNING"
    wait "$loop"
    [ ! -e "$WORK/refused" ] || fail "$what: $(cat "$WORK/refused")"
    printf '%s: %s receipts\n' "$what" "$(wc -l <"$WORK/receipts")"
    drop_disk
}

cut_while_recording default beside defaults
cut_while_recording both beside data=writeback,noauto_da_alloc
cut_while_recording 'no journal' beside defaults -O ^has_journal
cut_while_recording 'checked out' shown data=writeback,noauto_da_alloc
