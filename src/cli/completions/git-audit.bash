# Completes `git audit` and `git-audit` in bash. Save it as
# ~/.local/share/bash-completion/completions/git-audit, or put this into .bashrc:
#     eval "$(git audit completions bash)"

# The first argument follows each candidate; then come the words up to the one that is being typed.
__git_audit_reply() {
    local after=$1 line word breaks= lead= candidates
    shift
    local typed=${!#}
    # readline takes the part after these characters for the word.
    [[ $COMP_WORDBREAKS == *=* ]] && breaks+='='
    [[ $COMP_WORDBREAKS == *:* ]] && breaks+=':'
    [[ $breaks ]] && lead=${typed%"${typed##*[$breaks]}"}
    local words=()
    for word; do
        [[ $word == '~/'* ]] && word=$HOME/${word#??}
        words+=("$word")
    done
    COMPREPLY=()
    candidates=$(command git-audit completions --candidates -- "${words[@]}" 2>/dev/null)
    # `complete -o default` offers files.
    [[ $candidates == :files ]] && return
    while IFS= read -r line; do
        line=${line%%$'\t'*}
        [[ $line ]] && COMPREPLY+=("${line#"$lead"}$after")
    done <<<"$candidates"
    compopt +o default +o bashdefault 2>/dev/null
}

# `git audit`: git's own completion calls this, after which it adds no blank.
_git_audit() {
    local before=("${words[@]:0:cword}")
    if ((${__git_cmd_idx:-0} > 0)); then
        before=(git ${__git_C_args[@]+"${__git_C_args[@]}"} ${__git_dir:+"--git-dir=$__git_dir"} audit
            "${words[@]:__git_cmd_idx + 1:cword - __git_cmd_idx - 1}")
    fi
    __git_audit_reply ' ' "${before[@]}" "${words[cword]}"
}

# `git-audit`: readline has split the words at = and :, which they may hold.
__git_audit_main() {
    local typed=() word glue=
    for word in "${COMP_WORDS[@]:0:COMP_CWORD + 1}"; do
        case $word in
            = | : | ==)
                ((${#typed[@]} > 1)) && typed[${#typed[@]} - 1]+=$word && glue=1
                ;;
            *)
                if [[ $glue ]]; then typed[${#typed[@]} - 1]+=$word; else typed+=("$word"); fi
                glue=
                ;;
        esac
    done
    __git_audit_reply '' "${typed[@]}"
}

complete -o bashdefault -o default -F __git_audit_main git-audit
