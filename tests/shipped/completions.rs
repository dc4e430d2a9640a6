//! Completions for the three shells.

use clap_complete::Shell;

use crate::skipped::skipped;
use crate::tree;

fn script(shell: Shell, mut command: clap::Command, name: &str) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut script);
    let script = String::from_utf8(script).expect("text");
    // Some lines end in spaces, which no file of this tree does.
    let lines = script.lines().map(|line| line.trim_end().to_owned() + "\n");
    lines.collect()
}

#[test]
fn the_checked_in_completions_are_those_of_the_programs() {
    for (name, command) in [
        ("wactl", wasessiond::ctl::command()),
        ("wasessiond", wasessiond::daemon::command()),
    ] {
        for (shell, file) in [
            (Shell::Bash, format!("{name}.bash")),
            (Shell::Zsh, format!("_{name}")),
            (Shell::Fish, format!("{name}.fish")),
        ] {
            let made = script(shell, command.clone(), name);
            tree::same(&format!("contrib/completions/{file}"), &made);
        }
    }
}

#[test]
fn the_shells_can_read_them() {
    for (shell, arguments, suffix) in [
        ("bash", &["-n"][..], ".bash"),
        ("zsh", &["-n"], ""),
        ("fish", &["--no-execute"], ".fish"),
    ] {
        for name in ["wactl", "wasessiond"] {
            let prefix = if shell == "zsh" { "_" } else { "" };
            let file = tree::path(&format!("contrib/completions/{prefix}{name}{suffix}"));
            let read = std::process::Command::new(shell)
                .args(arguments)
                .arg(&file)
                .output();
            let Ok(read) = read else {
                skipped(&format!("{shell} is not here to read its completions"));
                break;
            };
            let told = String::from_utf8_lossy(&read.stderr);
            assert!(read.status.success(), "{}: {told}", file.display());
        }
    }
}
