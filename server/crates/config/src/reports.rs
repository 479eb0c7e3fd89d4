//! `[reports]`, and when the queue tells of delays.

use std::sync::Arc;
use std::time::Duration;

use message::Template;
use outbound::ReportOptions;

use crate::reader::Table;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// When a sender hears that the message still waits.
const DELAY_WARNING: Duration = Duration::from_secs(4 * 60 * 60);

/// How senders are told; `queue` is the table of that name.
pub(crate) fn reports(
    root: &Table<'_>,
    queue: &Table<'_>,
    accounts: &Arc<accounts::LocalDomains>,
) -> ReportOptions {
    let table = root.table("reports", "reports");
    let mut warning = DELAY_WARNING;
    queue.set_duration("delay-warning", &mut warning, Duration::ZERO..=30 * DAY);
    let mut tells_postmaster = false;
    let choices = [("drop", false), ("postmaster", true)];
    table.set_choice("double-bounces", &mut tells_postmaster, &choices);
    ReportOptions {
        delay_warning: Some(warning).filter(|after| !after.is_zero()),
        double_bounces_to: tells_postmaster.then(|| accounts.postmaster().clone()),
        accounts: Some(Arc::clone(accounts)),
        template: template(&table).unwrap_or_default(),
    }
}

/// What people read, when a file says so.
fn template(table: &Table<'_>) -> Option<Template> {
    let (item, path, octets) = table.file("template")?;
    let read = String::from_utf8(octets).map_err(|_| "is not UTF-8".to_owned());
    match read.and_then(|source| Template::parse(&source).map_err(|error| error.to_string())) {
        Ok(template) => Some(template),
        Err(why) => {
            item.fault(format!("{} {why}", path.display()));
            None
        }
    }
}
