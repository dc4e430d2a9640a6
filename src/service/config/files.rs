//! Which files make up a configuration.
//!
//! As the UAPI group's "Configuration Files Specification" has it: of the main file, `config.toml`, the
//! first that is found counts; after it come the drop-ins, `config.toml.d/*.toml`, in the order of
//! their names over all directories. Of drop-ins with the same name the one in the highest directory
//! counts; where that one is empty, or a link to `/dev/null`, none of them does.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::Uid;

use super::problem::Fault;

/// The name of the main file.
const MAIN: &str = "config.toml";

/// The name of the directory of drop-ins beside it.
const DROP_INS: &str = "config.toml.d";

/// Where configuration files may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Places {
    /// Exactly this file, which somebody named: it must be there, and has no drop-ins.
    Only(PathBuf),
    /// Directories, each with a main file and drop-ins or not, the highest first.
    Search(Vec<PathBuf>),
}

/// A file that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// The file.
    pub file: PathBuf,
    /// Its text.
    pub text: String,
}

/// A file that does not count, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Masked {
    /// The file.
    pub file: PathBuf,
    /// The file of a higher directory that counts instead.
    pub by: PathBuf,
}

/// The files that were found in [`Places`].
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The files that count; a later file overrides an earlier one.
    pub(super) texts: Vec<Text>,
    /// The files that do not count.
    pub(super) masked: Vec<Masked>,
    /// The files that should count, and cannot be read.
    pub(super) faults: Vec<Fault>,
}

impl Places {
    /// Every main file that would be read if it were there, the highest first.
    #[must_use]
    pub fn main_files(&self) -> Vec<PathBuf> {
        match self {
            Self::Only(file) => vec![file.clone()],
            Self::Search(directories) => directories.iter().map(|d| d.join(MAIN)).collect(),
        }
    }

    /// Looks everywhere, and reads the files that count. Blocks.
    pub(super) fn read(&self) -> Found {
        let mut found = Found::default();
        match self {
            Self::Only(file) => found.take(file.clone()),
            Self::Search(directories) => {
                found.take_highest(self.main_files().into_iter().filter(|file| is_there(file)));
                for same_name in found.drop_ins(directories).into_values() {
                    found.take_highest(same_name.into_iter());
                }
            }
        }
        found
    }
}

impl Found {
    /// Reads the first of these, and notes that the others do not count.
    fn take_highest(&mut self, mut files: impl Iterator<Item = PathBuf>) {
        let Some(highest) = files.next() else { return };
        self.masked.extend(files.map(|file| Masked {
            file,
            by: highest.clone(),
        }));
        self.take(highest);
    }

    fn take(&mut self, file: PathBuf) {
        match read(&file) {
            Ok(text) => self.texts.push(Text { file, text }),
            Err(why) => self.faults.push(Fault::Unreadable { file, why }),
        }
    }

    /// The drop-ins by name, those with the same name from the highest directory down.
    fn drop_ins(&mut self, directories: &[PathBuf]) -> BTreeMap<OsString, Vec<PathBuf>> {
        let mut by_name = BTreeMap::<_, Vec<_>>::new();
        for directory in directories.iter().map(|d| d.join(DROP_INS)) {
            let listed = match list(&directory) {
                Ok(names) => names,
                Err(error) => {
                    // A directory that cannot be listed might hold anything: better none of it than half.
                    self.faults.push(Fault::Unreadable {
                        why: explain(&error),
                        file: directory,
                    });
                    continue;
                }
            };
            for name in listed {
                let file = directory.join(&name);
                by_name.entry(name).or_default().push(file);
            }
        }
        by_name
    }
}

/// The names of the drop-ins in a directory, which need not be there.
fn list(directory: &Path) -> io::Result<Vec<OsString>> {
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        let bytes = name.as_encoded_bytes();
        // Not what an editor or a package manager leaves behind.
        if bytes.ends_with(b".toml") && !bytes.starts_with(b".") {
            names.push(name);
        }
    }
    Ok(names)
}

/// Whether there is a file, or a link that leads nowhere, or something that cannot be examined. The last
/// two are errors that a person must see.
fn is_there(file: &Path) -> bool {
    !std::fs::symlink_metadata(file).is_err_and(|e| e.kind() == ErrorKind::NotFound)
}

/// Reads a file. What leads to `/dev/null` is an empty one.
fn read(file: &Path) -> Result<String, String> {
    // The files are read at every reload too: a path that became a device or a huge file must not hang
    // or fill the daemon.
    const MAX_LEN: u64 = 1024 * 1024;
    let null = Path::new("/dev/null");
    let leads_to_null = |target: io::Result<PathBuf>| target.is_ok_and(|target| target == null);
    // The first for a root directory without devices, the second for a link to a link.
    if leads_to_null(std::fs::read_link(file)) || leads_to_null(std::fs::canonicalize(file)) {
        return Ok(String::new());
    }
    let about = std::fs::metadata(file).map_err(|e| explain(&e))?;
    if !about.is_file() {
        return Err("it is not a regular file".to_owned());
    }
    if about.len() > MAX_LEN {
        return Err("it is larger than 1 MiB".to_owned());
    }
    trust(&about)?;
    std::fs::read_to_string(file).map_err(|e| explain(&e))
}

/// Refuses a file that somebody else could have written. A configuration names the admins, so it is as
/// powerful as sudo's, which refuses such a file too: a warning would come when it is too late.
fn trust(about: &std::fs::Metadata) -> Result<(), String> {
    let (owner, own) = (about.uid(), Uid::effective().as_raw());
    if owner != 0 && owner != own {
        let ours = if own == 0 {
            ""
        } else {
            ", or to the program's own user"
        };
        return Err(format!(
            "it belongs to uid {owner}, who could write anything into it: give it to root (`chown root`){ours}"
        ));
    }
    if about.mode() & 0o002 != 0 {
        return Err(
            "everybody may write to it: take that away (`chmod o-w`), and look at what it says"
                .to_owned(),
        );
    }
    Ok(())
}

fn explain(error: &io::Error) -> String {
    let hint = match error.kind() {
        ErrorKind::NotFound => ": make the file, or name none for the defaults",
        ErrorKind::PermissionDenied => {
            ": give the daemon's user the right to read it, and to search its directories"
        }
        ErrorKind::InvalidData => return "it is not UTF-8 text: save it as UTF-8".to_owned(),
        _ => "",
    };
    format!("{error}{hint}")
}
