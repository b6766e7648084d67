#compdef mgpu
# Completion of mgpu for zsh. In ~/.zshrc, after compinit: source <(mgpu completion zsh)
_mgpu() {
  local line
  local -a found described
  found=("${(@f)$("${(Q)words[1]}" complete -- "${(@Q)words[2,CURRENT]}" 2>/dev/null)}")
  if [[ $found[1] == :files ]]; then
    _files
    return
  fi
  for line in $found; do
    described+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
  done
  (( $#described )) && _describe mgpu described
}
if [[ $funcstack[1] == _mgpu ]]; then _mgpu "$@"; else compdef _mgpu mgpu; fi
