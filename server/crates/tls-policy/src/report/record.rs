//! The record by which a domain asks for reports.

/// Addresses that are used, of one record.
const MAX_ADDRESSES: usize = 2;

/// Where a report goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rua {
    /// To a mailbox.
    Mail(String),
    /// By POST to an address that begins with `https://`.
    Https(String),
}

/// Where the TXT records at `_smtp._tls.DOMAIN` want reports; nowhere when there is no record, more than one, or a malformed one.
pub fn addresses<'a>(records: impl IntoIterator<Item = &'a str>) -> Vec<Rua> {
    let is_ours = |record: &&str| {
        record.strip_prefix("v=TLSRPTv1").is_some_and(|rest| rest.trim_start().starts_with(';'))
    };
    let mut ours = records.into_iter().filter(is_ours);
    let (Some(record), None) = (ours.next(), ours.next()) else { return Vec::new() };
    let Some(rua) = record.split(';').skip(1).find_map(|field| field.trim().strip_prefix("rua=")) else {
        return Vec::new();
    };
    let address = |uri: &str| {
        let uri = uri.trim();
        match uri.split_once(':') {
            // What a mailbox's URI adds, a subject say, is not for reports.
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("mailto") => {
                Some(Rua::Mail(rest.split('?').next().unwrap_or_default().to_owned()))
            }
            Some((scheme, _)) if scheme.eq_ignore_ascii_case("https") => Some(Rua::Https(uri.to_owned())),
            _ => None,
        }
    };
    rua.split(',').filter_map(address).take(MAX_ADDRESSES).collect()
}
