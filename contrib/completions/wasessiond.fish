# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_wasessiond_global_optspecs
    string join \n config= socket= state= h/help V/version
end

function __fish_wasessiond_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_wasessiond_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_wasessiond_using_subcommand
    set -l cmd (__fish_wasessiond_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c wasessiond -n "__fish_wasessiond_needs_command" -l config -d 'The configuration file, alone: no other one and no drop-ins are read' -r -F
complete -c wasessiond -n "__fish_wasessiond_needs_command" -l socket -d 'Where the control socket is to be' -r -F
complete -c wasessiond -n "__fish_wasessiond_needs_command" -l state -d 'Where the sessions are kept' -r -F
complete -c wasessiond -n "__fish_wasessiond_needs_command" -s h -l help -d 'Print help'
complete -c wasessiond -n "__fish_wasessiond_needs_command" -s V -l version -d 'Print version'
complete -c wasessiond -n "__fish_wasessiond_needs_command" -f -a "check" -d 'Check a configuration: print what would be in force, or everything that is wrong (status 78)'
complete -c wasessiond -n "__fish_wasessiond_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c wasessiond -n "__fish_wasessiond_using_subcommand check" -s h -l help -d 'Print help'
complete -c wasessiond -n "__fish_wasessiond_using_subcommand help; and not __fish_seen_subcommand_from check help" -f -a "check" -d 'Check a configuration: print what would be in force, or everything that is wrong (status 78)'
complete -c wasessiond -n "__fish_wasessiond_using_subcommand help; and not __fish_seen_subcommand_from check help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
