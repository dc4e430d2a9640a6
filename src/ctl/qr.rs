//! `wactl qr`

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use crate::client::Client;
use crate::protocol::{Phase, Status};

use super::arguments::{Qr, QrFormat};
use super::error::{Error, Problem};
use super::exit::Exit;
use super::json;
use super::render::qr::{Code, QUIET};
use super::render::screen;
use super::terminal::Terminal;

/// What is wrong with the command line, as far as that needs no daemon.
pub(super) fn check(arguments: &Qr, terminal: &Terminal) -> Result<(), Problem> {
    let look = terminal.look();
    let to_terminal = arguments.output.is_none() && look.terminal && !look.json;
    if format(arguments) == QrFormat::Png && to_terminal {
        return Err(Problem::usage(
            "a PNG image is nothing for a terminal: give --output FILE, or --format terminal",
        ));
    }
    Ok(())
}

pub(super) async fn run(
    client: &Client,
    terminal: &mut Terminal,
    arguments: &Qr,
) -> Result<(), Error> {
    let status = client.status(arguments.user.as_str()).await?;
    let now = terminal.now();
    let Some((qr, text)) = status
        .qr
        .as_ref()
        .and_then(|qr| Some((qr, qr.code.as_ref()?.reveal())))
    else {
        return Err(no_code(&status).into());
    };
    if let Some(path) = &arguments.output {
        let image = image(format(arguments), text, false, QUIET)?;
        save(path, &image).map_err(|error| {
            let message = format!("{} cannot be written: {error}", path.display());
            Problem::new(Exit::Refused, "output", message)
        })?;
    }
    if terminal.look().json {
        let output = arguments.output.as_ref();
        terminal.object(json::Code {
            user: &status.user,
            qr,
            output: output.map(|path| path.display().to_string()),
        })?;
        return Ok(());
    }
    if arguments.output.is_none() {
        let look = terminal.look();
        let code = Code::new(text)?;
        let fitting = terminal
            .size()
            .map(|size| code.fitting(size.columns, size.rows));
        let quiet = fitting.flatten().unwrap_or(QUIET);
        let image = image(format(arguments), text, look.colour, quiet)?;
        terminal.raw(&image)?;
    }
    let foot = screen::waiting(&status, now, terminal.look(), None)?.foot;
    terminal.say(&foot);
    Ok(())
}

/// The format that was asked for, or that the name of the file asks for.
fn format(arguments: &Qr) -> QrFormat {
    let extension = arguments.output.as_deref().and_then(Path::extension);
    let by_name = match extension.and_then(|extension| extension.to_str()) {
        Some("png") => QrFormat::Png,
        Some("svg") => QrFormat::Svg,
        _ => QrFormat::Terminal,
    };
    arguments.format.unwrap_or(by_name)
}

fn image(format: QrFormat, text: &str, colour: bool, quiet: usize) -> Result<Vec<u8>, Error> {
    Ok(match format {
        QrFormat::Terminal => {
            let lines = Code::new(text)?.lines(quiet, colour);
            format!("{}\n", lines.join("\n")).into_bytes()
        }
        QrFormat::Svg => Code::new(text)?.svg().into_bytes(),
        QrFormat::Png => Code::new(text)?.png()?,
        QrFormat::Text => format!("{text}\n").into_bytes(),
    })
}

/// Writes a file that only its owner may read, even where it was there before.
fn save(path: &Path, image: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file: File = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    // A device or a pipe keeps what it has.
    if file.metadata()?.is_file() {
        file.set_permissions(Permissions::from_mode(0o600))?;
    }
    file.write_all(image)
}

fn no_code(status: &Status) -> Problem {
    let (user, phase) = (&status.user, status.phase);
    let why = match phase {
        Phase::Online => format!("{user} is linked already: there is no QR code to scan"),
        Phase::AwaitingCode => {
            format!("{user} is pairing by a code to type: `wactl status {user}` shows it")
        }
        Phase::Connecting => {
            format!("{user} has no QR code now, it is connecting: ask again in a moment")
        }
        _ => format!("{user} has no QR code now, it is {phase}: `wactl status {user}` says more"),
    };
    Problem {
        status: Some(Box::new(status.clone().without_secrets())),
        ..Problem::new(Exit::Refused, "no_qr_code", why)
    }
}
