"""The scripts, one for each shell. Each asks the program that is being completed, so that they never grow old."""

from __future__ import annotations

from llama_stack.cli.completion import FILES, VARIABLE

_BASH = """\
# Shell completion of llama for bash. For now: eval "$(llama stack completion bash)"
_llama_stack_complete() {
    # The line itself is read, as bash takes `remote::openai` and `api=type` apart.
    local line=${COMP_LINE:0:COMP_POINT} word cut value about files=
    local -a words
    read -ra words <<< "$line"
    case $line in
        *[[:space:]]) word= ;;
        *) word=${words[${#words[@]}-1]}; unset "words[${#words[@]}-1]" ;;
    esac
    COMPREPLY=()
    while IFS=$'\\t' read -r value about; do
        if [[ $value == "FILES" ]]; then files=1; else COMPREPLY+=("$value"); fi
    done < <(VARIABLE=1 "${words[0]}" "${words[@]:1}" "$word" 2>/dev/null)
    if [[ -n $files ]]; then
        while IFS= read -r value; do COMPREPLY+=("$value"); done < <(compgen -f -- "$word")
        compopt -o filenames 2>/dev/null
    fi
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]]; then compopt -o nospace 2>/dev/null; fi
    # Of what bash has taken apart only the last part is replaced.
    cut=
    if [[ $word == *:* && $COMP_WORDBREAKS == *:* ]]; then cut=${word%"${word##*:}"}; fi
    if [[ ${word#"$cut"} == *=* && $COMP_WORDBREAKS == *=* ]]; then cut=${word%"${word##*=}"}; fi
    COMPREPLY=("${COMPREPLY[@]#"$cut"}")
}
complete -F _llama_stack_complete llama
"""

_ZSH = """\
#compdef llama
# Shell completion of llama for zsh. For now: eval "$(llama stack completion zsh)", behind compinit.
_llama_stack_complete() {
    local line files=
    local -a values shown
    for line in "${(@f)$(VARIABLE=1 ${words[1]} "${(@)words[2,CURRENT-1]}" "${PREFIX}" 2>/dev/null)}"; do
        if [[ $line == "FILES" ]]; then
            files=1
        elif [[ -n $line ]]; then
            values+=("${line%%$'\\t'*}")
            shown+=("${${line/$'\\t'/  -- }[1,COLUMNS-2]}")
        fi
    done
    if (( ${#values} == 1 )) && [[ ${values[1]} == *= ]]; then
        compadd -S '' -l -d shown -a values
    elif (( ${#values} )); then
        compadd -l -d shown -a values
    fi
    if [[ -n $files ]]; then _files; fi
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _llama_stack_complete "$@"
else
    compdef _llama_stack_complete llama
fi
"""

_FISH = """\
# Shell completion of llama for fish. For now: llama stack completion fish | source
function __llama_stack_complete
    set -l words (commandline -opc)
    set -l word (commandline -ct)
    for line in (env VARIABLE=1 $words[1] $words[2..-1] "$word" 2>/dev/null)
        if test "$line" = "FILES"
            __fish_complete_path "$word"
        else
            echo $line
        end
    end
end
complete -c llama -f -a "(__llama_stack_complete)"
"""


def _named(script: str) -> str:
    return script.replace("VARIABLE", VARIABLE).replace("FILES", FILES)


SCRIPTS = {"bash": _named(_BASH), "zsh": _named(_ZSH), "fish": _named(_FISH)}
