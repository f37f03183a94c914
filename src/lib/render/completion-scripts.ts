// SPDX-License-Identifier: Apache-2.0
/**
 * What `kmeshctl completion SHELL` prints. Each script hands the words to `kmeshctl __complete SHELL -- WORD...`
 * and reads lines as text: nothing of an answer is ever evaluated.
 */
import type {SHELLS} from './completion.ts'

/** In the texts below `$\{` stands for a brace that is the shell's. */
function shellText(text: string): string {
  return text.replaceAll('$\\{', '$' + '{')
}

/** Works on bash 3.2 too, and without the package bash-completion. */
const BASH = shellText(String.raw`# bash completion of kmeshctl
__kmeshctl_complete() {
  local program=$1 typed=$\{COMP_LINE:0:COMP_POINT} rest index word line current break_at directive=4
  local -a words=()
  rest=$typed
  # COMP_WORDS is cut at = : @ too: what stood together is one word again.
  for ((index = 0; index <= COMP_CWORD; index++)); do
    word=$\{COMP_WORDS[index]-}
    if ((index > 0)) && [[ $rest != [[:space:]]* && ( -n $rest || $typed != *[[:space:]] ) ]]; then
      [[ $rest == "$word"* ]] || word=$rest
      words[$\{#words[@]}-1]+=$word
    else
      rest=$\{rest#"$\{rest%%[![:space:]]*}"}
      [[ $rest == "$word"* ]] || word=$rest
      words+=("$word")
    fi
    rest=$\{rest#"$word"}
  done
  index=$(($\{#words[@]} - 1))
  current=$\{words[index]-}
  type -P -- "$program" >/dev/null 2>&1 || program=kmeshctl
  break_at=
  if [[ $current == *[=:@]* ]]; then
    word=$\{current##*[=:@]}
    line=$\{current%"$word"}
    [[ $COMP_WORDBREAKS == *"$\{line: -1}"* ]] && break_at=$line
  fi
  COMPREPLY=()
  while IFS= read -r line; do
    case $line in
      :*) directive=$\{line#:} ;;
      ?*) line=$\{line%%$'\t'*}; COMPREPLY+=("$\{line#"$break_at"}") ;;
    esac
  done < <("$program" __complete bash -- "$\{words[@]:1}" 2>/dev/null </dev/null)
  if type compopt >/dev/null 2>&1; then
    if (($\{#COMPREPLY[@]} == 1)) && [[ $\{COMPREPLY[0]} == *= ]]; then compopt -o nospace 2>/dev/null; fi
    if [[ $directive == 0 ]]; then compopt -o default 2>/dev/null; fi
  fi
  return 0
}
complete -F __kmeshctl_complete kmeshctl
`)

const ZSH = shellText(String.raw`#compdef kmeshctl
# zsh completion of kmeshctl
_kmeshctl() {
  local program=$words[1] line value directive=4
  local -a lines values shown open openShown
  whence -p -- "$program" >/dev/null 2>&1 || program=kmeshctl
  lines=("$\{(@f)$("$program" __complete zsh -- "$\{(@)words[2,CURRENT-1]}" "$PREFIX" 2>/dev/null </dev/null)}")
  for line in "$\{lines[@]}"; do
    [[ -z $line ]] && continue
    if [[ $line == :* ]]; then
      directive=$\{line#:}
      continue
    fi
    value=$\{line%%$'\t'*}
    [[ $line == *$'\t'* ]] && line="$value -- $\{line#*$'\t'}"
    if [[ $value == *= ]]; then
      open+=("$value") openShown+=("$line")
    else
      values+=("$value") shown+=("$line")
    fi
  done
  (( $\{#values} )) && compadd -l -d shown -a -- values
  (( $\{#open} )) && compadd -S '' -l -d openShown -a -- open
  if [[ $directive == 0 ]] && (( ! $\{#values} && ! $\{#open} )); then
    [[ $PREFIX == -*=* ]] && compset -P '*='
    _files
  fi
  (( compstate[nmatches] ))
}
if [[ $funcstack[1] == _kmeshctl ]]; then
  _kmeshctl "$@"
else
  (( $+functions[compdef] )) || { autoload -Uz compinit && compinit -i }
  compdef _kmeshctl kmeshctl
fi
`)

const FISH = shellText(String.raw`# fish completion of kmeshctl
function __kmeshctl_complete
    set -l words (commandline -opc)
    set -l token (commandline -ct)
    set -l program $words[1]
    command -q -- $program; or set program kmeshctl
    set -l lines (command $program __complete fish -- $words[2..-1] "$token" 2>/dev/null </dev/null)
    set -l directive 4
    set -l found 0
    for line in $lines
        if string match -q -- ':*' $line
            set directive (string sub -s 2 -- $line)
        else if test -n "$line"
            set found 1
            printf '%s\n' $line
        end
    end
    if test "$directive" = 0 -a $found = 0
        if string match -q -- '-*=*' "$token"
            set -l prefix (string replace -r '=.*' '=' -- $token)
            for path in (__fish_complete_path (string replace -r '^[^=]*=' '' -- $token))
                printf '%s%s\n' $prefix $path
            end
        else
            __fish_complete_path "$token"
        end
    end
end
complete -c kmeshctl -e
complete -c kmeshctl -f -a '(__kmeshctl_complete)'
`)

export const COMPLETION_SCRIPTS: Readonly<Record<(typeof SHELLS)[number], string>> = {
  bash: BASH,
  zsh: ZSH,
  fish: FISH,
}
