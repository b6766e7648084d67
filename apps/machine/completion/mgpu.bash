# Completion of mgpu for bash. In ~/.bashrc: source <(mgpu completion bash)
_mgpu() {
  local line=${COMP_LINE:0:COMP_POINT} current found value rest separated=
  local -a words
  COMPREPLY=()
  # The words of bash end at colons, and gpu:0 is one.
  IFS=$' \t\n' read -ra words <<<"$line"
  [[ $line == *[[:space:]] ]] && words+=('')
  current=${words[${#words[@]} - 1]}
  found=$("${words[0]}" complete -- "${words[@]:1}" 2>/dev/null) || return 0
  if [[ $found == :files ]]; then
    compopt -o default
    return 0
  fi
  # Only what follows the last colon is replaced.
  [[ $COMP_WORDBREAKS == *:* && $current == *:* ]] && separated=${current%"${current##*:}"}
  while IFS=$'\t' read -r value rest; do
    [[ -n $value && $value == "$current"* ]] && COMPREPLY+=("${value#"$separated"}")
  done <<<"$found"
  return 0
}
complete -F _mgpu mgpu
