//! What the peer offers in its answer to EHLO or LHLO (RFC 5321 section 4.1.1.1).

use model::Reply;

/// The service extensions that were offered. Nothing is offered after HELO.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Extensions {
    /// RFC 2920.
    pub pipelining: bool,
    /// RFC 6152.
    pub eight_bit_mime: bool,
    /// RFC 6531.
    pub smtputf8: bool,
    /// RFC 2034.
    pub enhanced_status_codes: bool,
    /// RFC 3461.
    pub dsn: bool,
    /// RFC 3030.
    pub chunking: bool,
    /// RFC 3030.
    pub binary_mime: bool,
    /// RFC 3207.
    pub starttls: bool,
    /// RFC 8689.
    pub require_tls: bool,
    /// RFC 6710.
    pub mt_priority: bool,
    /// RFC 2852.
    pub deliver_by: bool,
    /// RFC 9422: transactions in a session.
    pub mail_max: Option<usize>,
    /// RFC 9422: recipients in a transaction.
    pub rcpt_max: Option<usize>,
    /// RFC 1870: the parameter is known.
    pub size: bool,
    /// RFC 1870: octets that the peer takes at most, when it says so.
    pub max_size: Option<u64>,
    /// RFC 4954: the mechanisms, in upper case.
    pub auth: Vec<String>,
}

impl Extensions {
    /// Reads the lines of the reply behind its first; unknown keywords are passed over.
    pub fn read(reply: &Reply) -> Self {
        let mut offered = Self::default();
        for line in reply.text.split('\n').skip(1) {
            // Some servers write `AUTH=LOGIN PLAIN` for clients of old.
            let line = line.trim_start();
            let end = line.find(|c: char| c == '=' || c.is_ascii_whitespace()).unwrap_or(line.len());
            let (keyword, rest) = line.split_at(end);
            let words = rest.trim_start_matches('=').split_ascii_whitespace();
            offered.note(&keyword.to_ascii_uppercase(), words);
        }
        offered
    }

    fn note<'a>(&mut self, keyword: &str, mut words: impl Iterator<Item = &'a str>) {
        match keyword {
            "PIPELINING" => self.pipelining = true,
            "8BITMIME" => self.eight_bit_mime = true,
            "SMTPUTF8" => self.smtputf8 = true,
            "ENHANCEDSTATUSCODES" => self.enhanced_status_codes = true,
            "DSN" => self.dsn = true,
            "CHUNKING" => self.chunking = true,
            "BINARYMIME" => self.binary_mime = true,
            "STARTTLS" => self.starttls = true,
            "REQUIRETLS" => self.require_tls = true,
            "MT-PRIORITY" => self.mt_priority = true,
            "DELIVERBY" => self.deliver_by = true,
            "LIMITS" => words.for_each(|word| self.note_limit(word)),
            "SIZE" => {
                self.size = true;
                //= RFC 1870 section 3: zero, or no number, says that no limit is in force.
                self.max_size = words.next().and_then(|word| word.parse().ok()).filter(|octets| *octets > 0);
            }
            "AUTH" => {
                for mechanism in words.map(str::to_ascii_uppercase) {
                    if !self.auth.contains(&mechanism) {
                        self.auth.push(mechanism);
                    }
                }
            }
            _ => {}
        }
    }

    /// One of LIMITS; those that are not known, or are no numbers, mean nothing (RFC 9422 section 3).
    fn note_limit(&mut self, word: &str) {
        let Some((name, value)) = word.split_once('=') else { return };
        let value = value.parse().ok().filter(|value| *value > 0);
        match name.to_ascii_uppercase().as_str() {
            "MAILMAX" => self.mail_max = value,
            "RCPTMAX" => self.rcpt_max = value,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_keywords_are_noted_in_any_case_and_others_passed_over() {
        let reply = Reply::plain(
            250,
            "mx.example pipelining\nPipelining\nSIZE 1000\nauth PLAIN\nAUTH=PLAIN login\nXFOO\n\n8bitmime",
        );
        let offered = Extensions::read(&reply);
        let expected = Extensions {
            pipelining: true,
            size: true,
            max_size: Some(1000),
            eight_bit_mime: true,
            auth: vec!["PLAIN".into(), "LOGIN".into()],
            ..Extensions::default()
        };
        assert_eq!(offered, expected);
    }

    #[test]
    fn limits_are_noted_and_what_is_none_passed_over() {
        let limits = |line: &str| {
            let offered = Extensions::read(&Reply::plain(250, format!("mx\nLIMITS {line}")));
            (offered.mail_max, offered.rcpt_max)
        };
        assert_eq!(limits("MAILMAX=5 rcptmax=100 RCPTDOMAINMAX=1"), (Some(5), Some(100)));
        for bad in ["", "MAILMAX", "MAILMAX=", "MAILMAX=0", "RCPTMAX=many", "RCPTMAX=-1", "=5"] {
            assert_eq!(limits(bad), (None, None), "{bad}");
        }
    }

    #[test]
    fn the_first_line_offers_nothing() {
        assert_eq!(Extensions::read(&Reply::plain(250, "DSN")), Extensions::default());
    }

    #[test]
    fn a_size_of_zero_is_no_limit() {
        let offered = Extensions::read(&Reply::plain(250, "mx\nSIZE 0"));
        assert!(offered.size && offered.max_size.is_none());
    }
}
