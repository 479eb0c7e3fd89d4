//! `scanner`: has clamd look at the message as it stands; its octets never pass through the guest.

use hooks::ScanError;

use crate::bindings::waxwing::mail::scanner::Host;
use crate::bindings::waxwing::mail::types::Error;
use crate::state::State;

impl Host for State {
    async fn scan(&mut self) -> Result<Option<String>, Error> {
        let address = self.plugin.options.grants.clamd.clone().ok_or(Error::Denied)?;
        let scanner = self.host.services.scanner.clone().ok_or(Error::Denied)?;
        let content = self.message_now()?;
        if self.spent.scans >= self.plugin.limits.scans_per_hook {
            return Err(Error::Quota);
        }
        self.spent.scans += 1;
        let scanned = scanner.scan(&address, &content, self.outgoing.time_left()).await;
        if let Err(error) = &scanned {
            tracing::info!(plugin = %self.plugin.name, hook = self.hook, %address, %error, "no answer from clamd");
        }
        scanned.map_err(|error| match error {
            ScanError::TimedOut(_) => Error::TimedOut,
            ScanError::TooLarge => Error::Quota,
            ScanError::Connect(_) | ScanError::Failed(_) => Error::Unavailable(error.to_string()),
        })
    }
}
