# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_wactl_global_optspecs
    string join \n socket= json h/help V/version
end

function __fish_wactl_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_wactl_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_wactl_using_subcommand
    set -l cmd (__fish_wactl_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c wactl -n "__fish_wactl_needs_command" -l socket -d 'The daemon\'s socket [default: $WASESSIOND_SOCKET, then the user\'s own daemon, then the system\'s]' -r -F
complete -c wactl -n "__fish_wactl_needs_command" -l json -d 'Print objects for programs: one, or one a line where the command goes on'
complete -c wactl -n "__fish_wactl_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c wactl -n "__fish_wactl_needs_command" -s V -l version -d 'Print version'
complete -c wactl -n "__fish_wactl_needs_command" -f -a "connect" -d 'Bring a session up: show QR codes until it is linked, and wait until it is online'
complete -c wactl -n "__fish_wactl_needs_command" -f -a "disconnect" -d 'Close a session and keep its credentials'
complete -c wactl -n "__fish_wactl_needs_command" -f -a "force-logout" -d 'Unlink a device at WhatsApp and remove everything of its session'
complete -c wactl -n "__fish_wactl_needs_command" -f -a "status" -d 'Show one session'
complete -c wactl -n "__fish_wactl_needs_command" -f -a "list" -d 'Show all sessions'
complete -c wactl -n "__fish_wactl_needs_command" -f -a "watch" -d 'Show what happens to sessions, as it happens'
complete -c wactl -n "__fish_wactl_needs_command" -f -a "history" -d 'Show sessions that ended'
complete -c wactl -n "__fish_wactl_needs_command" -f -a "qr" -d 'Show the live QR code of a session, or write it to a file'
complete -c wactl -n "__fish_wactl_needs_command" -f -a "passkey" -d 'Do what a pairing needs for which WhatsApp wants a passkey; without an option: print the challenge'
complete -c wactl -n "__fish_wactl_needs_command" -f -a "groups" -d 'Show the groups of an account, asked from WhatsApp'
complete -c wactl -n "__fish_wactl_needs_command" -f -a "targets" -d 'Show or change the target groups of a user'
complete -c wactl -n "__fish_wactl_needs_command" -f -a "proxy" -d 'Show or change the proxy through which a session reaches WhatsApp'
complete -c wactl -n "__fish_wactl_needs_command" -f -a "daemon" -d 'About the daemon itself'
complete -c wactl -n "__fish_wactl_needs_command" -f -a "completions" -d 'Print a completion script for a shell'
complete -c wactl -n "__fish_wactl_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c wactl -n "__fish_wactl_using_subcommand connect" -l phone -d 'Pair by a code to type on the phone with this number, instead of a QR code' -r
complete -c wactl -n "__fish_wactl_using_subcommand connect" -l expect -d 'The account that is expected: another one is unlinked again' -r
complete -c wactl -n "__fish_wactl_using_subcommand connect" -l proxy -d 'The proxy of a session that begins now, from its first connection on, as in `wactl proxy USER --set URL`; or none, for no proxy. A session that is there already keeps its own: `wactl proxy` changes it' -r
complete -c wactl -n "__fish_wactl_using_subcommand connect" -l password-file -d 'The first line of this file is the password of the user in the proxy\'s URL' -r -F
complete -c wactl -n "__fish_wactl_using_subcommand connect" -l timeout -d 'Wait no longer than this, like 90s or 5m; the session goes on' -r
complete -c wactl -n "__fish_wactl_using_subcommand connect" -l socket -d 'The daemon\'s socket [default: $WASESSIOND_SOCKET, then the user\'s own daemon, then the system\'s]' -r -F
complete -c wactl -n "__fish_wactl_using_subcommand connect" -l detach -d 'Do not wait'
complete -c wactl -n "__fish_wactl_using_subcommand connect" -l json -d 'Print objects for programs: one, or one a line where the command goes on'
complete -c wactl -n "__fish_wactl_using_subcommand connect" -s h -l help -d 'Print help'
complete -c wactl -n "__fish_wactl_using_subcommand disconnect" -l socket -d 'The daemon\'s socket [default: $WASESSIOND_SOCKET, then the user\'s own daemon, then the system\'s]' -r -F
complete -c wactl -n "__fish_wactl_using_subcommand disconnect" -l json -d 'Print objects for programs: one, or one a line where the command goes on'
complete -c wactl -n "__fish_wactl_using_subcommand disconnect" -s h -l help -d 'Print help'
complete -c wactl -n "__fish_wactl_using_subcommand force-logout" -l socket -d 'The daemon\'s socket [default: $WASESSIOND_SOCKET, then the user\'s own daemon, then the system\'s]' -r -F
complete -c wactl -n "__fish_wactl_using_subcommand force-logout" -s y -l yes -d 'Do not ask'
complete -c wactl -n "__fish_wactl_using_subcommand force-logout" -l json -d 'Print objects for programs: one, or one a line where the command goes on'
complete -c wactl -n "__fish_wactl_using_subcommand force-logout" -s h -l help -d 'Print help'
complete -c wactl -n "__fish_wactl_using_subcommand status" -l socket -d 'The daemon\'s socket [default: $WASESSIOND_SOCKET, then the user\'s own daemon, then the system\'s]' -r -F
complete -c wactl -n "__fish_wactl_using_subcommand status" -l json -d 'Print objects for programs: one, or one a line where the command goes on'
complete -c wactl -n "__fish_wactl_using_subcommand status" -s h -l help -d 'Print help'
complete -c wactl -n "__fish_wactl_using_subcommand list" -l socket -d 'The daemon\'s socket [default: $WASESSIOND_SOCKET, then the user\'s own daemon, then the system\'s]' -r -F
complete -c wactl -n "__fish_wactl_using_subcommand list" -l json -d 'Print objects for programs: one, or one a line where the command goes on'
complete -c wactl -n "__fish_wactl_using_subcommand list" -s h -l help -d 'Print help'
complete -c wactl -n "__fish_wactl_using_subcommand watch" -l since -d 'First what happened after this event, as far as the daemon remembers. EPOCH is the daemon\'s run: with it, a restart in between is noticed' -r
complete -c wactl -n "__fish_wactl_using_subcommand watch" -l socket -d 'The daemon\'s socket [default: $WASESSIOND_SOCKET, then the user\'s own daemon, then the system\'s]' -r -F
complete -c wactl -n "__fish_wactl_using_subcommand watch" -l json -d 'Print objects for programs: one, or one a line where the command goes on'
complete -c wactl -n "__fish_wactl_using_subcommand watch" -s h -l help -d 'Print help'
complete -c wactl -n "__fish_wactl_using_subcommand history" -l limit -d 'At most so many, the newest' -r
complete -c wactl -n "__fish_wactl_using_subcommand history" -l socket -d 'The daemon\'s socket [default: $WASESSIOND_SOCKET, then the user\'s own daemon, then the system\'s]' -r -F
complete -c wactl -n "__fish_wactl_using_subcommand history" -l json -d 'Print objects for programs: one, or one a line where the command goes on'
complete -c wactl -n "__fish_wactl_using_subcommand history" -s h -l help -d 'Print help'
complete -c wactl -n "__fish_wactl_using_subcommand qr" -l format -d 'How [default: by the name of the output file, else terminal]' -r -f -a "terminal\t'Drawn with block characters'
svg\t'An SVG image'
png\t'A PNG image'
text\t'The text in the code, for another program to draw'"
complete -c wactl -n "__fish_wactl_using_subcommand qr" -s o -l output -d 'Write it to this file, which only its owner may read: the code links a device' -r -F
complete -c wactl -n "__fish_wactl_using_subcommand qr" -l socket -d 'The daemon\'s socket [default: $WASESSIOND_SOCKET, then the user\'s own daemon, then the system\'s]' -r -F
complete -c wactl -n "__fish_wactl_using_subcommand qr" -l json -d 'Print objects for programs: one, or one a line where the command goes on'
complete -c wactl -n "__fish_wactl_using_subcommand qr" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c wactl -n "__fish_wactl_using_subcommand passkey" -l assertion -d 'Hand in the answer of a passkey to the challenge: a PublicKeyCredential in JSON; - reads it from the standard input' -r -F
complete -c wactl -n "__fish_wactl_using_subcommand passkey" -l socket -d 'The daemon\'s socket [default: $WASESSIOND_SOCKET, then the user\'s own daemon, then the system\'s]' -r -F
complete -c wactl -n "__fish_wactl_using_subcommand passkey" -l confirm -d 'Say that the code is the same on the phone'
complete -c wactl -n "__fish_wactl_using_subcommand passkey" -l json -d 'Print objects for programs: one, or one a line where the command goes on'
complete -c wactl -n "__fish_wactl_using_subcommand passkey" -s h -l help -d 'Print help'
complete -c wactl -n "__fish_wactl_using_subcommand groups" -l socket -d 'The daemon\'s socket [default: $WASESSIOND_SOCKET, then the user\'s own daemon, then the system\'s]' -r -F
complete -c wactl -n "__fish_wactl_using_subcommand groups" -l json -d 'Print objects for programs: one, or one a line where the command goes on'
complete -c wactl -n "__fish_wactl_using_subcommand groups" -s h -l help -d 'Print help'
complete -c wactl -n "__fish_wactl_using_subcommand targets" -l set -d 'Exactly these groups' -r
complete -c wactl -n "__fish_wactl_using_subcommand targets" -l add -d 'These groups too' -r
complete -c wactl -n "__fish_wactl_using_subcommand targets" -l remove -d 'Not these groups' -r
complete -c wactl -n "__fish_wactl_using_subcommand targets" -l socket -d 'The daemon\'s socket [default: $WASESSIOND_SOCKET, then the user\'s own daemon, then the system\'s]' -r -F
complete -c wactl -n "__fish_wactl_using_subcommand targets" -l clear -d 'No groups'
complete -c wactl -n "__fish_wactl_using_subcommand targets" -l json -d 'Print objects for programs: one, or one a line where the command goes on'
complete -c wactl -n "__fish_wactl_using_subcommand targets" -s h -l help -d 'Print help'
complete -c wactl -n "__fish_wactl_using_subcommand proxy" -l set -d 'This proxy: http://, socks5:// (names are looked up here) or socks5h:// (the proxy looks them up), perhaps USER@ or USER:PASSWORD@, a host and a port; "-" reads it from the standard input. Other users of this machine can see a command line, and a password in it' -r
complete -c wactl -n "__fish_wactl_using_subcommand proxy" -l password-file -d 'The first line of this file is the password of the user in the URL' -r -F
complete -c wactl -n "__fish_wactl_using_subcommand proxy" -l socket -d 'The daemon\'s socket [default: $WASESSIOND_SOCKET, then the user\'s own daemon, then the system\'s]' -r -F
complete -c wactl -n "__fish_wactl_using_subcommand proxy" -l none -d 'No proxy, also where the configuration has one for all sessions'
complete -c wactl -n "__fish_wactl_using_subcommand proxy" -l clear -d 'What the configuration says for all sessions'
complete -c wactl -n "__fish_wactl_using_subcommand proxy" -l show -d 'Change nothing'
complete -c wactl -n "__fish_wactl_using_subcommand proxy" -l json -d 'Print objects for programs: one, or one a line where the command goes on'
complete -c wactl -n "__fish_wactl_using_subcommand proxy" -s h -l help -d 'Print help'
complete -c wactl -n "__fish_wactl_using_subcommand daemon; and not __fish_seen_subcommand_from info ping reload rotate-key help" -l socket -d 'The daemon\'s socket [default: $WASESSIOND_SOCKET, then the user\'s own daemon, then the system\'s]' -r -F
complete -c wactl -n "__fish_wactl_using_subcommand daemon; and not __fish_seen_subcommand_from info ping reload rotate-key help" -l json -d 'Print objects for programs: one, or one a line where the command goes on'
complete -c wactl -n "__fish_wactl_using_subcommand daemon; and not __fish_seen_subcommand_from info ping reload rotate-key help" -s h -l help -d 'Print help'
complete -c wactl -n "__fish_wactl_using_subcommand daemon; and not __fish_seen_subcommand_from info ping reload rotate-key help" -f -a "info" -d 'Show the daemon\'s version, state and counters'
complete -c wactl -n "__fish_wactl_using_subcommand daemon; and not __fish_seen_subcommand_from info ping reload rotate-key help" -f -a "ping" -d 'Ask whether the daemon answers'
complete -c wactl -n "__fish_wactl_using_subcommand daemon; and not __fish_seen_subcommand_from info ping reload rotate-key help" -f -a "reload" -d 'Let the daemon read its configuration again'
complete -c wactl -n "__fish_wactl_using_subcommand daemon; and not __fish_seen_subcommand_from info ping reload rotate-key help" -f -a "rotate-key" -d 'Make another master key, and wrap the keys of all sessions with it'
complete -c wactl -n "__fish_wactl_using_subcommand daemon; and not __fish_seen_subcommand_from info ping reload rotate-key help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c wactl -n "__fish_wactl_using_subcommand daemon; and __fish_seen_subcommand_from info" -l socket -d 'The daemon\'s socket [default: $WASESSIOND_SOCKET, then the user\'s own daemon, then the system\'s]' -r -F
complete -c wactl -n "__fish_wactl_using_subcommand daemon; and __fish_seen_subcommand_from info" -l json -d 'Print objects for programs: one, or one a line where the command goes on'
complete -c wactl -n "__fish_wactl_using_subcommand daemon; and __fish_seen_subcommand_from info" -s h -l help -d 'Print help'
complete -c wactl -n "__fish_wactl_using_subcommand daemon; and __fish_seen_subcommand_from ping" -l socket -d 'The daemon\'s socket [default: $WASESSIOND_SOCKET, then the user\'s own daemon, then the system\'s]' -r -F
complete -c wactl -n "__fish_wactl_using_subcommand daemon; and __fish_seen_subcommand_from ping" -l json -d 'Print objects for programs: one, or one a line where the command goes on'
complete -c wactl -n "__fish_wactl_using_subcommand daemon; and __fish_seen_subcommand_from ping" -s h -l help -d 'Print help'
complete -c wactl -n "__fish_wactl_using_subcommand daemon; and __fish_seen_subcommand_from reload" -l socket -d 'The daemon\'s socket [default: $WASESSIOND_SOCKET, then the user\'s own daemon, then the system\'s]' -r -F
complete -c wactl -n "__fish_wactl_using_subcommand daemon; and __fish_seen_subcommand_from reload" -l json -d 'Print objects for programs: one, or one a line where the command goes on'
complete -c wactl -n "__fish_wactl_using_subcommand daemon; and __fish_seen_subcommand_from reload" -s h -l help -d 'Print help'
complete -c wactl -n "__fish_wactl_using_subcommand daemon; and __fish_seen_subcommand_from rotate-key" -l socket -d 'The daemon\'s socket [default: $WASESSIOND_SOCKET, then the user\'s own daemon, then the system\'s]' -r -F
complete -c wactl -n "__fish_wactl_using_subcommand daemon; and __fish_seen_subcommand_from rotate-key" -l json -d 'Print objects for programs: one, or one a line where the command goes on'
complete -c wactl -n "__fish_wactl_using_subcommand daemon; and __fish_seen_subcommand_from rotate-key" -s h -l help -d 'Print help'
complete -c wactl -n "__fish_wactl_using_subcommand daemon; and __fish_seen_subcommand_from help" -f -a "info" -d 'Show the daemon\'s version, state and counters'
complete -c wactl -n "__fish_wactl_using_subcommand daemon; and __fish_seen_subcommand_from help" -f -a "ping" -d 'Ask whether the daemon answers'
complete -c wactl -n "__fish_wactl_using_subcommand daemon; and __fish_seen_subcommand_from help" -f -a "reload" -d 'Let the daemon read its configuration again'
complete -c wactl -n "__fish_wactl_using_subcommand daemon; and __fish_seen_subcommand_from help" -f -a "rotate-key" -d 'Make another master key, and wrap the keys of all sessions with it'
complete -c wactl -n "__fish_wactl_using_subcommand daemon; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c wactl -n "__fish_wactl_using_subcommand completions" -l socket -d 'The daemon\'s socket [default: $WASESSIOND_SOCKET, then the user\'s own daemon, then the system\'s]' -r -F
complete -c wactl -n "__fish_wactl_using_subcommand completions" -l json -d 'Print objects for programs: one, or one a line where the command goes on'
complete -c wactl -n "__fish_wactl_using_subcommand completions" -s h -l help -d 'Print help'
complete -c wactl -n "__fish_wactl_using_subcommand help; and not __fish_seen_subcommand_from connect disconnect force-logout status list watch history qr passkey groups targets proxy daemon completions help" -f -a "connect" -d 'Bring a session up: show QR codes until it is linked, and wait until it is online'
complete -c wactl -n "__fish_wactl_using_subcommand help; and not __fish_seen_subcommand_from connect disconnect force-logout status list watch history qr passkey groups targets proxy daemon completions help" -f -a "disconnect" -d 'Close a session and keep its credentials'
complete -c wactl -n "__fish_wactl_using_subcommand help; and not __fish_seen_subcommand_from connect disconnect force-logout status list watch history qr passkey groups targets proxy daemon completions help" -f -a "force-logout" -d 'Unlink a device at WhatsApp and remove everything of its session'
complete -c wactl -n "__fish_wactl_using_subcommand help; and not __fish_seen_subcommand_from connect disconnect force-logout status list watch history qr passkey groups targets proxy daemon completions help" -f -a "status" -d 'Show one session'
complete -c wactl -n "__fish_wactl_using_subcommand help; and not __fish_seen_subcommand_from connect disconnect force-logout status list watch history qr passkey groups targets proxy daemon completions help" -f -a "list" -d 'Show all sessions'
complete -c wactl -n "__fish_wactl_using_subcommand help; and not __fish_seen_subcommand_from connect disconnect force-logout status list watch history qr passkey groups targets proxy daemon completions help" -f -a "watch" -d 'Show what happens to sessions, as it happens'
complete -c wactl -n "__fish_wactl_using_subcommand help; and not __fish_seen_subcommand_from connect disconnect force-logout status list watch history qr passkey groups targets proxy daemon completions help" -f -a "history" -d 'Show sessions that ended'
complete -c wactl -n "__fish_wactl_using_subcommand help; and not __fish_seen_subcommand_from connect disconnect force-logout status list watch history qr passkey groups targets proxy daemon completions help" -f -a "qr" -d 'Show the live QR code of a session, or write it to a file'
complete -c wactl -n "__fish_wactl_using_subcommand help; and not __fish_seen_subcommand_from connect disconnect force-logout status list watch history qr passkey groups targets proxy daemon completions help" -f -a "passkey" -d 'Do what a pairing needs for which WhatsApp wants a passkey; without an option: print the challenge'
complete -c wactl -n "__fish_wactl_using_subcommand help; and not __fish_seen_subcommand_from connect disconnect force-logout status list watch history qr passkey groups targets proxy daemon completions help" -f -a "groups" -d 'Show the groups of an account, asked from WhatsApp'
complete -c wactl -n "__fish_wactl_using_subcommand help; and not __fish_seen_subcommand_from connect disconnect force-logout status list watch history qr passkey groups targets proxy daemon completions help" -f -a "targets" -d 'Show or change the target groups of a user'
complete -c wactl -n "__fish_wactl_using_subcommand help; and not __fish_seen_subcommand_from connect disconnect force-logout status list watch history qr passkey groups targets proxy daemon completions help" -f -a "proxy" -d 'Show or change the proxy through which a session reaches WhatsApp'
complete -c wactl -n "__fish_wactl_using_subcommand help; and not __fish_seen_subcommand_from connect disconnect force-logout status list watch history qr passkey groups targets proxy daemon completions help" -f -a "daemon" -d 'About the daemon itself'
complete -c wactl -n "__fish_wactl_using_subcommand help; and not __fish_seen_subcommand_from connect disconnect force-logout status list watch history qr passkey groups targets proxy daemon completions help" -f -a "completions" -d 'Print a completion script for a shell'
complete -c wactl -n "__fish_wactl_using_subcommand help; and not __fish_seen_subcommand_from connect disconnect force-logout status list watch history qr passkey groups targets proxy daemon completions help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c wactl -n "__fish_wactl_using_subcommand help; and __fish_seen_subcommand_from daemon" -f -a "info" -d 'Show the daemon\'s version, state and counters'
complete -c wactl -n "__fish_wactl_using_subcommand help; and __fish_seen_subcommand_from daemon" -f -a "ping" -d 'Ask whether the daemon answers'
complete -c wactl -n "__fish_wactl_using_subcommand help; and __fish_seen_subcommand_from daemon" -f -a "reload" -d 'Let the daemon read its configuration again'
complete -c wactl -n "__fish_wactl_using_subcommand help; and __fish_seen_subcommand_from daemon" -f -a "rotate-key" -d 'Make another master key, and wrap the keys of all sessions with it'
