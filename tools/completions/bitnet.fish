# Completion for fish: options are those that the tool's own --help lists.
function __bitnet_options
    set -l tool (commandline -opc)[1]
    $tool --help 2>/dev/null | string match -rag -- '(?:^|[ ,])(--[a-z][a-z0-9-]*)'
end

for tool in bitnet-bench bitnet-convert bitnet-devices bitnet-doctor bitnet-run bitnet-tokenize
    complete -c $tool -n 'string match -q -- "-*" (commandline -ct)' -f -a '(__bitnet_options)'
    complete -c $tool -l color -x -a 'auto always never'
    complete -c $tool -s d -l device -x -a 'auto (bitnet-run --list-devices 2>/dev/null | string split -f 1 " ")'
end
