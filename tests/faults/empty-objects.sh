# What a crash of another program can leave: an empty, a truncated or a garbled file where an object of the record
# belongs. The record succeeds and everything is readable, or it fails; nothing is acknowledged unread.
. "$(dirname "$0")/lib.sh"
need timeout
export GIT_AUDIT_TEST_NOW=2026-11-20T12:00:00Z # so that the record makes the same objects each time

plant() { # KIND WHOLE-FILE TARGET
    mkdir -p "$(dirname "$3")"
    rm -f "$3"
    case $1 in
    empty) : >"$3" ;;
    truncated) head -c $(($(stat -c %s "$2") / 2)) "$2" >"$3" ;;
    garbled) head -c 200 /dev/urandom >"$3" ;;
    esac
    chmod 444 "$3"
}

with_planted() { # WHERE KIND OBJECT...
    local where=$1 kind=$2 object what
    shift 2
    cd "$WORK" && rm -rf tried && cp -r "$where.before" tried && cd tried || fail "cannot copy a repository"
    ROOT=$PWD/.git
    for object in "$@"; do
        plant "$kind" "$WORK/loose/.git/objects/${object:0:2}/${object:2}" ".git/objects/${object:0:2}/${object:2}"
    done
    what="$where, $kind: $*"
    if record task >"$WORK/out" 2>"$WORK/err"; then
        check_receipts "$WORK/out"
        check_fsck "$what"
        [ "$(git cat-file commit "$LEDGER")" = "$(git -C "$WORK/loose" cat-file commit "$COMMIT")" ] ||
            fail "$what: another commit than without it: the scenario proves nothing"
        check_next next
        repaired=$((repaired + 1))
    else
        [ ! -s "$WORK/out" ] || fail "$what: failed, with a receipt"
        [ -s "$WORK/err" ] || fail "$what: failed without a message"
        refused=$((refused + 1))
    fi
}

# Each object of the record, as a loose file in a repository of its own: git-audit may keep them otherwise.
learn_objects() { # WHERE
    local object type
    begin_ledger "$WORK/$1.before" "$1"
    cp -r "$WORK/$1.before" "$WORK/$1.after"
    git init --quiet "$WORK/loose"
    cd "$WORK/$1.after" || exit 1
    record task >/dev/null || fail "cannot record"
    COMMIT=$(git rev-parse "$LEDGER")
    OBJECTS=$(git rev-list --objects --no-object-names "$LEDGER" "^$LEDGER~1")
    for object in $OBJECTS; do
        type=$(git cat-file -t "$object")
        git cat-file "$type" "$object" |
            git -C "$WORK/loose" hash-object -w -t "$type" --literally --stdin >/dev/null ||
            fail "cannot write $object"
    done
}

for where in beside shown; do
    repaired=0 refused=0
    learn_objects "$where"
    for kind in empty truncated garbled; do
        for object in $OBJECTS; do with_planted "$where" "$kind" "$object"; done
        # shellcheck disable=SC2086 # one argument for each
        with_planted "$where" "$kind" $OBJECTS
    done
    printf '%s: %s repaired, %s refused\n' "$where" "$repaired" "$refused"
done
