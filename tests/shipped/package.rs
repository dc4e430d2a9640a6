//! The packages: what is in them, and the life of the Debian one in a root directory of its own.

use std::collections::BTreeSet;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::debian::{NEWER, Packages, programs, run};
use crate::tree;

/// Everything a package holds. Manual pages are compressed by the packages' own tools.
const CONTENTS: &[&str] = &[
    "etc/wasessiond/config.toml",
    "usr/bin/wactl",
    "usr/bin/wasessiond",
    "usr/lib/systemd/catalog/wasessiond.catalog",
    "usr/lib/systemd/system-preset/80-wasessiond.preset",
    "usr/lib/systemd/system/wasessiond.service",
    "usr/lib/systemd/system/wasessiond.socket",
    "usr/lib/systemd/user/wasessiond.service",
    "usr/lib/systemd/user/wasessiond.socket",
    "usr/lib/sysusers.d/wasessiond.conf",
    "usr/lib/tmpfiles.d/wasessiond.conf",
    "usr/share/bash-completion/completions/wactl",
    "usr/share/bash-completion/completions/wasessiond",
    "usr/share/doc/wasessiond/README.md",
    "usr/share/doc/wasessiond/copyright",
    "usr/share/fish/vendor_completions.d/wactl.fish",
    "usr/share/fish/vendor_completions.d/wasessiond.fish",
    "usr/share/man/man1/wactl.1",
    "usr/share/man/man5/wasessiond.toml.5",
    "usr/share/man/man7/wasession-protocol.7",
    "usr/share/man/man8/wasessiond.8",
    "usr/share/zsh/vendor-completions/_wactl",
    "usr/share/zsh/vendor-completions/_wasessiond",
];

fn contents() -> BTreeSet<String> {
    CONTENTS.iter().map(|&name| name.to_owned()).collect()
}

/// Holds what is there against what must be.
fn assert_complete(there: &BTreeSet<String>) {
    let expected = contents();
    let missing: Vec<_> = expected.difference(there).collect();
    let strange: Vec<_> = there.difference(&expected).collect();
    assert!(
        missing.is_empty() && strange.is_empty(),
        "missing, so not in the tree or not installed: {missing:#?}\nnot expected: {strange:#?}"
    );
}

/// The files below a directory, with their modes.
fn files(root: &Path) -> Vec<(String, u32)> {
    let mut found = Vec::new();
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                directories.push(path);
                continue;
            }
            let name = path.strip_prefix(root).expect("below it");
            let mode = path.metadata().expect("a file").permissions().mode() & 0o7777;
            found.push((name.display().to_string(), mode));
        }
    }
    found
}

fn mode(of: &str) -> u32 {
    if of.starts_with("usr/bin/") {
        0o755
    } else {
        0o644
    }
}

#[test]
fn install_sh_puts_everything_in_its_place_and_keeps_a_configuration() {
    let (target, root) = (programs(), tempfile::tempdir().expect("a directory"));
    let install = || {
        let mut command = Command::new("sh");
        command.arg(tree::path("contrib/install.sh"));
        run(command.arg(root.path()).arg(target.path().join("release")))
    };
    install();
    let there: BTreeSet<_> = files(root.path())
        .into_iter()
        .map(|(name, found)| {
            assert_eq!(found, mode(&name), "{name}");
            name
        })
        .collect();
    assert_complete(&there);
    let config = root.path().join("etc/wasessiond/config.toml");
    std::fs::write(&config, "# mine\n").expect("written");
    install();
    assert_eq!(std::fs::read_to_string(config).expect("there"), "# mine\n");
}

#[test]
fn the_rpm_lists_what_install_sh_puts() {
    let spec = tree::read("contrib/rpm/wasessiond.spec");
    let listed = spec.split("\n%files\n").nth(1).expect("a list");
    let mut patterns: Vec<String> = listed
        .lines()
        .map(|line| {
            [
                ("%config(noreplace) ", ""),
                ("%license LICENSE", "usr/share/doc/wasessiond/copyright"),
                ("%doc README.md", "usr/share/doc/wasessiond/README.md"),
                ("%{_sysconfdir}", "etc"),
                ("%{_bindir}", "usr/bin"),
                ("%{_unitdir}", "usr/lib/systemd/system"),
                ("%{_userunitdir}", "usr/lib/systemd/user"),
                ("%{_presetdir}", "usr/lib/systemd/system-preset"),
                ("%{_journalcatalogdir}", "usr/lib/systemd/catalog"),
                ("%{_sysusersdir}", "usr/lib/sysusers.d"),
                ("%{_tmpfilesdir}", "usr/lib/tmpfiles.d"),
                ("%{_mandir}", "usr/share/man"),
                ("%{_datadir}", "usr/share"),
                ("zsh/site-functions", "zsh/vendor-completions"),
            ]
            .iter()
            .fold(line.to_owned(), |line, (from, to)| line.replace(from, to))
        })
        .filter(|line| !line.starts_with("%dir "))
        .collect();
    for name in CONTENTS {
        let listed = patterns
            .iter()
            .any(|pattern| match pattern.split_once('*') {
                Some((prefix, _)) => name.starts_with(prefix),
                None => name == pattern,
            });
        assert!(listed, "{name} is not in the spec's list");
    }
    patterns.retain(|pattern| {
        let prefix = pattern.split('*').next().unwrap_or(pattern);
        !CONTENTS.iter().any(|name| name.starts_with(prefix))
    });
    assert_eq!(patterns, Vec::<String>::new(), "listed, and not there");
}

#[test]
fn the_packages_have_the_version_of_the_programs() {
    let version = env!("CARGO_PKG_VERSION");
    let spec = tree::read("contrib/rpm/wasessiond.spec");
    let spec = spec.lines().find_map(|line| line.strip_prefix("Version:"));
    assert_eq!(spec.map(str::trim), Some(version));
    let build = tree::read("contrib/arch/PKGBUILD");
    let build = build.lines().find_map(|line| line.strip_prefix("pkgver="));
    assert_eq!(build, Some(version));
}

/// A root directory with nothing in it but systemd and a package database.
struct Root(TempDir);

impl Root {
    fn new() -> Self {
        let root = tempfile::tempdir().expect("a directory");
        let database = root.path().join("var/lib/dpkg");
        std::fs::create_dir_all(database.join("updates")).expect("a directory");
        std::fs::create_dir(database.join("info")).expect("a directory");
        std::fs::write(database.join("status"), "").expect("a file");
        // Where Debian's tools look whether there is a systemd.
        std::fs::create_dir_all(root.path().join("usr/bin")).expect("a directory");
        symlink("/usr/bin/systemctl", root.path().join("usr/bin/systemctl")).expect("a link");
        Self(root)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let file = self.path(name);
        std::fs::create_dir_all(file.parent().expect("a directory")).expect("a directory");
        std::fs::write(file, text).expect("a file");
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    /// Runs dpkg on it. The scripts run with the machine's own tools, and with `$DPKG_ROOT`.
    fn dpkg(&self, arguments: &[&str]) -> String {
        let is_root = nix::unistd::geteuid().is_root();
        let mut command = Command::new(if is_root { "dpkg" } else { "fakeroot" });
        if !is_root {
            command.arg("dpkg");
        }
        run(command
            .env("LC_ALL", "C.UTF-8")
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .arg(format!("--root={}", self.0.path().display()))
            .arg(format!("--log={}", self.path("dpkg.log").display()))
            .args(["--force-not-root", "--force-script-chrootless"])
            // What is below it is the machine's, not this root's.
            .args(["--force-depends", "--force-confdef"])
            .args(arguments))
    }

    fn install(&self, package: &Path) -> String {
        self.dpkg(&["--install", &package.display().to_string()])
    }

    fn systemctl(&self, arguments: &[&str]) -> String {
        let root = format!("--root={}", self.0.path().display());
        let ran = Command::new("systemctl").arg(root).args(arguments).output();
        let ran = ran.expect("systemctl runs");
        String::from_utf8_lossy(&ran.stdout).trim().to_owned()
    }

    fn enabled(&self) -> [String; 2] {
        ["wasessiond.socket", "wasessiond.service"]
            .map(|unit| self.systemctl(&["is-enabled", unit]))
    }
}

// Making it takes most of the time, so it is made once.
#[test]
fn the_debian_package_holds_what_it_should_and_lives_and_goes_as_it_should() {
    if let Some(Packages { old, new, .. }) = &Packages::make() {
        holds_exactly_what_it_should(old);
        installs_upgrades_goes_and_is_purged(old, new);
        stays_disabled_where_a_preset_says_so(old);
    }
}

fn holds_exactly_what_it_should(package: &Path) {
    let listed = run(Command::new("dpkg-deb").arg("--contents").arg(package));
    let mut there = BTreeSet::new();
    for line in listed.lines() {
        let columns: Vec<_> = line.split_whitespace().collect();
        let [permissions, owner, _, _, _, name] = columns[..] else {
            panic!("{line}");
        };
        assert_eq!(owner, "0/0", "{line}");
        if permissions.starts_with('d') {
            assert_eq!(permissions, "drwxr-xr-x", "{line}");
            continue;
        }
        let name = name.trim_start_matches("./").trim_end_matches(".gz");
        let expected = if mode(name) == 0o755 {
            "-rwxr-xr-x"
        } else {
            "-rw-r--r--"
        };
        assert_eq!(permissions, expected, "{line}");
        there.insert(name.to_owned());
    }
    assert_complete(&there);
    let control = tempfile::tempdir().expect("a directory");
    run(Command::new("dpkg-deb")
        .arg("--control")
        .arg(package)
        .arg(control.path()));
    let read = |name: &str| std::fs::read_to_string(control.path().join(name)).expect(name);
    assert_eq!(read("conffiles").trim(), "/etc/wasessiond/config.toml");
    assert!(read("control").contains("systemd (>= 252)"));
    let scripts = files(control.path()).into_iter();
    let scripts: BTreeSet<_> = scripts.filter(|(_, mode)| mode & 0o111 != 0).collect();
    let expected = ["postinst", "postrm", "prerm"].map(|name| (name.to_owned(), 0o755));
    assert_eq!(scripts, expected.into());
}

fn installs_upgrades_goes_and_is_purged(old: &Path, new: &Path) {
    let root = Root::new();
    root.install(old);
    assert!(
        root.read("etc/passwd").contains("\nwasessiond:")
            || root.read("etc/passwd").starts_with("wasessiond:")
    );
    assert!(root.read("etc/group").contains("wasession:"));
    assert_eq!(root.enabled(), ["enabled", "enabled"]);
    assert!(root.path("var/lib/systemd/catalog/database").exists());
    let said = run(Command::new(root.path("usr/bin/wasessiond"))
        .arg("check")
        .env("WASESSIOND_CONFIG_PATH", root.path("etc/wasessiond")));
    let config = root.path("etc/wasessiond/config.toml");
    assert!(
        said.starts_with(&format!("# From {}\n", config.display())),
        "{said}"
    );

    // What people and the daemon make of it.
    root.write("var/lib/wasessiond/sessions/alice/vault.db", "keys");
    root.write("etc/wasessiond/config.toml", "# mine\n");
    root.write("etc/wasessiond/config.toml.d/50-local.toml", "# mine too\n");
    root.systemctl(&["disable", "wasessiond.service"]);
    let kept = || {
        assert_eq!(
            root.read("var/lib/wasessiond/sessions/alice/vault.db"),
            "keys"
        );
        assert_eq!(root.read("etc/wasessiond/config.toml"), "# mine\n");
        assert_eq!(
            root.read("etc/wasessiond/config.toml.d/50-local.toml"),
            "# mine too\n"
        );
    };

    root.install(new);
    kept();
    assert!(root.read("var/lib/dpkg/status").contains("\nVersion: 2\n"));
    let beside = root.read("etc/wasessiond/config.toml.dpkg-dist");
    assert!(beside.ends_with(NEWER), "{beside}");
    assert_eq!(
        root.enabled(),
        ["enabled", "disabled"],
        "as the administrator left it"
    );

    let said = root.dpkg(&["--remove", "wasessiond"]);
    kept();
    assert!(
        said.contains("The sessions are kept in /var/lib/wasessiond"),
        "{said}"
    );
    assert!(!root.path("usr/bin/wasessiond").exists());
    assert!(
        !root
            .path("usr/lib/systemd/system/wasessiond.service")
            .exists()
    );

    root.install(new);
    kept();
    assert_eq!(
        root.enabled(),
        ["enabled", "disabled"],
        "as before the remove"
    );

    let said = root.dpkg(&["--purge", "wasessiond"]);
    assert!(
        said.contains("The credentials of these users are gone too: alice\n"),
        "{said}"
    );
    let left: Vec<_> = files(root.0.path())
        .into_iter()
        .map(|(name, _)| name)
        .filter(|name| name.contains("wasession") && !name.starts_with("var/lib/dpkg"))
        .collect();
    assert_eq!(left, Vec::<String>::new());
    assert!(!root.path("var/lib/wasessiond").exists());
    assert!(!root.path("etc/wasessiond").exists());
}

fn stays_disabled_where_a_preset_says_so(package: &Path) {
    let root = Root::new();
    root.write("etc/systemd/system-preset/00-local.preset", "disable *\n");
    root.install(package);
    assert_eq!(root.enabled(), ["disabled", "disabled"]);
}
