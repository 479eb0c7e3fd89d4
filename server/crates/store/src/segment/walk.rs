//! Reading a segment record by record, over damage if need be.

use std::io;

use super::Segment;
use crate::disk::DiskFile;
use crate::record::{ALIGN, HEADER_OCTETS, Header, Kind, Location, MAGIC, Record, u64_at};

impl Segment {
    /// Walks the records from `from` on. `end` is where the segment is known to end, if that is known.
    ///
    pub(crate) fn walk(
        &self,
        from: u64,
        end: Option<u64>,
        mut visit: impl FnMut(&Header, &[u8]) -> io::Result<()>,
    ) -> io::Result<Walk> {
        let file_end = self.file.len()?;
        let limit = end.unwrap_or(file_end).min(file_end);
        let mut window = Window::new(&*self.file);
        let (mut at, mut durable, mut holes, mut last) = (from, end.unwrap_or(0), Vec::new(), from);
        while at + HEADER_OCTETS as u64 <= limit {
            match self.header(&mut window, at)? {
                Some(header) if at + header.total() <= limit => {
                    durable = durable.max(header.durable);
                    let body = window.octets(at + HEADER_OCTETS as u64, body_octets(&header))?;
                    let (meta, content) = body.split_at((header.meta_len as usize).min(body.len()));
                    let whole = body.len() == body_octets(&header)
                        && crc32fast::hash(meta) == header.meta_crc
                        && crc32fast::hash(content) == header.content_crc;
                    if whole {
                        visit(&header, meta)?;
                        last = at + header.total();
                    } else {
                        holes.push(Hole { from: at, to: at + header.total(), header: Some(header) });
                    }
                    at += header.total();
                }
                _ => {
                    let next = self.next_header(&mut window, at + ALIGN as u64, limit)?;
                    holes.push(Hole { from: at, to: next.unwrap_or(limit), header: None });
                    let Some(next) = next else { break };
                    at = next;
                }
            }
        }
        if let Some(end) = end.filter(|end| *end > file_end) {
            holes.push(Hole { from: at.max(file_end), to: end, header: None });
        }
        // What was never durable was never acknowledged: a cut tail, or an older generation of the file.
        let (holes, torn) = holes.into_iter().partition(|hole| hole.from < durable);
        Ok(Walk { holes, torn, end: end.unwrap_or(last) })
    }

    /// Lays a record without meaning over a torn place, so that it is not taken for damage later. Not yet durable.
    pub(crate) fn fill(&self, hole: &Hole) -> io::Result<()> {
        let octets = (hole.to - hole.from).saturating_sub(HEADER_OCTETS as u64);
        let mut meta = vec![0; usize::try_from(octets).unwrap_or(0)];
        let count = self.file.read_at(hole.from + HEADER_OCTETS as u64, &mut meta)?;
        meta.truncate(count);
        let Some(filler) = Record::new(Kind::Gone, 0, meta, Vec::new()) else { return Ok(()) };
        self.append(&[&filler], hole.from, hole.from).map(|_| ())
    }

    fn header(&self, window: &mut Window<'_>, at: u64) -> io::Result<Option<Header>> {
        let header = Header::decode(window.octets(at, HEADER_OCTETS)?);
        let here = Location { seq: self.seq, offset: at };
        Ok(header.filter(|header| header.at == here && header.mark == self.mark))
    }

    /// Looks for the next place with a valid header.
    fn next_header(&self, window: &mut Window<'_>, from: u64, limit: u64) -> io::Result<Option<u64>> {
        const STEP: usize = 64 << 10;
        let mut base = from;
        while base + HEADER_OCTETS as u64 <= limit {
            let octets = window.octets(base, STEP)?;
            let starts: Vec<u64> = (0..octets.len().saturating_sub(MAGIC.len() - 1))
                .step_by(ALIGN)
                .filter(|at| octets[*at..*at + MAGIC.len()] == MAGIC)
                .map(|at| base + at as u64)
                .collect();
            for at in starts {
                if self.header(window, at)?.is_some() {
                    return Ok(Some(at));
                }
            }
            base += STEP as u64;
        }
        Ok(None)
    }

    /// Where the segment before this one ends, as this one's first record says.
    pub(crate) fn before(&self) -> io::Result<Option<Location>> {
        let mut window = Window::new(&*self.file);
        let Some(header) = self.header(&mut window, 0)?.filter(|header| header.kind == Kind::Open) else {
            return Ok(None);
        };
        let meta = window.octets(HEADER_OCTETS as u64, header.meta_len as usize)?;
        let sound = crc32fast::hash(meta) == header.meta_crc;
        Ok(u64_at(meta, 0).filter(|_| sound).map(|offset| Location { seq: header.id, offset }))
    }
}

/// What a walk found besides records.
#[derive(Debug)]
pub(crate) struct Walk {
    /// Places that hold no whole record although they were durable once.
    pub(crate) holes: Vec<Hole>,
    /// Places that hold no whole record and need not.
    pub(crate) torn: Vec<Hole>,
    /// Where the last record ends.
    pub(crate) end: u64,
}

/// Octets that were a durable record once and are none now.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hole {
    pub(crate) from: u64,
    pub(crate) to: u64,
    /// Present when only the body is damaged.
    pub(crate) header: Option<Header>,
}

fn body_octets(header: &Header) -> usize {
    header.meta_len as usize + header.content_len as usize
}

/// The mark of a segment: that of its first valid record. Nothing when there is none, as when a crash came while it was
/// begun.
pub(super) fn first_mark(file: &dyn DiskFile, seq: u64) -> io::Result<Option<u32>> {
    let mut window = Window::new(file);
    let (end, mut at) = (file.len()?, 0);
    while at + HEADER_OCTETS as u64 <= end {
        if let Some(header) = Header::decode(window.octets(at, HEADER_OCTETS)?)
            && header.at == (Location { seq, offset: at })
        {
            return Ok(Some(header.mark));
        }
        at += ALIGN as u64;
    }
    Ok(None)
}

/// A part of a file in memory, for reading on.
struct Window<'a> {
    file: &'a dyn DiskFile,
    start: u64,
    buffer: Vec<u8>,
    filled: usize,
}

impl<'a> Window<'a> {
    const OCTETS: usize = 1 << 20;

    fn new(file: &'a dyn DiskFile) -> Self {
        Self { file, start: 0, buffer: Vec::new(), filled: 0 }
    }

    /// Octets from `at` on; fewer only at the end of the file.
    fn octets(&mut self, at: u64, count: usize) -> io::Result<&[u8]> {
        let held = at >= self.start && at + count as u64 <= self.start + self.filled as u64;
        if !held {
            self.buffer.resize(count.max(Self::OCTETS), 0);
            self.filled = self.file.read_at(at, &mut self.buffer)?;
            self.start = at;
        }
        let from = (at - self.start) as usize;
        Ok(&self.buffer[from..(from + count).min(self.filled)])
    }
}
