//! A data directory: locking, permissions, contents, and handling of damage.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Arc;

use crate::backend::{Backend, Content, IdentityHome};
use crate::clock::{AgeClock, SystemClocks, TimeSource};
use crate::completion::OnCompletion;
use crate::database::{Database, Expect};
use crate::end;
use crate::error::{Fault, OpenError, SaveIdentityError};
use crate::identity_file::{IdentityFile, sync_directory};
use crate::loaded::{Condition, Loaded, StoredIdentity};
use crate::medium::FileMedium;
use crate::schema::SCHEMA_VERSION;
use crate::store::Store;

const DATABASE_NAME: &str = "records.redb";
/// A database on its way to [`DATABASE_NAME`]: not yet in use.
const UNFINISHED_NAME: &str = "records.redb.new";
const LOCK_NAME: &str = "lock";

/// A data directory that this process holds.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    identity: IdentityFile,
    /// Locked for as long as this lives; the system gives it free when the process dies.
    _lock: File,
}

impl DataDir {
    /// Opens a data directory, making it if there is none, and reads everything in it. Blocks for
    /// as long as that takes.
    ///
    /// `on_completion` is told how every [`Store::submit`] ended.
    ///
    /// # Errors
    /// See [`OpenError`]: each says which file and what to do. A directory is never taken over by
    /// a new identity: that takes an empty one.
    pub fn open(
        path: impl AsRef<Path>,
        on_completion: OnCompletion,
    ) -> Result<(Store, Loaded), OpenError> {
        Self::open_by(Arc::new(SystemClocks::new()), path, on_completion)
    }

    /// As [`DataDir::open`], by other clocks than the machine's.
    ///
    /// # Errors
    /// As [`DataDir::open`].
    pub fn open_by(
        clocks: Arc<dyn TimeSource>,
        path: impl AsRef<Path>,
        on_completion: OnCompletion,
    ) -> Result<(Store, Loaded), OpenError> {
        let path = path.as_ref();
        create_directory(path)?;
        let lock = lock(path)?;
        let identity = IdentityFile::in_directory(path);
        let directory = Self { path: path.to_owned(), identity, _lock: lock };
        directory.identity.remove_unfinished()?;
        let identity = directory.identity.read()?;
        let (database, content, condition) = directory.open_database(identity.is_some())?;
        directory.check_owner(identity.as_ref(), &content)?;
        let database_path = directory.database_path();
        report(&condition, &database_path);
        let clock = AgeClock::resume(clocks, content.last_stamp);
        let (store, mut loaded) = Store::begin(
            Box::new(database),
            clock,
            content,
            identity,
            Some(Box::new(directory)),
            on_completion,
        )
        .map_err(|fault| open_error(fault, &database_path))?;
        loaded.condition = condition;
        Ok((store, loaded))
    }

    fn database_path(&self) -> PathBuf {
        self.path.join(DATABASE_NAME)
    }

    /// Opens and reads the database, mending what can be mended.
    fn open_database(
        &self,
        has_identity: bool,
    ) -> Result<(Database, Content, Condition), OpenError> {
        let path = self.database_path();
        if !path.try_exists().map_err(|error| OpenError::from_io(&path, error))? {
            let (database, content) = self.create_database()?;
            let condition = if has_identity { Condition::DatabaseMissing } else { Condition::New };
            return Ok((database, content, condition));
        }
        let why = match open_file(&path) {
            Ok((database, content)) => {
                let is_new = !has_identity && content.is_empty();
                let condition = if is_new { Condition::New } else { Condition::Intact };
                return Ok((database, content, condition));
            }
            Err(Fault::Damaged(why)) if has_identity => why,
            Err(other) => return Err(open_error(other, &path)),
        };
        let failed = |error| OpenError::from_io(&path, error);
        let before = end::lengthen(&path).map_err(failed)?;
        match open_file(&path) {
            Ok((database, content)) => return Ok((database, content, Condition::CutShort)),
            Err(Fault::Damaged(_)) => {}
            Err(other) => return Err(open_error(other, &path)),
        }
        end::set_back(&path, before).map_err(failed)?;
        Err(OpenError::DatabaseDamaged { path, why })
    }

    /// Makes an empty database under another name first: whatever lies under its own name was
    /// whole once.
    fn create_database(&self) -> Result<(Database, Content), OpenError> {
        let unfinished = self.path.join(UNFINISHED_NAME);
        let path = self.database_path();
        match fs::remove_file(&unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(OpenError::from_io(&unfinished, error));
            }
            _ => {}
        }
        let medium = Box::new(FileMedium { path: unfinished.clone() });
        Database::open(medium, Expect::Anything)
            .and_then(|(database, _)| Box::new(database).close())
            .map_err(|fault| open_error(fault, &unfinished))?;
        fs::rename(&unfinished, &path)
            .and_then(|()| sync_directory(&self.path))
            .map_err(|error| OpenError::from_io(&path, error))?;
        open_file(&path).map_err(|fault| open_error(fault, &path))
    }

    /// Makes sure that the database is the identity's own.
    fn check_owner(
        &self,
        identity: Option<&StoredIdentity>,
        content: &Content,
    ) -> Result<(), OpenError> {
        match (identity, content.node) {
            (None, node) if !content.is_empty() => Err(OpenError::IdentityMissing {
                identity: self.identity.path(),
                database: self.database_path(),
                node,
            }),
            (Some(identity), Some(database)) if identity.node_id != database => {
                Err(OpenError::IdentitySwapped {
                    path: self.identity.path(),
                    file: identity.node_id,
                    database,
                })
            }
            _ => Ok(()),
        }
    }
}

impl IdentityHome for DataDir {
    fn save_identity(&self, identity: &StoredIdentity) -> Result<(), SaveIdentityError> {
        let failed = |source| SaveIdentityError::File { path: self.identity.path(), source };
        let present = self.identity.read().map_err(|error| failed(io::Error::other(error)))?;
        match present {
            Some(present) if present.node_id != identity.node_id => {
                Err(SaveIdentityError::BelongsTo(present.node_id))
            }
            _ => self.identity.write(identity).map_err(failed),
        }
    }
}

/// Opens a database that was whole once.
fn open_file(path: &Path) -> Result<(Database, Content), Fault> {
    let length = fs::metadata(path).map_err(Fault::Io)?.len();
    if length == 0 {
        // redb would take it for a new one.
        return Err(Fault::Damaged("it is empty".to_owned()));
    }
    Database::open(Box::new(FileMedium { path: path.to_owned() }), Expect::Database)
}

fn open_error(fault: Fault, path: &Path) -> OpenError {
    let path = path.to_owned();
    match fault {
        Fault::Busy => OpenError::InUse { path, process: None },
        Fault::Io(source) => OpenError::from_io(&path, source),
        Fault::Damaged(why) => OpenError::Damaged { path, why },
        Fault::Newer { found } => OpenError::Newer { path, found, known: SCHEMA_VERSION },
    }
}

/// Says aloud what was found, unless it is what was expected.
fn report(condition: &Condition, database: &Path) {
    let file = database.display();
    match condition {
        Condition::New | Condition::Intact => {}
        Condition::CutShort => {
            tracing::warn!(%file, "the end of the database was cut off; nothing committed is lost");
        }
        Condition::DatabaseMissing => tracing::warn!(
            %file,
            "the database is missing beside its identity file: starting with an empty one; pins, \
             contacts and records of the last run are gone"
        ),
    }
}

fn create_directory(path: &Path) -> Result<(), OpenError> {
    let failed = |error| OpenError::from_io(path, error);
    let existed = path.try_exists().map_err(failed)?;
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
    if !existed && let Some(parent) = path.parent().filter(|parent| parent.is_dir()) {
        sync_directory(parent).map_err(failed)?;
    }
    // A user that may write to the directory can put another key in it.
    let mode = fs::metadata(path).map_err(failed)?.permissions().mode() & 0o7777;
    if mode & 0o002 != 0 {
        return Err(OpenError::Exposed { path: path.to_owned(), mode, directory: true });
    }
    Ok(())
}

fn lock(directory: &Path) -> Result<File, OpenError> {
    let path = directory.join(LOCK_NAME);
    let failed = |error| OpenError::from_io(&path, error);
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let mut file = options.open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            // Only for the message: a holder that did not say its number is still a holder.
            let _ = (&file).take(32).read_to_string(&mut text);
            let process = text.trim().parse().ok();
            return Err(OpenError::InUse { path: directory.to_owned(), process });
        }
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    file.set_len(0).map_err(failed)?;
    writeln!(file, "{}", process::id()).map_err(failed)?;
    Ok(file)
}
