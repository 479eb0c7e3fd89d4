//! The names that a component imports and exports, read from its file without compiling it.
//!
//! Follows the component model's binary format (Binary.md: preamble, sections 10 and 11 of the outermost
//! component); the sections between are skipped, and whether they are valid is for the compiler to say.

use crate::LoadError;

const IMPORTS: u8 = 10;
const EXPORTS: u8 = 11;

/// The outermost names of a component.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Outline {
    pub(crate) imports: Vec<String>,
    pub(crate) exports: Vec<String>,
}

impl Outline {
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, LoadError> {
        // A component begins with the magic number and layer 1; a core module has version 1 there.
        let mut rest = match bytes {
            [b'\0', b'a', b's', b'm', _, _, 1, 0, rest @ ..] => Reader(rest),
            [b'\0', b'a', b's', b'm', 1, 0, 0, 0, ..] => return Err(LoadError::CoreModule),
            _ => return Err(LoadError::NotWasm),
        };
        let mut outline = Self::default();
        while let Some(id) = rest.byte() {
            let section = rest.number().and_then(|len| rest.take(len));
            let section = section.ok_or_else(|| LoadError::Invalid("it ends in the middle".to_owned()))?;
            let read = match id {
                IMPORTS => Reader(section).imports(&mut outline.imports),
                EXPORTS => Reader(section).exports(&mut outline.exports),
                _ => Some(()),
            };
            read.ok_or_else(|| LoadError::Invalid("its imports or exports cannot be read".to_owned()))?;
        }
        Ok(outline)
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn imports(&mut self, names: &mut Vec<String>) -> Option<()> {
        for _ in 0..self.number()? {
            names.push(self.name()?);
            self.description()?;
        }
        Some(())
    }

    fn exports(&mut self, names: &mut Vec<String>) -> Option<()> {
        for _ in 0..self.number()? {
            names.push(self.name()?);
            // The sort of what is exported; a core one has a second byte.
            if self.byte()? == 0 {
                self.byte()?;
            }
            self.number()?;
            if self.byte()? == 1 {
                self.description()?;
            }
        }
        Some(())
    }

    fn name(&mut self) -> Option<String> {
        let has_version_suffix = match self.byte()? {
            0 => false,
            1 => true,
            _ => return None,
        };
        let len = self.number()?;
        let name = std::str::from_utf8(self.take(len)?).ok()?.to_owned();
        // Files from before version suffixes have a 1 here without one; what follows tells: a sort is below
        // 6, and so is no suffix's first character.
        if has_version_suffix && self.0.first().is_some_and(|byte| *byte > 5) {
            let len = self.number()?;
            self.take(len)?;
        }
        Some(name)
    }

    /// `externdesc`.
    fn description(&mut self) -> Option<()> {
        match self.byte()? {
            0 => {
                self.byte()?;
                self.number()?;
            }
            2 | 3 => {
                // A bound: equal to a type or a value, or a resource of its own.
                match self.byte()? {
                    0 => _ = self.number()?,
                    1 => {}
                    _ => return None,
                }
            }
            1 | 4 | 5 => _ = self.number()?,
            _ => return None,
        }
        Some(())
    }

    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// LEB128, of at most five bytes.
    fn number(&mut self) -> Option<usize> {
        let mut value = 0u64;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return usize::try_from(value).ok();
            }
        }
        None
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_the_rest_is_skipped() {
        let component = wat::parse_str(
            r#"(component
                (import "waxwing:mail/log@0.1.0" (instance $log (export "f" (func (param "x" string)))))
                (import "wasi:io/poll@0.2.6" (instance $poll (export "r" (type (sub resource)))))
                (core module $m (func (export "g")))
                (core instance $i (instantiate $m))
                (func $g (canon lift (core func $i "g")))
                (instance $e (export "disconnect" (func $g)))
                (export "waxwing:mail/on-disconnect@0.1.0" (instance $e))
            )"#,
        );
        let outline = Outline::read(&component.unwrap()).unwrap();
        assert_eq!(outline.imports, ["waxwing:mail/log@0.1.0", "wasi:io/poll@0.2.6"]);
        assert_eq!(outline.exports, ["waxwing:mail/on-disconnect@0.1.0"]);
    }

    #[test]
    fn what_is_no_component_is_named() {
        assert_eq!(Outline::read(b"#!/bin/sh"), Err(LoadError::NotWasm));
        assert_eq!(Outline::read(b""), Err(LoadError::NotWasm));
        let module = wat::parse_str("(module)").unwrap();
        assert_eq!(Outline::read(&module), Err(LoadError::CoreModule));
    }

    #[test]
    fn a_file_that_is_cut_anywhere_is_refused_or_has_fewer_names() {
        let text = r#"(component (import "a:b/c" (instance)) (import "d:e/f" (instance)))"#;
        let whole = wat::parse_str(text).unwrap();
        for len in 0..whole.len() {
            let cut = Outline::read(&whole[..len]);
            assert!(cut.is_err() || cut.is_ok_and(|outline| outline.imports.len() < 2), "{len}");
        }
    }
}
