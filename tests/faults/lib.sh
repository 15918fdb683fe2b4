# What the scenarios share. Each sources this file first; $GIT_AUDIT and $WORK come from `run`.
# Everything here speaks to the command line and to git, and to nothing inside git-audit.

set -u
: "${GIT_AUDIT:?the path of the program; start scenarios through run}" "${WORK:?a directory for this scenario}"

# A world of its own: no configuration and no repository from outside.
mkdir -p "$WORK/home"
for variable in ${!GIT_*}; do
    [ "$variable" = GIT_AUDIT ] || unset "$variable"
done
unset XDG_CONFIG_HOME
export HOME=$WORK/home CI=false LC_ALL=C TZ=UTC GIT_CONFIG_NOSYSTEM=1 GIT_TERMINAL_PROMPT=0 GIT_CEILING_DIRECTORIES=$WORK
export GIT_AUTHOR_NAME=Dev GIT_AUTHOR_EMAIL=dev@example.com
export GIT_COMMITTER_NAME=Dev GIT_COMMITTER_EMAIL=dev@example.com

# ---- how a scenario ends

fail() {
    printf '%s\n' "$*"
    exit 1
}

skip() {
    printf '%s\n' "$*"
    exit 77
}

# Loops in the background go on while this file is there.
RUNNING=$WORK/running
touch "$RUNNING"

# The newest mount goes first, because one may lie inside another.
unmount_all() {
    local index
    for ((index = ${#MOUNTS[@]} - 1; index >= 0; index--)); do
        umount "${MOUNTS[index]}" 2>/dev/null || umount -l "${MOUNTS[index]}" 2>/dev/null
    done
    MOUNTS=()
}
MOUNTS=()
FROZEN=

at_the_end() {
    local code=$? pid
    trap - EXIT INT TERM HUP
    cd / || true
    rm -f "$RUNNING"
    [ -z "$FROZEN" ] || fsfreeze -u "$FROZEN"
    for pid in $(jobs -p); do
        [ "$code" -eq 0 ] || kill "$pid" 2>/dev/null
    done
    wait
    unmount_all
    exit "$code"
}
trap at_the_end EXIT
trap 'exit 130' INT TERM HUP

# ---- what a scenario needs

need() {
    local program
    for program in "$@"; do
        command -v "$program" >/dev/null || skip "needs $program"
    done
}

need_strace() {
    need strace
    strace -qq -o /dev/null -e inject=getppid:error=EPERM true 2>/dev/null ||
        skip "strace may not trace here, or cannot inject"
}

# Starts the scenario again in a mount namespace of its own: its mounts cannot outlive it.
need_mounts() {
    need mount umount unshare
    [ "$(id -u)" -eq 0 ] || skip "needs root, to mount"
    [ -z "${IN_NAMESPACE:-}" ] || return 0
    unshare --mount --propagation private true 2>/dev/null || skip "needs a mount namespace, which is refused here"
    trap - EXIT
    IN_NAMESPACE=1 exec unshare --mount --propagation private bash "$0"
}

mount_at() { # DIRECTORY MOUNT-ARGUMENTS...
    local directory=$1
    shift
    mkdir -p "$directory"
    mount "$@" "$directory" || return 1
    MOUNTS+=("$directory")
}

unmount_last() {
    umount "${MOUNTS[-1]}" || return 1
    unset 'MOUNTS[-1]'
}

# Whether a command of the program knows a flag.
knows_flag() { # COMMAND FLAG
    "$GIT_AUDIT" help "$1" 2>/dev/null | grep -q -- "$2"
}

# ---- a ledger

# Makes a repository with code and a ledger in it, and goes there. Sets LEDGER to the branch.
#   beside: the ledger's branch is not checked out
#   shown:  it is
begin_ledger() { # DIRECTORY beside|shown [BRANCH]
    begin_code "$1"
    LEDGER=${3:-audit}
    [ "$2" = beside ] || LEDGER=main
    "$GIT_AUDIT" init --branch "$LEDGER" >/dev/null 2>"$WORK/init.err" || fail "init: $(cat "$WORK/init.err")"
}

begin_code() { # DIRECTORY
    [ -n "${TEMPLATE:-}" ] || learn_template
    # No template: hooks that are never run would only fill small disks.
    git init --quiet --initial-branch=main --template= "$1" || fail "git init $1"
    cd "$1" || fail "cd $1"
    echo 'int main(void) { return 0; }' >main.c
    git add main.c && git commit --quiet --message code || fail "cannot commit in $1"
    ROOT=$(git rev-parse --path-format=absolute --git-common-dir)
}

# The arguments that record a task; nothing in the entry depends on the clock.
arguments_for() { # ID
    ARGUMENTS=(record --json --task-id "$1" --status completed --title "Task $1" --service web
        --timestamp 2026-11-19T08:00:00Z)
}

record() { # ID [FLAGS...]
    arguments_for "$1"
    shift
    "$GIT_AUDIT" "${ARGUMENTS[@]}" "$@"
}

# The same as one line of JSON.
json_line() { # ID
    printf '{"task_id":"%s","status":"completed","title":"Task %s","timestamp":"2026-11-19T08:00:00Z",' "$1" "$1"
    printf '"execution_result":{"services_touched":["web"]}}\n'
}

# The bytes of the entry that `record ID` makes: those of one made in peace, with the other id.
expected() { # ID
    printf '%s\n' "${TEMPLATE//the-template-id/$1}"
}

learn_template() {
    TEMPLATE=$(
        TEMPLATE=being-learned
        begin_ledger "$WORK/template" beside && record the-template-id >/dev/null &&
            "$GIT_AUDIT" show --raw the-template-id
    ) || fail "cannot record in a new repository: $TEMPLATE"
    rm -rf "$WORK/template"
}

lock_of_the_ref() { printf '%s/refs/heads/%s.lock' "$ROOT" "$LEDGER"; }

# A writer that was killed may leave the ref's lock. It counts as stale after ten seconds; a scenario with hundreds of
# kills does not wait for that each time, it makes the lock old.
age_lock() {
    touch -c -d '1 minute ago' "$(lock_of_the_ref)" 2>/dev/null
    return 0
}

# ---- what must be true

ids_in() { sed 's/.*"task_id":"\([^"]*\)".*/\1/' "$@"; }
commits_in() { sed 's/.*"commit":"\([0-9a-f]*\)".*/\1/' "$@"; }

# The ids in the history, as plain git sees them, newest first.
history_ids() { # [GIT-LOG-ARGUMENTS...]
    git log "$@" --grep '^Audit-Task: ' --format='%(trailers:key=Audit-Task,valueonly,separator=)' "$LEDGER" --
}

times_in_history() { # ID [GIT-LOG-ARGUMENTS...]
    local id=$1
    shift
    history_ids "$@" | grep -cxF -- "$id"
}

# Everything is there, nothing is broken. Silent unless something is wrong.
check_fsck() {
    local said
    # Packs may just be put together in the background, which git fsck takes for damage while it looks.
    for look in 1 2 3; do
        said=$(git fsck --strict --no-dangling 2>&1) && ! grep -qE '^(error|fatal|missing|broken)' <<<"$said" && return
        [ "$look" = 3 ] || pause 2
    done
    fail "git fsck in $PWD, $*:"$'\n'"$said"
}

check_intact() { # ID
    expected "$1" >"$WORK/want"
    "$GIT_AUDIT" show --raw "$1" >"$WORK/got" 2>"$WORK/got.err" && cmp -s "$WORK/want" "$WORK/got" ||
        fail "$1 is not intact in $PWD: $(cat "$WORK/got" "$WORK/got.err")"
}

# The next record works, and soon.
check_next() { # ID
    arguments_for "$1"
    timeout 15 "$GIT_AUDIT" "${ARGUMENTS[@]}" >"$WORK/next" 2>"$WORK/next.err" ||
        fail "the next record, $1, in $PWD: exit $?: $(cat "$WORK/next.err")"
    [ -s "$WORK/next" ] || fail "the next record, $1, in $PWD: exit 0 without a receipt"
}

# Every receipt in a file is kept: its commit is in a linear history with each id once, its entry is intact.
check_receipts() { # FILE
    local id
    [ -z "$(git rev-list --min-parents=2 "$LEDGER")" ] || fail "the history of $PWD is not linear"
    history_ids | sort >"$WORK/history"
    uniq -d "$WORK/history" >"$WORK/twice"
    [ ! -s "$WORK/twice" ] || fail "more than once in the history of $PWD: $(head -n 5 "$WORK/twice")"
    ids_in "$1" | sort -u >"$WORK/acknowledged"
    comm -23 "$WORK/acknowledged" "$WORK/history" >"$WORK/lost"
    [ ! -s "$WORK/lost" ] ||
        fail "acknowledged and not in the history of $PWD: $(wc -l <"$WORK/lost"): $(head -n 5 "$WORK/lost")"
    commits_in "$1" | sort -u >"$WORK/acknowledged"
    git rev-list "$LEDGER" | sort | comm -23 "$WORK/acknowledged" - >"$WORK/lost"
    [ ! -s "$WORK/lost" ] || fail "commits of receipts, not in the history of $PWD: $(head -n 5 "$WORK/lost")"
    for id in $(ids_in "$1" | sort -u); do
        check_intact "$id"
    done
}

# ---- a disk whose power can be cut

# Mounts a small ext4 at $WORK/disk and leaves it in a file, which is what a power cut would leave at any moment. That
# file is in a file system of its own, so that it can be held still while it is copied: without that, the copy could be
# of several moments at once, which no power cut leaves.
need_disk() {
    need_mounts
    need mkfs.ext4 e2fsck dumpe2fs fsfreeze cp truncate
    truncate -s 120M "$WORK/shelf.img"
    mkfs.ext4 -q -F "$WORK/shelf.img" || skip "mkfs.ext4 does not work here"
    mount_at "$WORK/shelf" -o loop "$WORK/shelf.img" 2>/dev/null || skip "needs a loop device"
    fsfreeze -f "$WORK/shelf" 2>/dev/null && fsfreeze -u "$WORK/shelf" || skip "cannot freeze a file system"
}

make_disk() { # MOUNT-OPTIONS MKFS-ARGUMENTS...
    local options=$1
    shift
    truncate -s 64M "$WORK/shelf/disk.img"
    mkfs.ext4 -q -F "$@" "$WORK/shelf/disk.img" || fail "mkfs.ext4 $*"
    mount_at "$WORK/disk" -o "loop,$options" "$WORK/shelf/disk.img" || fail "mount -o $options"
}

drop_disk() {
    cd "$WORK" && unmount_last && rm -f "$WORK/shelf/disk.img" || fail "cannot unmount the disk"
}

# What a power cut would leave now, in $WORK/cut.img.
cut_power() {
    FROZEN=$WORK/shelf
    fsfreeze -f "$FROZEN" || fail "cannot freeze"
    cp --sparse=always "$WORK/shelf/disk.img" "$WORK/cut.img" || fail "cannot copy the disk"
    fsfreeze -u "$FROZEN" || fail "cannot go on"
    FROZEN=
}

# The machine is on again: mounts what was left, at $WORK/cut. A journal is replayed by the mount; without one the
# check comes first, as at a boot.
power_on() {
    local code
    if ! dumpe2fs -h "$WORK/cut.img" 2>/dev/null | grep -q '^Filesystem features:.*has_journal'; then
        e2fsck -fy "$WORK/cut.img" >"$WORK/e2fsck" 2>&1
        code=$?
        [ "$code" -lt 4 ] || fail "e2fsck: exit $code: $(cat "$WORK/e2fsck")"
    fi
    mount_at "$WORK/cut" -o loop "$WORK/cut.img" || fail "cannot mount the copy"
}

# Everything that was acknowledged survived: its commit is in the history, its bytes are there, nothing is missing.
check_survived() { # RECEIPTS WHAT
    local id
    cd "$WORK/cut/repository" || fail "$2: no repository"
    git rev-parse --quiet --verify "$LEDGER^{commit}" >/dev/null ||
        fail "$2: the branch is empty or dangling: $(cat ".git/refs/heads/$LEDGER")"
    commits_in "$1" | sort -u >"$WORK/acknowledged"
    git rev-list "$LEDGER" | sort | comm -23 "$WORK/acknowledged" - >"$WORK/lost"
    [ ! -s "$WORK/lost" ] || fail "$2: commits of receipts, not in the history: $(cat "$WORK/lost")"
    for id in $(ids_in "$1"); do
        echo blob
        expected "$id"
        echo
    done >"$WORK/want"
    sed 's/.*"commit":"\([0-9a-f]*\)","path":"\([^"]*\)".*/\1:\2/' "$1" |
        git cat-file --batch='%(objecttype)' >"$WORK/got" 2>"$WORK/got.err"
    cmp -s "$WORK/want" "$WORK/got" || fail "$2: entries differ: $(diff "$WORK/want" "$WORK/got" | head -n 20)"
    git fsck --connectivity-only --no-dangling "$LEDGER" >"$WORK/said" 2>&1 || fail "$2: git fsck: $(cat "$WORK/said")"
    cd "$WORK" || exit 1
}

# A sleep that starts no program.
exec {NEVER}<> <(:)
pause() { read -r -t "$1" -u "$NEVER"; }
