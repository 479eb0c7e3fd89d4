//! `[[user]]`, here and in the users' own file.

use accounts::{Directory, Record, Sender, User};
use model::Mailbox;

use crate::load::toml_of;
use crate::reader::Table;

/// Everybody who may authenticate.
pub(crate) fn directory(root: &Table<'_>) -> Directory {
    let mut directory = Directory::default();
    users(root, &mut directory);
    if let Some((item, path, octets)) = root.file("users-file") {
        match String::from_utf8(octets) {
            Ok(text) => {
                let notes = root.notes().of_other(&path, &text);
                let table = toml_of(&notes, &text);
                users(&Table::root(&notes, table.get_ref(), "users-file"), &mut directory);
                root.notes().absorb(notes);
            }
            Err(_) => item.fault(format!("{} is not UTF-8", path.display())),
        }
    }
    directory
}

fn users(root: &Table<'_>, directory: &mut Directory) {
    for table in root.tables("user", "user") {
        user(&table, directory);
    }
}

fn user(table: &Table<'_>, directory: &mut Directory) {
    let name = table.parse("name", |text| {
        Mailbox::parse(text).map_err(|error| format!("\"{text}\" is no address: {error}"))
    });
    if table.get("name").is_none() {
        table.missing("name", "is missing; it says as whom the user authenticates");
    }
    let records = table.list("password-hash", str::parse::<Record>).unwrap_or_default();
    let senders = table.list("senders", str::parse::<Sender>).unwrap_or_default();
    let certificate = table.list("certificate", identity).unwrap_or_default();
    let (Some(name), Some(item)) = (name, table.get("name")) else { return };
    let user = User {
        records: records.into_iter().map(|(_, record)| record).collect(),
        senders: senders.into_iter().map(|(_, sender)| sender).collect(),
        certificate: certificate.into_iter().map(|(_, identity)| identity).collect(),
        ..User::new(name)
    };
    if let Err(error) = directory.insert(user) {
        item.fault(error.to_string());
    }
}

fn identity(text: &str) -> Result<String, &'static str> {
    if text.is_empty() { Err("is empty") } else { Ok(text.to_owned()) }
}
