# Completes `git audit` and `git-audit` in fish. Save it as ~/.config/fish/conf.d/git-audit.fish, or put this into
# config.fish:
#     git audit completions fish | source

function __git_audit_candidates
    set -l typed (commandline -opc) (commandline -ct)
    set -l found (command git-audit completions --candidates -- (string replace -r '^~/' "$HOME/" -- $typed) 2>/dev/null)
    if test "$found" = :files
        __fish_complete_path (commandline -ct)
    else
        string join -- \n $found
    end
end

# Whether the command line is that of `git audit`.
function __git_audit_under_git
    set -l typed (commandline -opc)
    set -e typed[1]
    while set -q typed[1]
        switch $typed[1]
            case -C -c --git-dir --work-tree --namespace --super-prefix --config-env --attr-source
                set -e typed[1]
                set -q typed[1]; or return 1
            case '-*'
            case '*'
                test "$typed[1]" = audit
                return
        end
        set -e typed[1]
    end
    return 1
end

complete -c git-audit -f -k -a '(__git_audit_candidates)'
complete -c git -n __git_audit_under_git -f -k -a '(__git_audit_candidates)'
