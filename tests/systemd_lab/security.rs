//! What systemd thinks of the units.

use std::path::PathBuf;
use std::process::Command;

use crate::skipped::skipped;

/// The exposure that `systemd-analyze security` sees in a unit, in tenths. `None`: it is not here.
fn exposure(of: &str) -> Option<(u32, String)> {
    let unit = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("systemd/usr/lib/systemd")
        .join(of)
        .join("wasessiond.service");
    let analyzed = Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--no-pager"])
        .arg(unit)
        .env("LANG", "C.UTF-8")
        .output();
    let Ok(analyzed) = analyzed else {
        skipped("the exposure is not measured: there is no systemd-analyze here");
        return None;
    };
    let report = String::from_utf8_lossy(&analyzed.stdout).into_owned();
    let score = report
        .lines()
        .find_map(|line| {
            line.split("Overall exposure level for wasessiond.service: ")
                .nth(1)
        })
        .and_then(|line| line.split(' ').next())
        .unwrap_or_else(|| {
            panic!(
                "no score in:\n{report}{}",
                String::from_utf8_lossy(&analyzed.stderr)
            )
        });
    let (whole, tenth) = score.split_once('.').expect("a score like 1.2");
    let tenths =
        whole.parse::<u32>().expect("a number") * 10 + tenth.parse::<u32>().expect("a digit");
    Some((tenths, report))
}

#[test]
fn the_service_has_an_exposure_of_1_3_at_most() {
    if let Some((tenths, report)) = exposure("system") {
        assert!(tenths <= 13, "{report}");
    }
}

#[test]
fn a_users_own_service_has_the_exposure_that_the_readme_tells() {
    if let Some((tenths, report)) = exposure("user") {
        assert!(tenths <= 62, "{report}");
    }
}
