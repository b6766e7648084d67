# Completion of mgpu for fish: mgpu completion fish > ~/.config/fish/completions/mgpu.fish
function __mgpu_complete
  set -l words (commandline -opc)
  set -l current (commandline -ct)
  set -l found ($words[1] complete -- $words[2..-1] "$current" 2>/dev/null)
  if test "$found[1]" = :files
    __fish_complete_path "$current"
  else if set -q found[1]
    printf '%s\n' $found
  end
end
complete -c mgpu -f -a '(__mgpu_complete)'
