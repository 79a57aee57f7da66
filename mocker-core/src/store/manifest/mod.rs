//! Manifests: what the records say of each image, version and container, once
//! more, in a small file of its own. From them the records can be made anew.
//!
//! A manifest holds the row as it stands in its table, whatever the columns are,
//! and the chain that it stands on. It is written after the commit point, is no
//! part of it, and is not flushed: docs/decisions/0014 says why that is enough.
//!
//! `folder.rs` keeps the files, `load.rs` reads them, `sealed.rs` is their form, `witness.rs` tells
//! whether the records have lost something, and `rebuild.rs` makes them anew.

use rusqlite::types::{Value as Cell, ValueRef};
use rusqlite::{Connection, ToSql};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::backend::{LayerId, NodeId};
use crate::error::{Error, ErrorKind, Result};
use crate::image::{CONTAINER_PREFIX, Config, IMAGE_PREFIX, Reference, check_container_name, is_id};
use crate::store::{node, sql};
use crate::tree::leave_out::LeaveOut;

mod folder;
mod load;
pub mod rebuild;
mod sealed;
mod witness;

pub use folder::{Manifests, Mismatch};
pub use load::{Damaged, Loaded};
pub use witness::Witness;

/// Which row a manifest holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Table {
    /// An image: its name, and which version is the current one.
    Image,
    /// A version of an image.
    Version,
    /// A container.
    Container,
}

/// What one manifest says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Which table the row is of.
    pub table: Table,
    /// When it was written, as the records count; of two that contradict each
    /// other the later one is right.
    pub serial: u64,
    /// The row, by column.
    pub row: Map<String, Value>,
    /// The numbers of the layers that it stands on, base first.
    pub chain: Vec<u64>,
    /// Whether somebody runs the container just now, as the records say.
    #[serde(skip)]
    running: bool,
}

/// Columns that mean something only while a process lives.
const PASSING: [&str; 4] = ["lease", "holder", "pid", "pid_start"];

/// Columns that change while a container runs, and are written down when it has
/// ended.
const OF_A_RUN: [&str; 5] = ["started", "finished", "exit_status", "failure", "leave_out"];

/// Bytes in a row, which are no text.
const HEX: &str = "hex:";

impl Manifest {
    /// Those of an image and all its versions; none where there is no such image.
    pub(super) fn of_image(connection: &Connection, id: &str) -> Result<Option<Self>> {
        Self::one(connection, Table::Image, "SELECT * FROM image WHERE id = ?1", &[&id])
    }

    pub(super) fn of_version(connection: &Connection, image: &str, number: i64) -> Result<Option<Self>> {
        let query = "SELECT * FROM version WHERE image = ?1 AND number = ?2";
        Self::one(connection, Table::Version, query, &[&image, &number])
    }

    /// That of a container; none for one that goes with its command.
    pub(super) fn of_container(connection: &Connection, id: &str) -> Result<Option<Self>> {
        let query = "SELECT * FROM container WHERE id = ?1 AND NOT auto_remove";
        Self::one(connection, Table::Container, query, &[&id])
    }

    fn one(connection: &Connection, table: Table, query: &str, of: &[&dyn ToSql]) -> Result<Option<Self>> {
        let mut statement = connection.prepare_cached(query).map_err(sql)?;
        let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
        let mut rows = statement.query(of).map_err(sql)?;
        let Some(found) = rows.next().map_err(sql)? else { return Ok(None) };
        let mut row = Map::new();
        for (column, name) in names.into_iter().enumerate() {
            row.insert(name, to_json(found.get_ref(column).map_err(sql)?)?);
        }
        let mut running = false;
        if table == Table::Container {
            running = row.get("lease").is_some_and(|lease| !lease.is_null());
            PASSING.iter().for_each(|column| drop(row.remove(*column)));
        }
        let mut made = Self { table, serial: 0, row, chain: Vec::new(), running };
        if let Some(tip) = made.tip() {
            let chain = node::chain(connection, LayerId(NodeId(tip)))?;
            made.chain = chain.layers().iter().map(|layer| layer.0.0).collect();
        }
        Ok(Some(made))
    }

    /// The topmost layer, as the row has it; none for an image, and for a version
    /// whose tree was pruned.
    fn tip(&self) -> Option<u64> {
        match self.table {
            Table::Image => None,
            Table::Version => self.number("layer"),
            Table::Container => self.number("base"),
        }
    }

    /// A text of the row.
    pub fn text(&self, column: &str) -> Option<&str> {
        self.row.get(column)?.as_str()
    }

    /// A number of the row.
    pub fn number(&self, column: &str) -> Option<u64> {
        self.row.get(column)?.as_u64()
    }

    /// The id of the image or container.
    pub fn id(&self) -> &str {
        let column = if self.table == Table::Version { "image" } else { "id" };
        self.text(column).unwrap_or_default()
    }

    /// The numbers of all nodes that it needs.
    pub fn nodes(&self) -> impl Iterator<Item = u64> {
        self.chain.iter().copied().chain(self.number("work"))
    }

    /// What it is about, for people.
    pub fn subject(&self) -> String {
        match self.table {
            Table::Image => format!("image {}", self.id()),
            Table::Version => {
                format!("version {} of image {}", self.number("number").unwrap_or_default(), self.id())
            }
            Table::Container => format!("container {}", self.id()),
        }
    }

    /// Where it lies, below the directory of manifests.
    pub(super) fn place(&self) -> String {
        match self.table {
            Table::Image => format!("{}/image", self.id()),
            Table::Version => {
                let number = self.number("number").unwrap_or_default();
                format!("{}/{}", self.id(), version_file(number, self.number("layer")))
            }
            Table::Container => self.id().to_owned(),
        }
    }

    /// Whether both say the same, whenever they were written. Of a chain of whole
    /// layers the lower ones may have gone meanwhile.
    pub(super) fn agrees(&self, records: &Self) -> bool {
        let lasting = |of: &Self| {
            let mut row = of.row.clone();
            if records.running {
                OF_A_RUN.iter().for_each(|column| drop(row.remove(*column)));
            }
            row
        };
        self.table == records.table
            && lasting(self) == lasting(records)
            && self.chain.ends_with(&records.chain)
    }

    /// Checks that what is read could have been written by us: a file can be
    /// anybody's who has the root.
    fn check(&self) -> Result<()> {
        let bad = |why: &str| Err(Error::new(ErrorKind::Corrupt, format!("it cannot be ours: {why}")));
        let prefix = if self.table == Table::Container { CONTAINER_PREFIX } else { IMAGE_PREFIX };
        if !is_id(self.id(), prefix) {
            return bad("there is no id in it");
        }
        if self.nodes().any(|node| node == 0 || i64::try_from(node).is_err()) {
            return bad("a number of a node is none");
        }
        let mut sorted: Vec<_> = self.nodes().collect();
        sorted.sort_unstable();
        sorted.dedup();
        if sorted.len() != self.nodes().count() {
            return bad("a node stands on itself");
        }
        if self.tip() != self.chain.last().copied() {
            return bad("its chain does not end in its layer");
        }
        if self.row.iter().any(|(column, value)| !value.is_null() && !fits(column, value)) {
            return bad("a value in it is none");
        }
        match (self.table, self.text("name"), self.text("tag")) {
            (Table::Image, Some(name), Some(tag))
                if format!("{name}:{tag}").parse::<Reference>().is_err() =>
            {
                bad("its name is none")
            }
            (Table::Image, Some(_), None) => bad("it has half a name"),
            (Table::Container, Some(name), _) if check_container_name(name).is_err() => {
                bad("its name is none")
            }
            (Table::Container, ..) if self.number("work").is_none() => bad("it has no work area"),
            (Table::Version, ..) if self.number("number").is_none() => bad("it has no number"),
            _ => Ok(()),
        }
    }
}

/// Whether a value is one that whoever reads the column can take.
fn fits(column: &str, value: &Value) -> bool {
    let most = match column {
        "exit_status" => u64::from(u8::MAX),
        "number" | "head" | "image_version" => u64::from(u32::MAX),
        _ => u64::MAX >> 1,
    };
    match (column, value) {
        ("config", Value::String(text)) => serde_json::from_str::<Config>(text).is_ok(),
        ("leave_out", Value::String(text)) => serde_json::from_str::<Vec<LeaveOut>>(text).is_ok(),
        (_, Value::Number(number)) => number.as_u64().is_some_and(|number| number <= most),
        (_, value) => value.is_string(),
    }
}

/// The file of a version. Its layer is part of the name, so that a listing alone
/// tells whether what the records say is written down.
fn version_file(number: u64, layer: Option<u64>) -> String {
    match layer {
        Some(layer) => format!("{number}-{layer}"),
        None => format!("{number}-pruned"),
    }
}

fn to_json(cell: ValueRef<'_>) -> Result<Value> {
    Ok(match cell {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => number.into(),
        ValueRef::Blob(bytes) => {
            let digits = bytes.iter().map(|byte| format!("{byte:02x}"));
            Value::String(std::iter::once(HEX.to_owned()).chain(digits).collect())
        }
        ValueRef::Text(text) => match std::str::from_utf8(text) {
            // A text that looks like bytes would not come back as what it was.
            Ok(text) if !text.starts_with(HEX) => text.into(),
            Ok(text) => return to_json(ValueRef::Blob(text.as_bytes())),
            Err(_) => return Err(Error::new(ErrorKind::Corrupt, "a text in the records is none")),
        },
        ValueRef::Real(_) => return Err(Error::new(ErrorKind::Corrupt, "a number in the records is none")),
    })
}

/// The other way round; `text` is whether the column holds texts.
fn from_json(value: &Value, text: bool) -> Option<Cell> {
    match value {
        Value::Null => Some(Cell::Null),
        Value::Number(number) => number.as_i64().map(Cell::Integer),
        Value::String(string) => match string.strip_prefix(HEX) {
            None => Some(Cell::Text(string.clone())),
            Some(digits) => {
                let pairs = digits.as_bytes().chunks(2);
                let bytes = pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
                let bytes: Vec<u8> = bytes.collect::<Option<_>>()?;
                if text { String::from_utf8(bytes).ok().map(Cell::Text) } else { Some(Cell::Blob(bytes)) }
            }
        },
        _ => None,
    }
}
