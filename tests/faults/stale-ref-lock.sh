# The ref's lock of somebody who died is moved aside, never deleted. One that is fresh, or held open by a process that
# lives, is respected; so are locks that are none of ours.
. "$(dirname "$0")/lib.sh"
need timeout

set_up() {
    cd "$WORK" && rm -rf ledger
    begin_ledger "$WORK/ledger" "$1"
    TIP=$(git rev-parse "$LEDGER")
    lock=$(lock_of_the_ref)
}

check_busy() { # WHAT LOCK TEXT-IN-IT
    arguments_for task
    timeout 15 "$GIT_AUDIT" "${ARGUMENTS[@]}" --timeout 2 >"$WORK/out" 2>"$WORK/err"
    local code=$?
    [ "$code" -eq 7 ] || fail "$1: exit $code, not 7: $(cat "$WORK/out" "$WORK/err")"
    [ ! -s "$WORK/out" ] || fail "$1: exit 7, with a receipt"
    [ "$(cat "$2")" = "$3" ] || fail "$1: the lock was touched"
    [ "$(git rev-parse "$LEDGER")" = "$TIP" ] || fail "$1: the branch moved"
}

for where in beside shown; do
    set_up "$where"
    echo left >"$lock"
    touch -d '11 seconds ago' "$lock"
    check_next task
    [ ! -e "$lock" ] || fail "$where: the stale lock is still there"
    grep -rqx left "$ROOT/git-audit/set-aside/" || fail "$where: the stale lock was not kept"
    check_receipts "$WORK/next"
    check_fsck "$where, after a stale lock"

    set_up "$where"
    echo fresh >"$lock"
    check_busy "$where, a fresh lock" "$lock" fresh
    rm "$lock"
    check_next task

    set_up "$where"
    exec 9<>"$lock"
    echo held >&9
    touch -d '1 hour ago' "$lock"
    # The scenario holds it; the program must not inherit it.
    check_busy "$where, an old lock that is held open" "$lock" held 9>&-
    exec 9>&-
    check_next task
done

# Locks of git, however old. Only a branch that is checked out needs the index.
set_up shown
echo theirs >"$ROOT/index.lock"
touch -d '1 hour ago' "$ROOT/index.lock"
check_busy 'an old index.lock' "$ROOT/index.lock" theirs
rm "$ROOT/index.lock"
check_next task

set_up beside
for lock in "$ROOT/index.lock" "$ROOT/packed-refs.lock"; do
    echo theirs >"$lock"
    touch -d '1 hour ago' "$lock"
done
arguments_for task
timeout 15 "$GIT_AUDIT" "${ARGUMENTS[@]}" --timeout 2 >"$WORK/out" 2>"$WORK/err"
code=$?
[ "$code" -eq 0 ] || [ "$code" -eq 7 ] || fail "an old packed-refs.lock: exit $code: $(cat "$WORK/err")"
[ "$(cat "$ROOT/index.lock" "$ROOT/packed-refs.lock" | uniq)" = theirs ] || fail "a lock of git was touched"
