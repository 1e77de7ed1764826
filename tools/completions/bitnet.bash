# Completion for bash: options are those that the tool's own --help lists.
_bitnet() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
    COMPREPLY=()
    case $previous in
    -d | --device)
        # shellcheck disable=SC2207 # names without spaces
        COMPREPLY=($(compgen -W "auto $(bitnet-run --list-devices 2>/dev/null | cut -d ' ' -f 1)" -- "$current"))
        return
        ;;
    --color)
        # shellcheck disable=SC2207
        COMPREPLY=($(compgen -W 'auto always never' -- "$current"))
        return
        ;;
    esac
    if [[ $current == -* ]]; then
        # shellcheck disable=SC2207
        COMPREPLY=($(compgen -W "$("$1" --help 2>/dev/null | grep -oE -- '(^|[ ,])--?[a-z][a-z0-9-]*' | tr -d ' ,' | sort -u)" -- "$current"))
    else
        compopt -o default 2>/dev/null
    fi
}
complete -F _bitnet bitnet-bench bitnet-convert bitnet-devices bitnet-doctor bitnet-run bitnet-tokenize
