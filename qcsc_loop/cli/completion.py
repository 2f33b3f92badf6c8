"""`completion`: what a shell runs to offer commands, runs, algorithms and parameters at Tab."""

from __future__ import annotations

from typing import Literal

from qcsc_loop.cli.asking import ASKED
from qcsc_loop.printing import say

Shell = Literal["bash", "zsh", "fish"]

_BASH = r"""
_qcsc_loop() {
    local offer
    COMPREPLY=()
    compopt -o nospace 2>/dev/null
    while IFS= read -r offer; do
        case "$offer" in
            @files) compopt -o default -o filenames 2>/dev/null; continue ;;
            @folders) compopt -o dirnames -o filenames 2>/dev/null; continue ;;
            *=|*:) COMPREPLY+=("$offer") ;;
            *) COMPREPLY+=("$offer ") ;;
        esac
    done < <(ASKED=bash command qcsc-loop "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
    if [[ ${#COMPREPLY[@]} -eq 0 ]]; then compopt +o nospace 2>/dev/null; fi
}
complete -F _qcsc_loop qcsc-loop
"""
_ZSH = r"""
#compdef qcsc-loop
_qcsc_loop() {
    local offer
    local -a whole open
    for offer in ${(f)"$(ASKED=zsh command qcsc-loop "${(@)words[2,CURRENT]}" 2>/dev/null)"}; do
        case "$offer" in
            @files) _files ;;
            @folders) _files -/ ;;
            *=|*:) open+=("$offer") ;;
            *) whole+=("$offer") ;;
        esac
    done
    (( ${#open} )) && compadd -S '' -- "${open[@]}"
    (( ${#whole} )) && compadd -- "${whole[@]}"
}
compdef _qcsc_loop qcsc-loop
"""
_FISH = r"""
function __qcsc_loop
    set -l words (commandline -opc) (commandline -ct)
    for offer in (env ASKED=fish qcsc-loop $words[2..-1] 2>/dev/null)
        switch $offer
            case @files
                __fish_complete_path (commandline -ct)
            case @folders
                __fish_complete_directories (commandline -ct)
            case '*'
                echo $offer
        end
    end
end
complete -c qcsc-loop -f -a '(__qcsc_loop)'
"""
_SCRIPTS: dict[Shell, str] = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}


def say_script(shell: Shell) -> None:
    """Prints what the shell is to read when it starts."""
    say(_SCRIPTS[shell].strip().replace("ASKED", ASKED))
