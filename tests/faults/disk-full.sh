# A disk of 700 KiB is filled with records until one fails. It fails cleanly, nothing is broken, everything that was
# acknowledged is there, and with space the next record works.
. "$(dirname "$0")/lib.sh"
need timeout
need_mounts

json_lines() { # COUNT
    local number
    for ((number = 1; number <= $1; number++)); do json_line "line-$number"; done
}

make_full_disk() { # tmpfs|ext4
    case $1 in
    tmpfs) mount_at "$WORK/disk" -t tmpfs -o size=700k none || skip "cannot mount a tmpfs" ;;
    ext4)
        truncate -s 2M "$WORK/small.img"
        mkfs.ext4 -q -F -b 1024 -I 128 -N 2000 "$WORK/small.img" >/dev/null 2>&1 || fail "mkfs.ext4"
        mount_at "$WORK/disk" -o loop "$WORK/small.img" || fail "cannot mount a small ext4"
        ;;
    esac
    dd if=/dev/zero of="$WORK/disk/ballast" bs=1k count=128 status=none || fail "no room for the ballast"
}

record_until_full() { # WHAT
    local number=0
    while record "task-$((number += 1))" >"$WORK/out" 2>"$WORK/err"; do
        [ -s "$WORK/out" ] || fail "$1: exit 0 without a receipt"
        cat "$WORK/out" >>"$WORK/receipts"
        [ "$number" -lt 5000 ] || fail "$1: 5000 records, and the disk is not full"
    done
    cp "$WORK/err" "$WORK/full.err"
    [ ! -s "$WORK/out" ] || fail "$1: a record failed, with a receipt: $(cat "$WORK/out")"
    # It goes on failing the same way.
    for number in 1 2 3; do
        ! record "later-$number" >"$WORK/out" 2>"$WORK/err" || cat "$WORK/out" >>"$WORK/receipts"
        [ -s "$WORK/out" ] || [ -s "$WORK/err" ] || fail "$1: neither a receipt nor a message"
    done
}

many_lines_until_full() { # WHAT
    local code
    json_lines 5000 >"$WORK/lines"
    "$GIT_AUDIT" record --json - <"$WORK/lines" >"$WORK/receipts" 2>"$WORK/full.err"
    code=$?
    [ "$code" -ne 0 ] || fail "$1: 5000 entries, and the disk is not full"
    [ "$(wc -l <"$WORK/receipts")" -lt 5000 ] || fail "$1: exit $code, and a receipt for every entry"
}

fill() { # tmpfs|ext4 beside|shown one|lines
    local what="$1, $2, $3"
    make_full_disk "$1"
    begin_ledger "$WORK/disk/repository" "$2"
    : >"$WORK/receipts"
    case $3 in
    one) record_until_full "$what" ;;
    lines) many_lines_until_full "$what" ;;
    esac
    [ -s "$WORK/full.err" ] || fail "$what: failed without a message"
    [ -z "$(find "$ROOT" -name '*.lock')" ] || fail "$what: left behind: $(find "$ROOT" -name '*.lock')"
    check_fsck "$what"
    check_receipts "$WORK/receipts"
    rm "$WORK/disk/ballast"
    check_next after-there-was-space
    check_fsck "$what, with space again"
    [ "$2" = beside ] || [ -z "$(git status --porcelain)" ] || fail "$what: not clean: $(git status --porcelain)"
    printf '%s: %s receipts, then: %s\n' "$what" "$(wc -l <"$WORK/receipts")" "$(head -n 1 "$WORK/full.err")"
    cd "$WORK" && unmount_last || fail "$what: cannot unmount"
}

fill tmpfs beside one
fill tmpfs shown one
fill tmpfs beside lines
fill tmpfs shown lines
if command -v mkfs.ext4 >/dev/null && [ -e /dev/loop-control ]; then
    fill ext4 beside one
    fill ext4 shown one
    fill ext4 beside lines
fi
