//! `wactl proxy`, and the proxy of `wactl connect`

use std::fmt::Write as _;
use std::io::{self, BufRead, Read};
use std::path::{Path, PathBuf};

use crate::client::Client;
use crate::protocol::{ProxyEdit, Redacted};

use super::arguments::Proxy;
use super::error::{Error, Problem};
use super::exit::Exit;
use super::json;
use super::render;
use super::terminal::Terminal;

/// Stands for the standard input in the place of a URL.
const STANDARD_INPUT: &str = "-";

/// The longest URL or password that is read, in bytes. No proxy takes a longer one.
const LONGEST_LINE: u64 = 4096;

/// Reads what the command line only names, once, before the daemon is asked: a URL from the standard
/// input, a password from its file.
pub(super) fn complete(
    url: &mut Option<Redacted>,
    password_file: &mut Option<PathBuf>,
) -> Result<(), Problem> {
    let Some(url) = url else {
        return Ok(());
    };
    if url.reveal() == STANDARD_INPUT {
        let read = first_line(&mut io::stdin().lock())
            .map_err(|error| unreadable("the proxy's URL", "the standard input", &error))?;
        *url = read.into();
    }
    if let Some(file) = password_file.take() {
        let password = password(&file)
            .map_err(|error| unreadable("the password", &file.display().to_string(), &error))?;
        let whole = with_password(url.reveal(), &password).ok_or_else(|| {
            Problem::usage(
                "--password-file is for a user without a password in the URL, like http://user@proxy.example:3128",
            )
        })?;
        *url = whole.into();
    }
    Ok(())
}

pub(super) async fn run(
    client: &Client,
    terminal: &mut Terminal,
    arguments: Proxy,
) -> Result<(), Error> {
    let user = arguments.user;
    let proxy = client
        .proxy(user.as_str(), ProxyEdit::from(arguments.edit))
        .await?;
    if terminal.look().json {
        terminal.object(json::Proxy {
            user: &user,
            proxy: &proxy,
        })?;
        return Ok(());
    }
    terminal.print(&render::status::proxy(&proxy))?;
    Ok(())
}

fn unreadable(what: &str, place: &str, error: &io::Error) -> Problem {
    let message = format!("{what} cannot be read from {place}: {error}");
    Problem::new(Exit::Usage, "usage", message)
}

fn password(file: &Path) -> io::Result<String> {
    first_line(&mut io::BufReader::new(std::fs::File::open(file)?))
}

fn first_line(from: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    from.take(LONGEST_LINE + 1).read_line(&mut line)?;
    if line.len() as u64 > LONGEST_LINE {
        let why = format!("its first line is longer than {LONGEST_LINE} bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidData, why));
    }
    if line.trim().is_empty() {
        let why = "its first line is empty";
        return Err(io::Error::new(io::ErrorKind::InvalidData, why));
    }
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// The URL with this password behind its user; `None`: it has no user, or a password already.
fn with_password(url: &str, password: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let (user, place) = rest.rsplit_once('@')?;
    if user.is_empty() || user.contains(':') {
        return None;
    }
    let mut encoded = String::new();
    for byte in password.bytes() {
        if byte.is_ascii_alphanumeric() {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String does not fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    Some(format!("{scheme}://{user}:{encoded}@{place}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_line_is_refused_and_not_read_to_its_end() {
        let read = |text: &mut dyn BufRead| first_line(&mut { text });
        assert_eq!(
            read(&mut b"secret\r\nmore".as_slice()).ok().as_deref(),
            Some("secret")
        );
        for wrong in ["", "\n", "  \nsecret"] {
            assert!(read(&mut wrong.as_bytes()).is_err(), "{wrong:?}");
        }
        let endless = io::repeat(b'x');
        assert!(read(&mut io::BufReader::new(endless)).is_err());
    }

    #[test]
    fn a_password_stands_encoded_in_the_url() {
        assert_eq!(
            with_password("socks5h://me@proxy:1", "a:b@c/ä").as_deref(),
            Some("socks5h://me:a%3Ab%40c%2F%C3%A4@proxy:1")
        );
        for none in [
            "http://proxy:1",
            "http://@proxy:1",
            "http://me:pw@proxy:1",
            "proxy",
        ] {
            assert_eq!(with_password(none, "pw"), None, "{none}");
        }
    }

    #[test]
    fn the_password_is_the_first_line_of_its_file() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("password");
        std::fs::write(&file, "secret\r\nmore\n").expect("written");
        assert_eq!(password(&file).expect("read"), "secret");
    }
}
