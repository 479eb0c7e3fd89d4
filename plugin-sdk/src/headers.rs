//! The header of the message: an overlay over what arrived. Untouched fields leave the server byte for byte.
//!
//! Names are compared without regard to case. Fields of one name are counted from 0, from the top.

use crate::{Error, host};

/// How many fields are asked for at once.
const PAGE: u32 = 256;

/// Whether this can be the name of a field: `ftext` of RFC 5322 section 3.6.8. For settings that name one.
///
/// ```
/// # use waxwing_plugin::headers::is_field_name;
/// assert!(is_field_name("X-Spam"));
/// assert!(!is_field_name("X-Spam:") && !is_field_name("X Spam") && !is_field_name(""));
/// ```
#[must_use]
pub fn is_field_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|octet| octet.is_ascii_graphic() && octet != b':')
}

/// A header field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// As it was written.
    pub name: String,
    /// What follows the colon and its white space, folds kept, without the line end.
    pub value: Vec<u8>,
}

impl Header {
    /// The value on one line, as text; what is no UTF-8 is replaced. Encoded words stay encoded.
    #[must_use]
    pub fn text(&self) -> String {
        unfolded(&self.value)
    }
}

/// The header of the running hook's message; empty before the message hook.
#[derive(Debug)]
pub struct Headers(());

impl Headers {
    pub(crate) fn of_the_running_hook() -> Headers {
        Headers(())
    }

    /// All fields, from the top.
    #[must_use]
    pub fn all(&self) -> Vec<Header> {
        let mut all = Vec::new();
        loop {
            let page = host::headers(all.len() as u32, PAGE);
            if page.is_empty() {
                return all;
            }
            all.extend(page);
        }
    }

    /// The first field of this name, on one line, as text.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<String> {
        self.raw(name).first().map(|value| unfolded(value))
    }

    /// The values of all fields of this name, folds kept.
    #[must_use]
    pub fn raw(&self, name: &str) -> Vec<Vec<u8>> {
        host::header_all(name)
    }

    /// Whether there is such a field.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        !self.raw(name).is_empty()
    }

    /// Adds a field below the others.
    ///
    /// # Errors
    /// [`Error::BadInput`] when name or value cannot stand in a header; [`Error::Unavailable`] outside the message
    /// hook; [`Error::Quota`].
    pub fn add(&self, name: &str, value: impl AsRef<[u8]>) -> Result<(), Error> {
        host::add_header(name, value.as_ref(), None)
    }

    /// Adds a field on top of the others, where trace fields belong.
    ///
    /// # Errors
    /// As [`add`](Headers::add).
    pub fn add_first(&self, name: &str, value: impl AsRef<[u8]>) -> Result<(), Error> {
        host::add_header(name, value.as_ref(), Some(0))
    }

    /// Adds a field before the one that stands at this place now.
    ///
    /// # Errors
    /// As [`add`](Headers::add).
    pub fn add_at(&self, place: u32, name: &str, value: impl AsRef<[u8]>) -> Result<(), Error> {
        host::add_header(name, value.as_ref(), Some(place))
    }

    /// Sets the first field of this name, or adds one.
    ///
    /// # Errors
    /// As [`add`](Headers::add).
    pub fn set(&self, name: &str, value: impl AsRef<[u8]>) -> Result<(), Error> {
        match host::set_header(name, 0, value.as_ref()) {
            Err(Error::NotFound) => self.add(name, value),
            done => done,
        }
    }

    /// Sets the nth field of this name.
    ///
    /// # Errors
    /// As [`add`](Headers::add), and [`Error::NotFound`].
    pub fn set_nth(&self, name: &str, nth: u32, value: impl AsRef<[u8]>) -> Result<(), Error> {
        host::set_header(name, nth, value.as_ref())
    }

    /// Removes all fields of this name; how many went.
    ///
    /// # Errors
    /// [`Error::Unavailable`] outside the message hook.
    pub fn remove(&self, name: &str) -> Result<u32, Error> {
        host::remove_header(name, None)
    }

    /// Removes the nth field of this name; how many went, 0 or 1.
    ///
    /// # Errors
    /// [`Error::Unavailable`] outside the message hook.
    pub fn remove_nth(&self, name: &str, nth: u32) -> Result<u32, Error> {
        host::remove_header(name, Some(nth))
    }
}

/// RFC 5322 section 2.2.3: a line end before white space goes, the white space stays.
fn unfolded(value: &[u8]) -> String {
    let text = String::from_utf8_lossy(value);
    text.replace("\r\n", "").trim().to_owned()
}
