//! What a component says of its making: the producers sections of its modules.

use std::collections::BTreeSet;

use wasmparser::{KnownCustom, Parser, Payload, ProducersSectionReader};

/// The languages and tools that a component, or a module in it, names. Nothing here is proven: tools write it, and anybody can.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MadeWith {
    pub languages: BTreeSet<String>,
    /// Compilers and other tools, with their versions.
    pub tools: BTreeSet<String>,
}

/// Compilers, and what they compile.
const LANGUAGES: [(&str, &str); 6] = [
    ("rustc", "Rust"),
    ("clang", "C"),
    ("TinyGo", "Go"),
    ("Go", "Go"),
    ("componentize-py", "Python"),
    ("ComponentizeJS", "JavaScript"),
];

impl MadeWith {
    /// Reads a component or a module; of what is neither nothing is known.
    pub fn of(octets: &[u8]) -> Self {
        let mut made = Self::default();
        // Modules within a component come in between.
        for payload in Parser::new(0).parse_all(octets) {
            match payload {
                Ok(Payload::CustomSection(section)) => {
                    if let KnownCustom::Producers(section) = section.as_known() {
                        made.add(section);
                    }
                }
                Ok(_) => {}
                Err(_) => break,
            }
        }
        if made.languages.is_empty() {
            made.languages = made.languages_of_tools();
        }
        made
    }

    /// What was stripped of names often says its compiler alone.
    fn languages_of_tools(&self) -> BTreeSet<String> {
        let by_tool = |(tool, language): &(&str, &str)| {
            let is_it = |made: &String| made.split(' ').any(|word| word.eq_ignore_ascii_case(tool));
            self.tools.iter().any(is_it).then(|| (*language).to_owned())
        };
        LANGUAGES.iter().filter_map(by_tool).collect()
    }

    fn add(&mut self, section: ProducersSectionReader<'_>) {
        for field in section.into_iter().flatten() {
            for value in field.values.into_iter().flatten() {
                match field.name {
                    "language" => _ = self.languages.insert(value.name.to_owned()),
                    _ => _ = self.tools.insert(format!("{} {}", value.name, value.version).trim().to_owned()),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_are_found_in_a_module_and_in_the_component_around_it() {
        let module = r#"module (@custom "producers"
            "\02\08language\01\04Rust\042024\0cprocessed-by\01\05rustc\061.95.0")"#;
        for text in [format!("({module})"), format!("(component (core {module}))")] {
            let made = MadeWith::of(&wat::parse_str(&text).expect("a module or a component"));
            assert!(
                made.languages.contains("Rust") && made.tools.contains("rustc 1.95.0"),
                "{text}: {made:?}"
            );
        }
        assert_eq!(MadeWith::of(b"no component"), MadeWith::default());
    }

    #[test]
    fn a_compiler_says_the_language_where_nothing_else_does() {
        let module = r#"(module (@custom "producers" "\01\0cprocessed-by\01\05rustc\061.95.0"))"#;
        let made = MadeWith::of(&wat::parse_str(module).expect("a module"));
        assert_eq!(made.languages.into_iter().collect::<Vec<_>>(), ["Rust"]);
    }
}
