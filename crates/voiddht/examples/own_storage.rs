//! A node whose rows are stored by its program: here in a file that is written anew at each commit, which
//! would be a database elsewhere. The node comes back with its identity and its values.
//!
//! `cargo run --example own_storage`

#![allow(clippy::print_stdout, reason = "an example prints what it does")]

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use voiddht::{Node, Put, Row, RowChange, Storage, StorageError, Table};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

#[tokio::main]
async fn main() -> Outcome<()> {
    run().await
}

/// The example, which a test runs too.
pub async fn run() -> Outcome<()> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("rows");
    let put = Put::content_addressed("survives a restart");
    let key = put.key();

    let node = start(&path).await?;
    let id = node.id();
    node.put(put).await?;
    node.shutdown().await;
    println!("{} bytes stored", fs::metadata(&path)?.len());

    let node = start(&path).await?;
    assert_eq!(node.id(), id, "the identity is in the storage too");
    let found = node.get(key).await?.ok_or("not found")?;
    println!("{} is back, and has {:?}", node.id(), found.value);
    assert_eq!(found.value, "survives a restart");
    node.shutdown().await;
    Ok(())
}

async fn start(path: &Path) -> Result<Node, voiddht::StartError> {
    let storage = RowFile { path: path.to_owned(), rows: BTreeMap::new() };
    Node::builder().listen(([127, 0, 0, 1], 0).into()).storage(storage).start().await
}

/// Rows in a file: `table u8 · key 32 · length u32 · value`, one after another.
struct RowFile {
    path: PathBuf,
    rows: BTreeMap<(Table, [u8; 32]), Vec<u8>>,
}

impl RowFile {
    /// Another file, made durable, takes the place of this one: a crash leaves the old or the new one.
    fn write(&self) -> io::Result<()> {
        let unfinished = self.path.with_extension("new");
        // It holds the node's private key.
        let mut options = OpenOptions::new();
        let mut file =
            options.write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
        for ((table, key), value) in &self.rows {
            let length = u32::try_from(value.len()).map_err(io::Error::other)?.to_be_bytes();
            file.write_all(&[&[table.code()][..], key, &length, value].concat())?;
        }
        file.sync_all()?;
        fs::rename(&unfinished, &self.path)?;
        File::open(self.path.parent().unwrap_or(Path::new(".")))?.sync_all()
    }
}

impl Storage for RowFile {
    fn load(&mut self) -> Result<Vec<Row>, StorageError> {
        let bytes = match fs::read(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            read => read?,
        };
        let mut rest = bytes.as_slice();
        while let Some(row) = next_row(&mut rest) {
            self.rows.insert((row.table, row.key), row.value.to_vec());
        }
        if !rest.is_empty() {
            return Err("the file of rows is damaged".into());
        }
        let rows = self.rows.iter();
        Ok(rows.map(|((table, key), value)| Row::new(*table, *key, value.clone())).collect())
    }

    fn commit(&mut self, changes: &[RowChange]) -> Result<(), StorageError> {
        for change in changes {
            match change {
                RowChange::Put(row) => self.rows.insert((row.table, row.key), row.value.to_vec()),
                RowChange::Remove { table, key } => self.rows.remove(&(*table, *key)),
            };
        }
        Ok(self.write()?)
    }
}

/// Takes a row off the front; `None` at the end, and where there is no whole row.
fn next_row(rest: &mut &[u8]) -> Option<Row> {
    let (table, after) = rest.split_first()?;
    let (key, after) = after.split_first_chunk::<32>()?;
    let (length, after) = after.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (value, after) = after.split_at_checked(length)?;
    let row = Row::new(Table::from_code(*table)?, *key, value.to_vec());
    *rest = after;
    Some(row)
}
