//! Takes keys from a table of the file; what does not fit is noted with its place, and reading goes on.
//!
//! Which keys a table may have says the reference ([`crate::KEYS`]): a table that is opened is held against it at once.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::fault::Notes;
use crate::keys;

/// A table, or what stands for it when the file has none.
#[derive(Debug)]
pub(crate) struct Table<'a> {
    notes: &'a Notes,
    table: Option<&'a DeTable<'a>>,
    /// The table's name in the reference.
    section: &'static str,
    /// The table's name in this file, with a dot at its end; empty for the whole file.
    path: String,
    line: Option<usize>,
}

/// A value with its place.
#[derive(Debug, Clone)]
pub(crate) struct Item<'a> {
    notes: &'a Notes,
    value: &'a Spanned<DeValue<'a>>,
    path: String,
}

impl<'a> Table<'a> {
    /// The whole file; its keys are those of the section.
    pub(crate) fn root(notes: &'a Notes, table: &'a DeTable<'a>, section: &'static str) -> Self {
        let root = Self { notes, table: Some(table), section, path: String::new(), line: None };
        root.refuse_unknown(|_| false);
        root
    }

    /// The table behind a key; an empty one when the file has none.
    pub(crate) fn table(&self, key: &'static str, section: &'static str) -> Table<'a> {
        match self.get(key) {
            Some(item) => item.table(section),
            None => self.absent(key, section),
        }
    }

    fn absent(&self, key: &str, section: &'static str) -> Table<'a> {
        Table { notes: self.notes, table: None, section, path: format!("{}{key}.", self.path), line: None }
    }

    /// The tables of `[[key]]`.
    pub(crate) fn tables(&self, key: &'static str, section: &'static str) -> Vec<Table<'a>> {
        let Some(item) = self.get(key) else { return Vec::new() };
        match item.value.get_ref() {
            DeValue::Array(array) => {
                array.iter().map(|value| item.with(value, item.path.clone()).table(section)).collect()
            }
            _ => {
                item.fault(format!("is a list of tables; write [[{key}]]"));
                Vec::new()
            }
        }
    }

    /// A value, whatever it is.
    pub(crate) fn get(&self, key: &'static str) -> Option<Item<'a>> {
        self.notes.asked(self.section, key);
        let value = self.table?.get(key)?;
        Some(Item { notes: self.notes, value, path: format!("{}{key}", self.path) })
    }

    /// Whether the table has a key.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.table.is_some_and(|table| table.contains_key(key))
    }

    /// Notes a key that has to be there and is not.
    pub(crate) fn missing(&self, key: &str, text: &str) {
        self.notes.fault(self.line, format!("{}{key}", self.path), text);
    }

    /// Keys and values of a table whose keys are names that the postmaster chose.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&'a str, Item<'a>)> {
        let (notes, path) = (self.notes, self.path.clone());
        self.table.into_iter().flatten().map(move |(key, value)| {
            let name: &'a str = key.get_ref();
            (name, Item { notes, value, path: format!("{path}{name}") })
        })
    }

    pub(crate) fn text(&self, key: &'static str) -> Option<(Item<'a>, &'a str)> {
        let item = self.get(key)?;
        let text = item.text()?;
        Some((item, text))
    }

    /// A text that something is made of; what refuses it says why.
    pub(crate) fn parse<T, E: ToString>(
        &self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        self.get(key)?.parse(parse)
    }

    /// A list of texts that something is made of; one text is taken for a list of one.
    pub(crate) fn list<T, E: ToString>(
        &self,
        key: &'static str,
        mut parse: impl FnMut(&str) -> Result<T, E>,
    ) -> Option<Vec<(Item<'a>, T)>> {
        let items = self.get(key)?.items();
        let made = |item: Item<'a>| {
            let value = item.parse(&mut parse)?;
            Some((item, value))
        };
        Some(items.into_iter().filter_map(made).collect())
    }

    /// A path; one that is relative starts at the folder of the file.
    pub(crate) fn path(&self, key: &'static str) -> Option<PathBuf> {
        let folder = self.notes.folder();
        self.parse(key, |text| if text.is_empty() { Err("is empty") } else { Ok(folder.join(text)) })
    }

    /// What a file holds, and its path.
    pub(crate) fn file(&self, key: &'static str) -> Option<(Item<'a>, PathBuf, Vec<u8>)> {
        let path = self.path(key)?;
        let item = self.get(key)?;
        match self.notes.read(&path) {
            Ok(octets) => Some((item, path, octets)),
            Err(error) => {
                item.fault(format!("{} {error}", path.display()));
                None
            }
        }
    }

    /// Where this file's faults are noted.
    pub(crate) fn notes(&self) -> &'a Notes {
        self.notes
    }

    pub(crate) fn set_bool(&self, key: &'static str, slot: &mut bool) {
        if let Some(value) = self.get(key).and_then(|item| item.bool()) {
            *slot = value;
        }
    }

    /// A count within bounds.
    pub(crate) fn set_count<T: TryFrom<u64>>(
        &self,
        key: &'static str,
        slot: &mut T,
        bounds: RangeInclusive<u64>,
    ) {
        let Some(item) = self.get(key) else { return };
        let wanted = format!("is a number from {} to {}", bounds.start(), bounds.end());
        match item.integer().filter(|count| bounds.contains(count)).and_then(|count| T::try_from(count).ok())
        {
            Some(count) => *slot = count,
            None => item.fault(wanted),
        }
    }

    /// Octets: an integer, or a text such as "25 MiB".
    pub(crate) fn set_size<T: TryFrom<u64>>(
        &self,
        key: &'static str,
        slot: &mut T,
        bounds: RangeInclusive<u64>,
    ) {
        let Some(item) = self.get(key) else { return };
        let octets = match item.value.get_ref() {
            DeValue::String(text) => match text.parse::<bytesize::ByteSize>() {
                Ok(size) => Some(size.as_u64()),
                Err(_) => return item.fault(format!("\"{text}\" is no size, such as \"25 MiB\"")),
            },
            _ => item.integer(),
        };
        match octets {
            None => item.fault("is a size: octets, or a text such as \"25 MiB\""),
            Some(octets) => match T::try_from(octets) {
                Ok(value) if bounds.contains(&octets) => *slot = value,
                _ => {
                    item.fault(format!("is a size from {} to {}", show(*bounds.start()), show(*bounds.end())))
                }
            },
        }
    }

    /// A time span such as "5m".
    pub(crate) fn set_duration(
        &self,
        key: &'static str,
        slot: &mut Duration,
        bounds: RangeInclusive<Duration>,
    ) {
        let read = |text: &str| duration(text, &bounds);
        if let Some(value) = self.parse(key, read) {
            *slot = value;
        }
    }

    /// One of a few words.
    pub(crate) fn set_choice<T: Clone>(&self, key: &'static str, slot: &mut T, choices: &[(&str, T)]) {
        let Some((item, text)) = self.text(key) else { return };
        match choices.iter().find(|(word, _)| *word == text) {
            Some((_, value)) => *slot = value.clone(),
            None => {
                let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
                item.fault(format!("\"{text}\" is none of {}{}", quoted(&words), did_you_mean(text, &words)));
            }
        }
    }

    /// Whether the file has this table.
    pub(crate) fn is_present(&self) -> bool {
        self.table.is_some()
    }

    /// Notes every key that the reference does not have in this section, but those that `free` takes.
    fn refuse_unknown(&self, free: impl Fn(&DeValue<'_>) -> bool) {
        let known: Vec<&str> = keys::names(self.section).collect();
        for (key, value) in self.table.into_iter().flatten() {
            let name: &str = key.get_ref();
            if !known.contains(&name) && !free(value.get_ref()) {
                let line = Some(self.notes.line(&key.span()));
                let text = format!("unknown key{}", did_you_mean(name, &known));
                self.notes.fault(line, format!("{}{name}", self.path), text);
            }
        }
    }
}

impl<'a> Item<'a> {
    fn with(&self, value: &'a Spanned<DeValue<'a>>, path: String) -> Item<'a> {
        Item { notes: self.notes, value, path }
    }

    pub(crate) fn fault(&self, text: impl Into<String>) {
        self.notes.fault(Some(self.notes.line(&self.value.span())), self.path.as_str(), text);
    }

    pub(crate) fn value(&self) -> &'a DeValue<'a> {
        self.value.get_ref()
    }

    pub(crate) fn text(&self) -> Option<&'a str> {
        match self.value.get_ref() {
            DeValue::String(text) => Some(text),
            _ => {
                self.fault("is a text in quotes");
                None
            }
        }
    }

    fn bool(&self) -> Option<bool> {
        match self.value.get_ref() {
            DeValue::Boolean(value) => Some(*value),
            _ => {
                self.fault("is true or false");
                None
            }
        }
    }

    fn integer(&self) -> Option<u64> {
        match self.value.get_ref() {
            DeValue::Integer(value) => u64::from_str_radix(value.as_str(), value.radix()).ok(),
            _ => None,
        }
    }

    pub(crate) fn parse<T, E: ToString>(&self, parse: impl FnOnce(&str) -> Result<T, E>) -> Option<T> {
        match parse(self.text()?) {
            Ok(value) => Some(value),
            Err(error) => {
                self.fault(error.to_string());
                None
            }
        }
    }

    /// The members of a list; a value that is none counts as a list of one.
    pub(crate) fn items(&self) -> Vec<Item<'a>> {
        match self.value.get_ref() {
            DeValue::Array(array) => array.iter().map(|value| self.with(value, self.path.clone())).collect(),
            _ => vec![self.clone()],
        }
    }

    /// The value as a table of that section; every unknown key in it is noted.
    pub(crate) fn table(&self, section: &'static str) -> Table<'a> {
        self.table_with(section, |_| false)
    }

    /// As [`Self::table`]; tables in it may have names that the reference does not know.
    pub(crate) fn table_of_tables(&self, section: &'static str) -> Table<'a> {
        self.table_with(section, |value| matches!(value, DeValue::Table(_)))
    }

    /// The value as a table whose keys are names that the postmaster chose.
    pub(crate) fn table_of_names(&self, section: &'static str) -> Table<'a> {
        self.table_with(section, |_| true)
    }

    fn table_with(&self, section: &'static str, free: impl Fn(&DeValue<'_>) -> bool) -> Table<'a> {
        let table = match self.value.get_ref() {
            DeValue::Table(table) => Some(table),
            _ => {
                self.fault("is a table");
                None
            }
        };
        let line = Some(self.notes.line(&self.value.span()));
        let table = Table { notes: self.notes, table, section, path: format!("{}.", self.path), line };
        table.refuse_unknown(free);
        table
    }
}

/// Reads a time span such as "5m" or "1h 30m".
pub(crate) fn duration(text: &str, bounds: &RangeInclusive<Duration>) -> Result<Duration, String> {
    let value = humantime::parse_duration(text)
        .map_err(|_| format!("\"{text}\" is no time span, such as \"30s\", \"5m\" or \"5d\""))?;
    if !bounds.contains(&value) {
        let show = humantime::format_duration;
        return Err(format!("is a time span from {} to {}", show(*bounds.start()), show(*bounds.end())));
    }
    Ok(value)
}

fn show(octets: u64) -> String {
    bytesize::ByteSize(octets).display().iec().to_string()
}

fn quoted(words: &[&str]) -> String {
    words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ")
}

/// `; did you mean "..."?` when a known word is near.
pub(crate) fn did_you_mean(word: &str, known: &[&str]) -> String {
    let near = |candidate: &&str| strsim::jaro_winkler(word, candidate);
    let best = known.iter().copied().max_by(|a, b| near(a).total_cmp(&near(b)));
    // Short words are near when one letter differs.
    match best.filter(|best| near(best) > 0.75 || strsim::levenshtein(word, best) == 1) {
        Some(best) => format!("; did you mean \"{best}\"?"),
        None => String::new(),
    }
}
