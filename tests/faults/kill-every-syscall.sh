# A record is killed at every system call that it makes. Each time the entry is absent, or present once and intact.
#
# strace counts `when=N` for each system call and each thread separately. "Kill at the N-th call" is therefore: for each
# name, kill at its first, second, ... call, until a record gets through. Every call of the process is hit that way, and
# with -f those of its threads and of the git it starts, as far as a call of the same name and number was not made
# earlier by somebody else. A killed call is not carried out.
. "$(dirname "$0")/lib.sh"
need timeout
need_strace

# Calls that change what others can see; the short variant is killed at these only.
CHANGING='write writev pwrite64 open openat creat mkdir mkdirat rename renameat renameat2 link linkat unlink unlinkat
    symlink fsync fdatasync sync_file_range truncate ftruncate fallocate copy_file_range chmod fchmod utimensat
    flock fcntl close msync sync syncfs exit_group'

# The names of the calls that one record makes, here and now.
calls_of_a_record() { # ID [FLAGS...]
    arguments_for "$1"
    shift
    strace -f -qq -o "$WORK/calls" "$GIT_AUDIT" "${ARGUMENTS[@]}" "$@" >/dev/null 2>"$WORK/err" ||
        fail "a record under strace: $(cat "$WORK/err")"
    sed -n 's/^[0-9]* *\([a-z_0-9]*\)(.*/\1/p' "$WORK/calls" | sort -u
}

# Sets KILLED to yes if anything was killed, and leaves the answer in $WORK/out.
record_killed_at() { # NAME N ID [FLAGS...]
    arguments_for "$3"
    local name=$1 number=$2
    shift 3
    {
        strace -f -qq -o "$WORK/trace" -e "trace=execve,$name" -e "inject=$name:signal=KILL:when=$number" \
            "$GIT_AUDIT" "${ARGUMENTS[@]}" "$@" >"$WORK/out" 2>"$WORK/err"
        CODE=$?
    } 2>/dev/null # where the shell would say each time that something was killed
    KILLED=no
    ! grep -q '+++ killed by SIGKILL' "$WORK/trace" || KILLED=yes
}

# A git that was killed leaves its index.lock, which is nobody else's to remove: the message says that the user does it.
# Where only git-audit was killed, nothing may be left.
user_removes_index_lock() {
    local pid ours=''
    while read -r pid; do
        : "${ours:=$pid}" # the first one to start is git-audit
        [ "$pid" = "$ours" ] || ! grep -q "^$pid .*killed by SIGKILL" "$WORK/trace" || rm -f "$ROOT/index.lock"
    done < <(sed -n 's/^\([0-9]*\) *execve(.*/\1/p' "$WORK/trace" | uniq)
}

patience=2 # so many stale locks are waited for as they are; the others are made old
allow_for_a_stale_lock() {
    [ -e "$(lock_of_the_ref)" ] || return 0
    if [ "$patience" -gt 0 ]; then
        patience=$((patience - 1))
    else
        age_lock
    fi
}

check_killed() { # ID WHAT [FLAGS...]
    local id=$1 what=$2 times recent=(-n 20)
    shift 2
    times=0
    ! git rev-parse --quiet --verify "$LEDGER" >/dev/null || times=$(times_in_history "$id" "${recent[@]}")
    case $times in
    0) [ ! -s "$WORK/out" ] || fail "$what: acknowledged, and not in the history: $(cat "$WORK/out")" ;;
    1) check_intact "$id" ;;
    *) fail "$what: $times times in the history" ;;
    esac
    user_removes_index_lock
    allow_for_a_stale_lock
    arguments_for "$id.next"
    timeout 15 "$GIT_AUDIT" "${ARGUMENTS[@]}" "$@" >"$WORK/next" 2>"$WORK/err" ||
        fail "$what: the next record: exit $?: $(cat "$WORK/err")"
    record "$id" "$@" >"$WORK/again" 2>"$WORK/err" || fail "$what: recorded again: exit $?: $(cat "$WORK/err")"
    times=$(times_in_history "$id" "${recent[@]}")
    [ "$times" -eq 1 ] || fail "$what: $times times in the history, after it was recorded again"
    check_intact "$id"
    cat "$WORK/next" "$WORK/again" >>"$WORK/receipts"
}

# One repository for all kills.
kill_everywhere() { # VARIANT [FLAGS...]
    local variant=$1 name number id rounds=0
    shift
    : >"$WORK/receipts"
    for name in $(calls_of_a_record "$variant-calls" "$@"); do
        number=1
        while :; do
            id=$variant-$name-$number
            record_killed_at "$name" "$number" "$id" "$@"
            check_killed "$id" "$variant, killed at $name $number" "$@"
            [ "$KILLED" = yes ] || break
            rounds=$((rounds + 1))
            [ $((rounds % 10)) -ne 0 ] || check_fsck "$variant, after $name $number"
            number=$((number + 1))
        done
        [ "$CODE" -eq 0 ] || fail "$variant, not killed at $name $number: exit $CODE: $(cat "$WORK/err")"
    done
    check_fsck "$variant, at the end"
    check_receipts "$WORK/receipts"
    printf '%s: %s kills\n' "$variant" "$rounds"
}

# A new repository for each kill: the record that is killed also begins the ledger.
kill_the_first() {
    local name number what
    : >"$WORK/receipts"
    begin_code "$WORK/code"
    LEDGER=audit
    cp -r "$WORK/code" "$WORK/first"
    for name in $(cd "$WORK/first" && calls_of_a_record calls --init); do
        grep -qw -- "$name" <<<"$CHANGING" || continue
        number=1
        while :; do
            cd "$WORK" && rm -rf first && cp -r code first && cd first || fail "cannot copy a repository"
            ROOT=$PWD/.git
            what="the first, killed at $name $number"
            record_killed_at "$name" "$number" first --init
            check_killed first "$what" --init
            [ "$(git rev-list --max-parents=0 audit | wc -l)" -eq 1 ] || fail "$what: more than one root"
            [ $((number % 10)) -ne 1 ] || check_fsck "$what"
            [ "$KILLED" = yes ] || break
            number=$((number + 1))
        done
    done
}

begin_ledger "$WORK/beside" beside
kill_everywhere beside
begin_ledger "$WORK/shown" shown
kill_everywhere shown
[ -z "$(git status --porcelain)" ] || fail "the working tree of $PWD is not clean: $(git status --porcelain)"
kill_the_first
if knows_flag record --durability; then
    begin_ledger "$WORK/strict" beside
    kill_everywhere strict --durability strict
fi
