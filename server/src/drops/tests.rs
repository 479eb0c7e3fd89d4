//! The file and the folder; the server and the command together are in `tests/drops.rs`.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};

use super::file::{self, Unusable};
use super::folder::{Doubt, Folder};
use super::*;
use crate::commands::sendmail::Order;

fn order() -> Order {
    Order { recipients: vec!["alice".to_owned(), "\n\"x".to_owned()], from_header: true, ..Order::default() }
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o3733)).unwrap();
    folder
}

fn names(folder: &Folder) -> Vec<String> {
    folder.look(100, 0, |_| true).unwrap().names
}

#[test]
fn what_was_left_is_read_as_it_was_left() {
    let path = folder();
    leave(path.path(), &order(), b"Subject: x\n\n\0 and more\n").unwrap();
    let folder = Folder::open(path.path()).unwrap();
    let names = names(&folder);
    assert!(names.len() == 1 && names[0].starts_with(WHOLE), "{names:?}");
    let found = folder.file(&names[0]).unwrap();
    let left = file::read(found.file, found.octets, 1000).unwrap();
    assert_eq!((left.order, left.is_too_large), (order(), false));
    assert_eq!(left.octets, b"Subject: x\n\n\0 and more\n");
    let found = folder.file(&names[0]).unwrap();
    let start = file::read(found.file, found.octets, 3).unwrap();
    assert!(start.is_too_large && start.octets.starts_with(b"Subject"));
}

#[test]
fn a_file_cut_at_any_octet_is_none() {
    let mut whole = file::head(&order(), 5).unwrap();
    whole.extend_from_slice(b"a\n\nb\n");
    assert_eq!(file::read(whole.as_slice(), whole.len() as u64, 99).unwrap().octets, b"a\n\nb\n");
    for length in 0..whole.len() {
        let cut = file::read(&whole[..length], length as u64, 99);
        assert!(matches!(cut, Err(Unusable::Malformed(_))), "{length}");
    }
    for other in ["waxwing-drop 1\n{}\n", "waxwing-drop 1\n{\"order\":{\"evil\":1},\"octets\":0}\n", "\n\n\n"]
    {
        let read = file::read(other.as_bytes(), other.len() as u64, 99);
        assert!(matches!(read, Err(Unusable::Malformed(_))), "{other}");
    }
    assert!(file::head(&Order { full_name: Some("x".repeat(2 << 20)), ..order() }, 0).is_err());
}

#[test]
fn only_what_its_owner_alone_can_have_made_here_is_believed() {
    let path = folder();
    let place = |name: &str| path.path().join(name);
    leave(path.path(), &order(), b"x").unwrap();
    let folder = Folder::open(path.path()).unwrap();
    let first = names(&folder).remove(0);
    fs::hard_link(place(&first), place("elsewhere")).unwrap();
    symlink(place("elsewhere"), place("m-link")).unwrap();
    fs::create_dir(place("m-dir")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        place("m-pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    fs::write(place("m-open"), "x").unwrap();
    fs::set_permissions(place("m-open"), Permissions::from_mode(0o666)).unwrap();
    for (name, word) in [
        (first.as_str(), "several links"),
        ("m-link", "symbolic link"),
        ("m-dir", "no file"),
        ("m-pipe", "no file"),
        ("m-open", "others"),
    ] {
        match folder.file(name) {
            Err(Doubt::NotBelieved(why)) => assert!(why.contains(word), "{name}: {why}"),
            other => panic!("{name}: {other:?}"),
        }
        assert!(folder.rename(name, ASIDE).unwrap().starts_with(ASIDE));
    }
    assert!(matches!(folder.file("m-nothing"), Err(Doubt::Gone)));
    assert_eq!(folder.look(100, 0, |_| true).unwrap().aside, 5);
}

#[test]
fn what_was_never_finished_goes_after_a_day_and_is_no_message_before() {
    let path = folder();
    fs::write(path.path().join("t-half"), "x").unwrap();
    let folder = Folder::open(path.path()).unwrap();
    let written = folder.file("t-half").unwrap().written_s;
    for (now, is_there) in [(written, true), (written + 86_400, true), (written + 86_401, false)] {
        assert!(folder.look(100, now, |_| true).unwrap().names.is_empty());
        assert_eq!(path.path().join("t-half").exists(), is_there, "{now}");
    }
}

#[test]
fn a_folder_where_others_could_move_files_is_not_used() {
    let path = tempfile::tempdir().unwrap();
    fs::set_permissions(path.path(), Permissions::from_mode(0o777)).unwrap();
    assert!(Folder::open(path.path()).unwrap_err().to_string().contains("3733"));
    let link = path.path().join("link");
    symlink(path.path(), &link).unwrap();
    assert!(Folder::open(&link).is_err());
    assert!(leave(&path.path().join("nowhere"), &order(), b"x").is_err());
}
