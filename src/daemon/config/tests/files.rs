//! Which files count, as a table of trees.

use std::os::unix::fs::symlink;
use std::path::Path;

use super::Config;
use crate::service::config::{ConfigError, Origins, Places};

/// A tree with the three directories `etc`, `run` and `lib`, the highest first.
fn tree(files: &[(&str, &str)]) -> (tempfile::TempDir, Places) {
    let root = tempfile::tempdir().expect("a directory");
    for (name, text) in files {
        let file = root.path().join(name);
        std::fs::create_dir_all(file.parent().expect("a directory")).expect("a directory");
        match text.strip_prefix("-> ") {
            Some(target) => symlink(target, &file).expect("a link"),
            None => std::fs::write(&file, text).expect("a file"),
        }
    }
    let directories = ["etc", "run", "lib"].map(|name| root.path().join(name));
    (root, Places::Search(directories.to_vec()))
}

fn load(files: &[(&str, &str)]) -> (tempfile::TempDir, Result<(Config, Origins), ConfigError>) {
    let (root, places) = tree(files);
    let loaded = Config::load(&places);
    (root, loaded)
}

fn max(number: usize) -> String {
    format!("[sessions]\nmax = {number}\n")
}

/// Holds what is made of a tree against the number in force, what was read, in order, and what is masked.
fn assert_counts(files: &[(&str, &str)], number: usize, read: &str, masked: &str) {
    let (root, loaded) = load(files);
    let (config, origins) = loaded.unwrap_or_else(|e| panic!("{files:?}: {e}"));
    let listed = |paths: Vec<&Path>| {
        let inside = paths.into_iter().map(|path| {
            let inside = path.strip_prefix(root.path()).expect("inside");
            inside.display().to_string()
        });
        inside.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(config.sessions.max, number, "{files:?}");
    let files_read = origins.files.iter().map(|file| &**file).collect();
    assert_eq!(listed(files_read), read, "{files:?}");
    let files_masked = origins.masked.iter().map(|m| &*m.file).collect();
    assert_eq!(listed(files_masked), masked, "{files:?}");
}

#[test]
fn of_the_main_file_the_highest_counts() {
    let (one, two, three) = (&*max(1), &*max(2), &*max(3));
    let default = Config::default().sessions.max;
    for (files, number, read, masked) in [
        (vec![], default, "", ""),
        (vec![("lib/config.toml", one)], 1, "lib/config.toml", ""),
        (
            vec![("lib/config.toml", one), ("run/config.toml", two)],
            2,
            "run/config.toml",
            "lib/config.toml",
        ),
        (
            vec![
                ("lib/config.toml", one),
                ("run/config.toml", two),
                ("etc/config.toml", three),
            ],
            3,
            "etc/config.toml",
            "run/config.toml lib/config.toml",
        ),
        // A main file that says nothing still stands for the vendor's.
        (
            vec![("lib/config.toml", one), ("etc/config.toml", "")],
            default,
            "etc/config.toml",
            "lib/config.toml",
        ),
        (
            vec![
                ("lib/config.toml", one),
                ("etc/config.toml", "-> /dev/null"),
            ],
            default,
            "etc/config.toml",
            "lib/config.toml",
        ),
    ] {
        assert_counts(&files, number, read, masked);
    }
}

#[test]
fn drop_ins_count_by_their_names_over_all_directories() {
    let (one, two, three) = (&*max(1), &*max(2), &*max(3));
    let default = Config::default().sessions.max;
    for (files, number, read, masked) in [
        // Any of them overrides any main file.
        (
            vec![
                ("etc/config.toml", one),
                ("lib/config.toml.d/50-x.toml", two),
            ],
            2,
            "etc/config.toml lib/config.toml.d/50-x.toml",
            "",
        ),
        (
            vec![
                ("etc/config.toml.d/10-a.toml", one),
                ("lib/config.toml.d/90-z.toml", two),
                ("run/config.toml.d/50-m.toml", three),
            ],
            2,
            "etc/config.toml.d/10-a.toml run/config.toml.d/50-m.toml lib/config.toml.d/90-z.toml",
            "",
        ),
        // The same name counts once.
        (
            vec![
                ("etc/config.toml.d/50-x.toml", "# nothing\n"),
                ("run/config.toml.d/50-x.toml", two),
                ("lib/config.toml.d/50-x.toml", three),
                ("lib/config.toml.d/40-x.toml", one),
            ],
            1,
            "lib/config.toml.d/40-x.toml etc/config.toml.d/50-x.toml",
            "run/config.toml.d/50-x.toml lib/config.toml.d/50-x.toml",
        ),
        (
            vec![
                ("etc/config.toml.d/50-x.toml", ""),
                ("lib/config.toml.d/50-x.toml", three),
            ],
            default,
            "etc/config.toml.d/50-x.toml",
            "lib/config.toml.d/50-x.toml",
        ),
        (
            vec![
                ("etc/config.toml.d/50-x.toml", "-> 60-null"),
                ("etc/config.toml.d/60-null", "-> /dev/null"),
                ("lib/config.toml.d/50-x.toml", three),
            ],
            default,
            "etc/config.toml.d/50-x.toml",
            "lib/config.toml.d/50-x.toml",
        ),
        // What is no drop-in.
        (
            vec![
                ("etc/config.toml.d/50-x.toml~", one),
                ("etc/config.toml.d/.50-x.toml", one),
                ("etc/config.toml.d/50-x.toml.dpkg-old", one),
                ("etc/config.toml.d/README", "read me"),
            ],
            default,
            "",
            "",
        ),
    ] {
        assert_counts(&files, number, read, masked);
    }
}

#[test]
fn keys_are_overridden_one_by_one_and_know_their_place() {
    let (root, loaded) = load(&[
        (
            "etc/config.toml",
            "[sessions]\nmax = 5\nrestore_concurrency = 3\n[access]\nadmins = [\"root\", \"alice\"]\n",
        ),
        ("run/config.toml.d/10-x.toml", "\n\n[sessions]\nmax = 7\n"),
        (
            "lib/config.toml.d/20-x.toml",
            "[access]\nadmins = [\"bob\"]\n",
        ),
    ]);
    let (config, origins) = loaded.expect("good files");
    assert_eq!(config.sessions.max, 7);
    assert_eq!(config.sessions.restore_concurrency, 3);
    // A list is a value like any other: nothing is added to it.
    assert_eq!(config.access.admins.len(), 1);
    let place = |section, key| {
        let (file, line) = origins.get(section, key)?;
        let inside = file.strip_prefix(root.path()).expect("inside");
        Some(format!("{}:{line}", inside.display()))
    };
    for (section, key, at) in [
        ("sessions", "max", Some("run/config.toml.d/10-x.toml:4")),
        ("sessions", "restore_concurrency", Some("etc/config.toml:3")),
        ("access", "admins", Some("lib/config.toml.d/20-x.toml:2")),
        ("log", "filter", None),
    ] {
        assert_eq!(place(section, key).as_deref(), at, "{section}.{key}");
    }
    let printed = config.to_toml(&origins);
    let max = format!(
        "max = 7  # {}/run/config.toml.d/10-x.toml:4\n",
        root.path().display()
    );
    assert!(printed.contains(&max), "{printed}");
    assert!(printed.contains("\nfilter = \"info\"\n"), "{printed}");
}

#[test]
fn what_is_wrong_in_any_file_is_told_at_once() {
    let (root, loaded) = load(&[
        ("etc/config.toml", "[sessions]\nmax = 0\nmaxx = 1\n"),
        ("run/config.toml.d/10-x.toml", "[sessions\n"),
        // Overridden by the next, and wrong all the same.
        ("run/config.toml.d/20-x.toml", "[logout]\ndeadline = 5\n"),
        (
            "run/config.toml.d/30-x.toml",
            "[logout]\ndeadline = \"20s\"\n",
        ),
        ("lib/config.toml.d/40-gone.toml", "-> nowhere"),
        ("lib/config.toml.d/50-x.toml/x", ""),
        // Masked: whatever it says, it does not count.
        ("lib/config.toml", "[nonsense]\n"),
    ]);
    let told = loaded.expect_err("wrong").to_string();
    let told = told.replace(&format!("{}/", root.path().display()), "");
    let starts = [
        "cannot read the configuration lib/config.toml.d/40-gone.toml: No such file",
        "cannot read the configuration lib/config.toml.d/50-x.toml: it is not a regular file",
        "etc/config.toml:2:7: `sessions.max`: this must be between",
        "etc/config.toml:3:1: [sessions] has no key `maxx`",
        "run/config.toml.d/10-x.toml:1:10: ",
        "run/config.toml.d/20-x.toml:2:12: `logout.deadline`: a duration needs a unit",
    ];
    assert_eq!(told.lines().count(), starts.len(), "{told}");
    for (line, start) in told.lines().zip(starts) {
        assert!(line.starts_with(start), "{line}\n is not\n{start}");
    }
}

#[test]
fn keys_of_two_files_that_do_not_fit_are_told_with_both_places() {
    let (root, loaded) = load(&[
        ("etc/config.toml", "[logout]\nunlink_timeout = \"8s\"\n"),
        (
            "etc/config.toml.d/10-x.toml",
            "[logout]\ndeadline = \"6s\"\n",
        ),
    ]);
    let told = loaded.expect_err("wrong").to_string();
    let told = told.replace(&format!("{}/", root.path().display()), "");
    assert_eq!(
        told,
        "etc/config.toml.d/10-x.toml:2:12: `logout.unlink_timeout` (8s, etc/config.toml:2) must be \
         shorter than `logout.deadline` (6s, etc/config.toml.d/10-x.toml:2): the removal needs time \
         after the unlinking"
    );
}

#[test]
fn a_value_that_is_wrong_by_itself_is_told_once() {
    let (_root, loaded) = load(&[
        ("etc/config.toml", "[logout]\ndeadline = 20\n"),
        (
            "etc/config.toml.d/10-x.toml",
            "[logout]\nunlink_timeout = \"15s\"\n",
        ),
    ]);
    let told = loaded.expect_err("wrong").to_string();
    assert_eq!(told.lines().count(), 1, "{told}");
}

#[test]
fn a_directory_that_is_none_is_an_error() {
    let (_root, loaded) = load(&[("run/config.toml.d", "a file")]);
    let told = loaded.expect_err("wrong").to_string();
    assert!(
        told.contains("run/config.toml.d: ") && told.contains("directory"),
        "{told}"
    );
}

#[test]
fn a_file_that_was_named_is_read_alone() {
    let (root, _) = tree(&[
        ("etc/config.toml", &max(4)),
        ("etc/config.toml.d/10-x.toml", &max(5)),
    ]);
    let named = Places::Only(root.path().join("etc/config.toml"));
    let (config, origins) = Config::load(&named).expect("a good file");
    assert_eq!(config.sessions.max, 4);
    assert_eq!(origins.files.len(), 1);
    let null = Places::Only("/dev/null".into());
    let (config, _) = Config::load(&null).expect("nothing");
    assert_eq!(config, Config::default());
}

#[test]
fn files_that_cannot_be_read_say_why() {
    let directory = tempfile::tempdir().expect("a directory");
    let told = |path: &Path| {
        let error = Config::load(&Places::Only(path.to_owned()));
        error.expect_err("unreadable").to_string()
    };
    let missing = directory.path().join("missing.toml");
    let error = told(&missing);
    assert!(
        error.contains("missing.toml") && error.contains("make the file"),
        "{error}"
    );
    let error = told(directory.path());
    assert!(error.contains("not a regular file"), "{error}");
    let binary = directory.path().join("binary.toml");
    std::fs::write(&binary, b"\xff\xfe").expect("a file");
    let error = told(&binary);
    assert!(error.contains("UTF-8"), "{error}");
    let huge = directory.path().join("huge.toml");
    let file = std::fs::File::create(&huge).expect("a file");
    file.set_len(1 << 40).expect("a hole");
    let error = told(&huge);
    assert!(error.contains("larger than 1 MiB"), "{error}");
}
