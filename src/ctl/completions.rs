//! `wactl completions`

use clap_complete::Shell;

use super::error::Error;
use super::terminal::Terminal;

pub(super) fn run(shell: Shell, terminal: &mut Terminal) -> Result<(), Error> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut super::command(), "wactl", &mut script);
    Ok(terminal.raw(&script)?)
}
