//! Files that take another's place, or stand beside it, for the same readers: with its owner, group and mode.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::Path;

/// What of a mode is kept for a private key: no others may read it, whoever may read its model.
const PRIVATE: u32 = 0o640;

/// Makes a file for whoever may read the one beside it, others excepted.
///
/// # Errors
/// Why it cannot be made; then it is not there.
pub(super) fn create(path: &Path, text: &str, model: &Path) -> Result<(), String> {
    let made = File::open(model).and_then(|it| write(path, text, &it, PRIVATE));
    made.map_err(|it| format!("{} cannot be made: {it}", path.display()))
}

/// Puts a text in a file's place, in one step: whoever reads it meanwhile reads the one or the other. Through a
/// symbolic link, the file that it leads to. Gives `false` where the file does not hold `was` any more.
///
/// # Errors
/// Why it cannot be done; then, as with `false`, nothing is done to the file.
pub(super) fn replace(path: &Path, was: &str, text: &str) -> Result<bool, String> {
    let failed = |it: io::Error| format!("{} cannot be written: {it}", path.display());
    let path = path.canonicalize().map_err(failed)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}.{}", std::process::id()));
    let written = File::open(&path).and_then(|it| write(&temporary, text, &it, 0o7777));
    let put = || {
        // As late as can be: an editor takes no lock.
        if std::fs::read(&path)? != was.as_bytes() {
            forget(&temporary);
            return Ok(false);
        }
        std::fs::rename(&temporary, &path).map(|()| true)
    };
    written
        .and_then(|()| put().inspect_err(|_| forget(&temporary)))
        .map_err(failed)
}

/// Writes a new file with the owner and the group of `model`, and what `mask` leaves of its mode.
fn write(path: &Path, text: &str, model: &File, mask: u32) -> io::Result<()> {
    let like = model.metadata()?;
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    let filled = file.write_all(text.as_bytes()).and_then(|()| {
        let own = file.metadata()?;
        if (own.uid(), own.gid()) != (like.uid(), like.gid()) {
            fchown(&file, Some(like.uid()), Some(like.gid()))?;
        }
        file.set_permissions(Permissions::from_mode(like.mode() & mask))?;
        file.sync_all()
    });
    filled.inspect_err(|_| forget(path))
}

/// Takes a file away that is of no use; one that stays does no harm.
fn forget(path: &Path) {
    let _ = std::fs::remove_file(path);
}
