//! `brigade completions`: the script that completes command lines in a shell.
//!
//! Those of bash, zsh and fish are thin: they call `brigade complete` for each Tab, which also knows the names in the
//! network. Those of other shells list commands and options only.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap_complete::Shell;

use crate::{command_line::manual::grammar, terminal::standard_output::record_write};

/// The first line of the answer is the kind of the words: `values`, `files`, or `folders`. Bash replaces only the part
/// of a word behind the last of its own separators, so the answer depends on that part, too.
const BASH: &str = r#"# Completes brigade in bash: commands, options, and the names in the network.
_brigade() {
    local kind='' line=''
    COMPREPLY=()
    while IFS= read -r line; do
        if [[ -z $kind ]]; then kind=$line; else COMPREPLY+=("$line"); fi
    done < <(brigade complete bash -- "${COMP_LINE:0:COMP_POINT}" "$2" 2>/dev/null)
    case $kind in
        files | folders)
            compopt -o filenames 2>/dev/null
            local option=-f
            [[ $kind == folders ]] && option=-d
            while IFS= read -r line; do COMPREPLY+=("$line"); done < <(compgen "$option" -- "$2")
            ;;
        *)
            if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == */ ]]; then
                compopt -o nospace 2>/dev/null
            fi
            ;;
    esac
}
complete -F _brigade brigade
"#;

/// zsh quotes the words itself, and shows the texts beside them.
const ZSH: &str = r#"#compdef brigade
# Completes brigade in zsh: commands, options, and the names in the network.
_brigade() {
    local -a lines values texts folders
    local line value
    lines=("${(@f)$(brigade complete zsh -- "${(@Q)words[1,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)}")
    [[ $PREFIX == --*=* ]] && compset -P '*='
    case $lines[1] in
        files) _files; return ;;
        folders) _files -/; return ;;
    esac
    for line in "${(@)lines[2,-1]}"; do
        value=${line%%$'\t'*}
        if [[ $value == */ ]]; then
            folders+=("$value")
        elif [[ -n $value ]]; then
            values+=("$value")
            texts+=("${line//$'\t'/  }")
        fi
    done
    (( $#values )) && compadd -l -d texts -a values
    (( $#folders )) && compadd -S '' -a folders
}
if [[ $funcstack[1] == _brigade ]]; then _brigade "$@"; else compdef _brigade brigade; fi
"#;

/// fish quotes the words itself; a tab separates a word from its text.
const FISH: &str = r#"# Completes brigade in fish: commands, options, and the names in the network.
function __brigade_complete
    set -l lines (brigade complete fish -- (commandline -opc) (commandline -ct | string unescape) 2>/dev/null)
    set -l kind $lines[1]
    set -e lines[1]
    switch "$kind"
        case files
            __fish_complete_path (commandline -ct)
        case folders
            __fish_complete_directories (commandline -ct)
        case '*'
            test (count $lines) -gt 0; and printf '%s\n' $lines
    end
end
complete -c brigade -f -a '(__brigade_complete)'
"#;

/// Prints the script of a shell.
pub(crate) fn run(shell: Shell) -> ExitCode {
    let mut script = vec![];
    match shell {
        Shell::Bash => script.extend_from_slice(BASH.as_bytes()),
        Shell::Zsh => script.extend_from_slice(ZSH.as_bytes()),
        Shell::Fish => script.extend_from_slice(FISH.as_bytes()),
        other => clap_complete::generate(other, &mut grammar(), "brigade", &mut script),
    }
    let mut out = io::stdout();
    record_write(out.write_all(&script).and_then(|()| out.flush()));
    ExitCode::SUCCESS
}
