# The branch's file is empty, or has something in it that is no commit id. That is an error that says so, and never a
# new ledger.
. "$(dirname "$0")/lib.sh"
need timeout

with_ref() { # BEFORE-FILE FLAGS...
    local file=$ROOT/refs/heads/$LEDGER copy=$1
    shift
    cp "$copy" "$file"
    arguments_for "task-2"
    timeout 15 "$GIT_AUDIT" "${ARGUMENTS[@]}" --timeout 2 "$@" >"$WORK/out" 2>"$WORK/err"
    local code=$? what
    what="$LEDGER, a ref with '$(tr -cd '[:print:]' <"$copy" | head -c 50)', record $*"
    [ "$code" -eq 1 ] || fail "$what: exit $code, not 1: $(cat "$WORK/out" "$WORK/err")"
    [ ! -s "$WORK/out" ] || fail "$what: a receipt"
    # It names the ref, or the commit that the ref has and that is not there.
    grep -qF "refs/heads/$LEDGER" "$WORK/err" ||
        grep -qxF "error: commit $(tr -d '\0\n' <"$copy") is missing" "$WORK/err" ||
        fail "$what: the message names neither the ref nor the commit: $(cat "$WORK/err")"
    cmp -s "$copy" "$file" || fail "$what: the ref was written"
    "$GIT_AUDIT" init --branch "$LEDGER" >"$WORK/out" 2>"$WORK/err" && fail "$what: init succeeded"
    cmp -s "$copy" "$file" || fail "$what: init wrote the ref"
    [ -z "$(find "$ROOT" -name '*.lock')" ] || fail "$what: left behind: $(find "$ROOT" -name '*.lock')"
}

: >"$WORK/empty"
echo garbage >"$WORK/garbage"
head -c 41 /dev/zero >"$WORK/zeros"
printf '%040d\n' 0 >"$WORK/null-id"
printf '%s\n' 1234567890123456789012345678901234567890 >"$WORK/unknown-id"
printf '%s\n' 12345678901234567890 >"$WORK/half-an-id"

for where in beside shown; do
    begin_ledger "$WORK/$where" "$where"
    record task-1 >"$WORK/receipts" || fail "cannot record"
    cp "$ROOT/refs/heads/$LEDGER" "$WORK/whole"
    for content in empty garbage zeros null-id unknown-id half-an-id; do
        with_ref "$WORK/$content"
        with_ref "$WORK/$content" --init
    done
    # As the message says, the id can be put back; then everything goes on.
    cp "$WORK/whole" "$ROOT/refs/heads/$LEDGER"
    check_next task-2
    cat "$WORK/next" >>"$WORK/receipts"
    check_receipts "$WORK/receipts"
    check_fsck "$where"
done
