//! The manual pages: `contrib/man/*.in` is what people wrote, the rest comes from the command lines and
//! from the default configuration.

use std::fmt::Write as _;
use std::process::Command;

use clap_mangen::Man;
use wasessiond::service::config::TakesEffect;

use crate::skipped::skipped;
use crate::{configuration, tree};

/// The beginning of every page. It has no date: it changes with the program, not with the day.
fn title(name: &str, section: u8) -> String {
    let version = env!("CARGO_PKG_VERSION");
    format!(".TH {name} {section} \"\" \"wasessiond {version}\" wasessiond\n")
}

/// The head of a page, from a command: title, name, synopsis, description.
fn head(command: &clap::Command, section: u8) -> String {
    let man = Man::new(command.clone().subcommand_value_name("COMMAND"));
    let mut roff = Vec::new();
    man.render_name_section(&mut roff).expect("memory");
    man.render_synopsis_section(&mut roff).expect("memory");
    man.render_description_section(&mut roff).expect("memory");
    title(&command.get_name().to_uppercase(), section) + &cleaned(roff)
}

fn options(command: &clap::Command) -> String {
    let mut roff = Vec::new();
    let man = Man::new(command.clone());
    man.render_options_section(&mut roff).expect("memory");
    cleaned(roff)
}

/// Every command that can be given, each with its synopsis and its options.
fn commands(of: &clap::Command, words: &str) -> String {
    let mut text = String::new();
    for command in of.get_subcommands() {
        let words = format!("{words} {}", command.get_name());
        if command.has_subcommands() {
            text += &commands(command, &words);
            continue;
        }
        let command = command.clone().bin_name(&words).disable_help_flag(true);
        let arguments = command.get_arguments().next().is_some();
        let man = Man::new(command);
        let mut roff = Vec::new();
        man.render_synopsis_section(&mut roff).expect("memory");
        man.render_description_section(&mut roff).expect("memory");
        if arguments {
            man.render_options_section(&mut roff).expect("memory");
        }
        let roff = cleaned(roff)
            .replace(".SH SYNOPSIS\n", &format!(".SS {words}\n"))
            .replace(".SH DESCRIPTION\n", ".PP\n")
            .replace(".SH OPTIONS\n", "");
        text += &roff;
    }
    text
}

/// Without the definitions that begin every piece, and without spaces at the end of a line.
fn cleaned(roff: Vec<u8>) -> String {
    let roff = String::from_utf8(roff).expect("text");
    let lines = roff
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.is_empty() && !line.starts_with(".ie ") && !line.starts_with(".el "));
    let mut lines: Vec<_> = lines
        // The apostrophe that those definitions were about.
        .map(|line| line.replace("\\*(Aq", "\\(aq") + "\n")
        .collect();
    lines.dedup_by(|line, before| line == before && line == ".br\n");
    lines.concat()
}

/// Text that stands for itself, with what is between backquotes in bold.
fn prose(text: &str) -> String {
    let escaped = text.replace('\\', "\\e").replace('-', "\\-");
    let mut prose = String::new();
    for (nth, part) in escaped.split('`').enumerate() {
        let font = match nth {
            0 => "",
            odd if odd % 2 == 1 => "\\fB",
            _ => "\\fR",
        };
        prose.extend([font, part]);
    }
    match prose.chars().next() {
        Some('.' | '\'') => format!("\\&{prose}"),
        _ => prose,
    }
}

/// Every key of the configuration.
fn keys() -> String {
    let mut text = String::new();
    let mut section = "";
    for key in configuration::documented() {
        if key.section != section {
            section = key.section;
            let _ = writeln!(text, ".SS [{section}]");
        }
        let (key, value) = (prose(key.key), (prose(&key.value), prose(&key.about)));
        let _ = writeln!(text, ".TP\n\\fB{key}\\fR = {}\n{}", value.0, value.1);
    }
    text
}

/// Which sections a reload takes.
fn reloading() -> String {
    let [reload, restart] =
        [TakesEffect::AtReload, TakesEffect::AtRestart].map(configuration::sections);
    format!("{reload} take effect at once.\n{restart} need a restart, which keeps every session.\n")
}

/// A page, from what people wrote and what is made.
fn page(name: &str, made: &[(&str, String)]) {
    let mut page =
        String::from(".\\\" Made by tests/shipped from the .in file beside it. Do not edit.\n");
    for line in tree::read(&format!("contrib/man/{name}.in")).lines() {
        match made.iter().find(|(mark, _)| *mark == line) {
            Some((_, text)) => page += text,
            None => page.extend([line, "\n"]),
        }
    }
    tree::same(&format!("contrib/man/{name}"), &page);
}

#[test]
fn the_checked_in_pages_are_those_of_the_programs() {
    for (name, section, command) in [
        ("wactl", 1, wasessiond::ctl::command()),
        ("wasessiond", 8, wasessiond::daemon::command()),
    ] {
        page(
            &format!("{name}.{section}"),
            &[
                ("@HEAD@", head(&command, section)),
                ("@OPTIONS@", options(&command)),
                ("@COMMANDS@", commands(&command, name)),
            ],
        );
    }
    page(
        "wasessiond.toml.5",
        &[
            ("@TITLE@", title("WASESSIOND.TOML", 5)),
            ("@KEYS@", keys()),
            ("@RELOADING@", reloading()),
        ],
    );
}

/// Every page there is, also those that other parts of the tree bring.
fn pages() -> Vec<std::path::PathBuf> {
    let listed = std::fs::read_dir(tree::path("contrib/man")).expect("the pages");
    let files = listed.map(|entry| entry.expect("a page").path());
    files
        .filter(|file| file.extension().is_some_and(|e| e != "in"))
        .collect()
}

#[test]
fn the_pages_are_clean() {
    let pages = pages();
    assert!(pages.len() >= 3, "{pages:?}");
    for page in pages {
        let mandoc = Command::new("mandoc")
            .args(["-T", "lint", "-W", "warning"])
            .arg(&page)
            .output();
        let groff = Command::new("groff")
            .args(["-man", "-ww", "-z", "-Kutf8"])
            .arg(&page)
            .output();
        for (tool, ran) in [("mandoc", mandoc), ("groff", groff)] {
            let Ok(ran) = ran else {
                skipped(&format!("{tool} is not here to read {}", page.display()));
                continue;
            };
            let told = [ran.stdout, ran.stderr].concat();
            let told = String::from_utf8_lossy(&told);
            let told: Vec<_> = told
                .lines()
                .filter(|line| !line.contains("missing date, using \"\""))
                .collect();
            assert!(told.is_empty(), "{tool}: {}", told.join("\n"));
        }
    }
}

#[test]
fn the_exit_statuses_of_the_help_are_in_the_pages() {
    let help = wasessiond::ctl::command().render_long_help().to_string();
    let page = tree::read("contrib/man/wactl.1.in");
    let statuses = help.split("Exit status:\n").nth(1).expect("they are told");
    for line in statuses.lines().take_while(|line| !line.is_empty()) {
        let status = line.split_whitespace().next().expect("a number");
        assert!(page.contains(&format!(".B {status}\n")), "{status}");
    }
}
