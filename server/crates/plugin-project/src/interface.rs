//! The server's interface, as it was when this was built, and the world that a project makes of it.

use std::path::Path;

use wit_parser::{Resolve, SourceMap, WorldId};

use crate::Fault;

/// The files of the interface, by name.
pub(crate) const FILES: [(&str, &str); 1] =
    [("mail.wit", include_str!("../../../../wit/since-0.1/mail.wit"))];

/// A project's one world, and the name of the package that it stands in.
pub(crate) struct World {
    pub(crate) resolve: Resolve,
    pub(crate) id: WorldId,
    pub(crate) name: String,
    pub(crate) package: String,
}

/// Reads `wit/` of a project. It may bring the interface along under `wit/deps/`; else it is the one built in here.
pub(crate) fn world(folder: &Path) -> Result<World, Fault> {
    let wit = folder.join("wit");
    let fail = |error: &dyn std::fmt::Display| Fault::Wit { path: wit.clone(), why: format!("{error:#}") };
    let mut resolve = Resolve::default();
    if !wit.join("deps").is_dir() {
        push_own(&mut resolve).map_err(|error| fail(&error))?;
    }
    let (package, _) = resolve.push_dir(&wit).map_err(|error| fail(&error))?;
    let id = resolve.select_world(&[package], None).map_err(|error| fail(&error))?;
    let (name, package) = (resolve.worlds[id].name.clone(), resolve.packages[package].name.name.clone());
    Ok(World { resolve, id, name, package })
}

/// The interface from its text: all its files are one package.
fn push_own(resolve: &mut Resolve) -> Result<(), String> {
    let mut sources = SourceMap::default();
    for (name, text) in FILES {
        sources.push_str(name, text);
    }
    let group = sources.parse().map_err(|(_, error)| error.to_string())?;
    resolve.push_group(group).map(drop).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_file_of_the_interface_was_forgotten() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../wit/since-0.1");
        let mut found: Vec<String> = std::fs::read_dir(folder)
            .expect("the interface")
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .filter(|name| name.ends_with(".wit"))
            .collect();
        found.sort();
        assert_eq!(found, FILES.map(|(name, _)| name.to_owned()));
    }
}
