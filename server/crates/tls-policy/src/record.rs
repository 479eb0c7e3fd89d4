//! The TXT record that says that there is a policy, and which.
//!
//! Standards: RFC 8461 section 3.1.

/// Octets of an id.
const MAX_ID: usize = 32;

/// The id of the policy. Nothing when the domain has no policy: no record, or more than one, or one that is malformed.
pub(crate) fn id<'a>(records: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    //= RFC 8461 section 3.1: other records are passed over; if not exactly one is left, there is no policy.
    let mut ours = records.into_iter().filter(|record| is_ours(record));
    let record = ours.next()?;
    if ours.next().is_some() {
        return None;
    }
    let mut fields = record.split(';').skip(1).map(str::trim);
    let id = fields.find_map(|field| field.strip_prefix("id="))?;
    let is_id = (1..=MAX_ID).contains(&id.len()) && id.bytes().all(|octet| octet.is_ascii_alphanumeric());
    is_id.then_some(id)
}

fn is_ours(record: &str) -> bool {
    record.strip_prefix("v=STSv1").is_some_and(|rest| rest.trim_start().starts_with(';'))
}

#[cfg(test)]
mod tests {
    use super::id;

    #[test]
    fn one_record_of_ours_has_an_id() {
        assert_eq!(id(["v=STSv1; id=20160831085700Z;"]), Some("20160831085700Z"));
        assert_eq!(id(["v=spf1 -all", "v=STSv1;id=1; later=x"]), Some("1"));
    }

    #[test]
    fn no_record_two_records_and_bad_records_are_no_policy() {
        assert_eq!(id([]), None);
        assert_eq!(id(["v=STSv1; id=1;", "v=STSv1; id=2;"]), None);
        for bad in
            ["v=STSv1", "v=STSv1;", "v=STSv10; id=1;", " v=STSv1; id=1;", "v=STSv1; id=;", "v=STSv1; id=a_b;"]
        {
            assert_eq!(id([bad]), None, "{bad}");
        }
        assert_eq!(id([format!("v=STSv1; id={};", "1".repeat(33)).as_str()]), None);
    }
}
