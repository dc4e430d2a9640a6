#!/bin/sh
# Puts everything that a package holds below DESTDIR, as the packages of the distributions do.
#
#   cargo build --release --locked && sudo sh contrib/install.sh /
#   sudo systemd-sysusers && sudo systemd-tmpfiles --create && sudo journalctl --update-catalog
#
#   sh contrib/install.sh DESTDIR [DIRECTORY]    DIRECTORY has the binaries; target/release if not given
#
# A configuration that is there already is left as it is.
set -eu
dest=${1:?"say where to: sh contrib/install.sh DESTDIR"}
dest=$(mkdir -p "$dest" && cd "$dest" && pwd)
dest=${dest%/}
cd "$(dirname "$0")/.."
binaries=${2:-target/release}

put() { install -D -p -m "$1" "$2" "$dest/$3"; }

put 755 "$binaries/wasessiond" usr/bin/wasessiond
put 755 "$binaries/wactl" usr/bin/wactl

# These are laid out as they are installed.
(cd systemd && find . -type f) | while read -r file; do
    file=${file#./}
    case $file in
    etc/*) [ -e "$dest/$file" ] || put 644 "systemd/$file" "$file" ;;
    *) put 644 "systemd/$file" "$file" ;;
    esac
done

for page in contrib/man/*.[1578]; do
    put 644 "$page" "usr/share/man/man${page##*.}/${page##*/}"
done
for program in wasessiond wactl; do
    put 644 "contrib/completions/$program.bash" "usr/share/bash-completion/completions/$program"
    put 644 "contrib/completions/_$program" "usr/share/zsh/vendor-completions/_$program"
    put 644 "contrib/completions/$program.fish" "usr/share/fish/vendor_completions.d/$program.fish"
done
put 644 README.md usr/share/doc/wasessiond/README.md
put 644 LICENSE usr/share/doc/wasessiond/copyright
