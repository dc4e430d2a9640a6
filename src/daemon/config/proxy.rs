//! The password of the default proxy: from a file of its own, from a credential of the service manager, or
//! from the URL, where the file with the URL is private.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::unistd::Uid;

use super::Config;
use crate::service::config::{ConfigError, Fault, Origins, Problem};

/// The name of the service manager's credential with the password.
const CREDENTIAL: &str = "wasessiond.proxy-password";

/// The longest file with a password: no proxy takes a longer password than 255 bytes.
const LONGEST: u64 = 1024;

const SECTION: &str = "whatsapp";
const PROXY: &str = "proxy";
const PASSWORD_FILE: &str = "proxy_password_file";

impl Config {
    /// Gives the proxy its password, and refuses a password that everybody may read. `credentials` is the
    /// directory of the service manager's credentials. Blocks.
    ///
    /// # Errors
    /// [`ConfigError`] says what is wrong, and never what the password is.
    pub fn complete_proxy(
        &mut self,
        origins: &Origins,
        credentials: Option<&Path>,
    ) -> Result<(), ConfigError> {
        let wrong = |key: &'static str, why: String| {
            let (file, line) = origins.get(SECTION, key).unwrap_or((Path::new(""), 1));
            let what = format!("`{SECTION}.{key}`: {why}");
            let problem = Problem {
                line,
                column: 1,
                what,
            };
            let fault = Fault::Wrong {
                file: file.to_owned(),
                problems: vec![problem],
            };
            ConfigError {
                faults: vec![fault],
            }
        };
        let named = self.whatsapp.proxy_password_file.as_deref();
        let Some(proxy) = self.whatsapp.proxy.clone() else {
            return match named {
                Some(_) => Err(wrong(
                    PASSWORD_FILE,
                    "there is no `proxy` that it is for".to_owned(),
                )),
                None => Ok(()),
            };
        };
        if proxy.has_password()
            && let Some((file, _)) = origins.get(SECTION, PROXY)
        {
            let about = std::fs::metadata(file);
            let private = about.and_then(|about| refuse_if_public(&about));
            private.map_err(|why| {
                let why = format!(
                    "the URL holds a password, and {why}. Or put the password into a file of its own, `{PASSWORD_FILE}`"
                );
                wrong(PROXY, why)
            })?;
        }
        let credential = credentials.map(|directory| directory.join(CREDENTIAL));
        let credential = credential.filter(|file| {
            proxy.has_user() && !proxy.has_password() && named.is_none() && file.exists()
        });
        let Some(file) = named.or(credential.as_deref()) else {
            return Ok(());
        };
        let key = if named.is_some() {
            PASSWORD_FILE
        } else {
            PROXY
        };
        let password = read(file)
            .map_err(|why| wrong(key, format!("cannot read {}: {why}", file.display())))?;
        let complete = proxy.with_password(&password);
        let complete = complete.map_err(|why| wrong(key, format!("{}: {why}", file.display())))?;
        self.whatsapp.proxy = Some(complete);
        Ok(())
    }
}

/// The first line of a private file.
fn read(file: &Path) -> io::Result<String> {
    let mut options = File::options();
    // Opening a pipe could wait for ever.
    let opened = options
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(file)?;
    let about = opened.metadata()?;
    if !about.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    refuse_if_public(&about)?;
    let mut text = String::new();
    opened.take(LONGEST).read_to_string(&mut text)?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

/// Refuses a file that others may read, or that somebody else owns and can therefore change.
fn refuse_if_public(about: &std::fs::Metadata) -> io::Result<()> {
    let own = Uid::effective().as_raw();
    if about.mode() & 0o004 != 0 {
        return Err(io::Error::other(
            "everybody may read it: take that right away with `chmod o-r`",
        ));
    }
    if ![0, own].contains(&about.uid()) {
        let owner = about.uid();
        return Err(io::Error::other(format!(
            "it belongs to uid {owner}: it must be root's or the daemon's own"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, set_permissions, write};
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    use super::*;
    use crate::service::config::Places;

    struct Given {
        directory: tempfile::TempDir,
    }

    impl Given {
        fn new() -> Self {
            let directory = tempfile::tempdir().expect("a directory");
            Self { directory }
        }

        fn file(&self, name: &str, mode: u32, text: &str) -> PathBuf {
            let file = self.directory.path().join(name);
            write(&file, text).expect("written");
            set_permissions(&file, Permissions::from_mode(mode)).expect("a mode");
            file
        }

        /// Whether the proxy has a password after this configuration was read; or what is wrong.
        fn load(&self, mode: u32, keys: &str) -> Result<bool, String> {
            let file = self.file("config.toml", mode, &format!("[whatsapp]\n{keys}\n"));
            let places = Places::Only(file);
            let (mut config, origins) = Config::load(&places).map_err(|e| e.to_string())?;
            config
                .complete_proxy(&origins, Some(self.directory.path()))
                .map_err(|e| e.to_string())?;
            let told = format!("{config:?}{}", config.to_toml(&origins));
            assert!(!told.contains("secret"), "{told}");
            Ok(config.whatsapp.proxy.is_some_and(|p| p.has_password()))
        }
    }

    #[test]
    fn a_password_in_the_url_needs_a_private_file() {
        let given = Given::new();
        let url = "proxy = \"http://me:secret@localhost:1\"";
        assert_eq!(given.load(0o600, url), Ok(true));
        assert_eq!(given.load(0o640, url), Ok(true));
        let refused = given.load(0o644, url).expect_err("public");
        assert!(
            refused.contains("config.toml:2:1: `whatsapp.proxy`: the URL holds a password, and everybody may read it"),
            "{refused}"
        );
        assert!(!refused.contains("secret"), "{refused}");
        assert_eq!(
            given.load(0o644, "proxy = \"http://me@localhost:1\""),
            Ok(false)
        );
    }

    #[test]
    fn a_password_in_a_file_of_its_own() {
        let given = Given::new();
        let password = given.file("password", 0o600, "se:cret@secret\n");
        let keys = |url: &str, file: &Path| {
            format!(
                "proxy = \"{url}\"\nproxy_password_file = \"{}\"",
                file.display()
            )
        };
        let with_user = "socks5h://me@localhost:1";
        assert_eq!(given.load(0o644, &keys(with_user, &password)), Ok(true));
        for (url, file, why) in [
            (
                "http://localhost:1",
                password.clone(),
                "a password is for a user",
            ),
            (
                "http://me:secret@localhost:1",
                password.clone(),
                "has a password already",
            ),
            (
                with_user,
                given.file("public", 0o644, "secret"),
                "everybody may read it",
            ),
            (
                with_user,
                given.file("empty", 0o600, "\nsecret"),
                "is not empty",
            ),
            (
                with_user,
                given.directory.path().join("missing"),
                "No such file",
            ),
            (
                with_user,
                given.directory.path().to_owned(),
                "not a regular file",
            ),
        ] {
            let refused = given.load(0o600, &keys(url, &file)).expect_err(why);
            assert!(refused.contains(why), "{refused}");
            assert!(!refused.contains("secret"), "{refused}");
        }
        let alone = format!("proxy_password_file = \"{}\"", password.display());
        let refused = given.load(0o600, &alone).expect_err("no proxy");
        assert!(
            refused.contains("there is no `proxy` that it is for"),
            "{refused}"
        );
    }

    #[test]
    fn a_password_as_a_credential() {
        let given = Given::new();
        given.file(CREDENTIAL, 0o400, "secret");
        assert_eq!(
            given.load(0o644, "proxy = \"http://me@localhost:1\""),
            Ok(true)
        );
        // Without a user it is for somebody else.
        assert_eq!(
            given.load(0o644, "proxy = \"http://localhost:1\""),
            Ok(false)
        );
    }
}
