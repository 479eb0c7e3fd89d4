//! The parameters of MAIL and RCPT that the announced extensions define.

use model::{
    DeliverBy, ForwardPath, MAX_ENVID_OCTETS, MAX_ORCPT_OCTETS, Notify, Param, Reply, ReversePath, Timestamp,
    decode_xtext, parse_priority,
};

use super::options::{Options, Protocol};
use super::release;

/// What is known of a session when its parameters are judged.
pub(super) struct Judge<'a> {
    pub(super) options: &'a Options,
    /// EHLO or LHLO rather than HELO.
    pub(super) extended: bool,
    /// TLS protects the session.
    pub(super) secured: bool,
    /// AUTH is offered, or has been done.
    pub(super) knows_auth: bool,
    pub(super) wall: Timestamp,
}

/// What the parameters of MAIL change in the transaction itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Wishes {
    pub(super) utf8: bool,
    /// BODY=BINARYMIME: lines mean nothing, and only BDAT can carry it.
    pub(super) binary: bool,
    /// A reply for each recipient after the end of data.
    pub(super) prdr: bool,
}

impl Judge<'_> {
    /// Checks the parameters of MAIL.
    pub(super) fn mail(&self, sender: &ReversePath, params: &[Param]) -> Result<Wishes, Reply> {
        self.only_after_ehlo(params)?;
        let mut wishes = Wishes::default();
        for param in params {
            self.mail_param(param, &mut wishes)?;
        }
        let given = |keyword: &str| params.iter().any(|param| param.keyword == keyword);
        //= RFC 4865 section 4: one of the two.
        if given("HOLDFOR") && given("HOLDUNTIL") {
            return Err(Reply::new(501, (5, 5, 4), "HOLDFOR and HOLDUNTIL exclude each other"));
        }
        match sender.mailbox() {
            Some(mailbox) if !mailbox.is_ascii() && !wishes.utf8 => Err(needs_smtputf8()),
            _ => Ok(wishes),
        }
    }

    fn mail_param(&self, param: &Param, wishes: &mut Wishes) -> Result<(), Reply> {
        let offered = &self.options.extensions;
        let value = param.value.as_deref();
        match (param.keyword.as_str(), value) {
            ("SIZE", _) if offered.size => self.size(param),
            ("BODY", _) if offered.eight_bit_mime || offered.binary_mime && offered.chunking => {
                self.body(param, wishes)
            }
            ("SMTPUTF8", None) if offered.smtputf8 => {
                wishes.utf8 = true;
                Ok(())
            }
            ("RET", Some(value)) if offered.dsn => {
                fits(param, ["FULL", "HDRS"].iter().any(|word| value.eq_ignore_ascii_case(word)))
            }
            ("ENVID", Some(value)) if offered.dsn => fits(param, is_xtext(value, MAX_ENVID_OCTETS)),
            ("AUTH", Some(value)) if self.knows_auth => fits(param, is_xtext(value, 500)),
            ("REQUIRETLS", None) if offered.require_tls && self.secured => Ok(()),
            ("MT-PRIORITY", Some(value)) if offered.mt_priority => {
                fits(param, parse_priority(value).is_some())
            }
            ("BY", Some(value)) if offered.deliver_by => fits(param, DeliverBy::parse(value).is_some()),
            ("HOLDFOR" | "HOLDUNTIL", Some(_)) if offered.future_release.is_some() => self.hold(param),
            ("PRDR", None) if offered.prdr && self.options.protocol == Protocol::Smtp => {
                wishes.prdr = true;
                Ok(())
            }
            (keyword, _) => Err(not_taken(param, self.is_of_mail(keyword))),
        }
    }

    /// Checks the parameters of RCPT.
    pub(super) fn rcpt(&self, path: &ForwardPath, params: &[Param], utf8: bool) -> Result<(), Reply> {
        self.only_after_ehlo(params)?;
        for param in params {
            match (param.keyword.as_str(), param.value.as_deref()) {
                ("NOTIFY", Some(value)) if self.options.extensions.dsn => {
                    fits(param, Notify::parse(value).is_some())?;
                }
                ("ORCPT", Some(value)) if self.options.extensions.dsn => {
                    fits(param, is_original_recipient(value, utf8))?;
                }
                (keyword, _) => return Err(not_taken(param, self.is_of_rcpt(keyword))),
            }
        }
        match path {
            ForwardPath::Mailbox(mailbox) if !mailbox.is_ascii() && !utf8 => Err(needs_smtputf8()),
            _ => Ok(()),
        }
    }

    fn only_after_ehlo(&self, params: &[Param]) -> Result<(), Reply> {
        match params.first() {
            Some(_) if !self.extended => Err(Reply::new(555, (5, 5, 4), "parameters need EHLO, not HELO")),
            _ => Ok(()),
        }
    }

    //= RFC 1870 section 6.1: a declared size over the limit is refused before it is sent.
    fn size(&self, param: &Param) -> Result<(), Reply> {
        let value = param.value.as_deref().unwrap_or_default();
        let digits = (1..=20).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_digit());
        if !digits {
            return Err(Reply::new(501, (5, 5, 4), "SIZE is a number of octets, of at most 20 digits"));
        }
        let limit = self.options.limits.message_size;
        // A number too large for 64 bits is over any limit.
        if value.parse::<u64>().is_ok_and(|size| size <= limit) {
            return Ok(());
        }
        Err(Reply::new(552, (5, 3, 4), format!("the limit is {limit} octets")))
    }

    fn body(&self, param: &Param, wishes: &mut Wishes) -> Result<(), Reply> {
        let offered = &self.options.extensions;
        let value = param.value.as_deref().unwrap_or_default();
        let is = |word: &str| value.eq_ignore_ascii_case(word);
        if is("BINARYMIME") && offered.binary_mime && offered.chunking {
            wishes.binary = true;
            return Ok(());
        }
        fits(param, is("7BIT") || is("8BITMIME") && offered.eight_bit_mime)
    }

    //= RFC 4865 section 5: a time beyond what was announced is refused.
    fn hold(&self, param: &Param) -> Result<(), Reply> {
        let value = param.value.as_deref().unwrap_or_default();
        let longest = self.options.extensions.future_release.unwrap_or_default();
        let until = match param.keyword.as_str() {
            "HOLDFOR" => release::hold_for(value).map(|time| self.wall + time),
            _ => release::hold_until(value),
        };
        match until {
            None => Err(bad_value(param)),
            Some(until) if until > self.wall + longest => {
                let text = format!("a message may wait at most {} seconds", longest.as_secs());
                Err(Reply::new(501, (5, 5, 4), text))
            }
            Some(_) => Ok(()),
        }
    }

    /// Whether MAIL has this parameter here.
    fn is_of_mail(&self, keyword: &str) -> bool {
        let offered = &self.options.extensions;
        match keyword {
            "SMTPUTF8" => offered.smtputf8,
            "RET" | "ENVID" => offered.dsn,
            "AUTH" => self.knows_auth,
            "REQUIRETLS" => offered.require_tls && self.secured,
            "MT-PRIORITY" => offered.mt_priority,
            "BY" => offered.deliver_by,
            "HOLDFOR" | "HOLDUNTIL" => offered.future_release.is_some(),
            "PRDR" => offered.prdr && self.options.protocol == Protocol::Smtp,
            _ => false,
        }
    }

    /// Whether RCPT has this parameter here.
    fn is_of_rcpt(&self, keyword: &str) -> bool {
        matches!(keyword, "NOTIFY" | "ORCPT") && self.options.extensions.dsn
    }
}

/// The reply to a parameter that was not taken: its value is at fault, or nobody knows it.
//= RFC 5321 section 4.1.1.11: parameters that are not recognized are refused with 555.
fn not_taken(param: &Param, is_known: bool) -> Reply {
    if is_known {
        return bad_value(param);
    }
    Reply::new(555, (5, 5, 4), format!("parameter {} is not supported", param.keyword))
}

fn fits(param: &Param, does: bool) -> Result<(), Reply> {
    if does { Ok(()) } else { Err(bad_value(param)) }
}

fn bad_value(param: &Param) -> Reply {
    Reply::new(501, (5, 5, 4), format!("the value of {} is not valid", param.keyword))
}

fn is_xtext(value: &str, octets: usize) -> bool {
    (1..=octets).contains(&value.len()) && decode_xtext(value).is_some()
}

/// `type;address`, the address in xtext, or as RFC 6533 section 3 writes one beyond ASCII.
fn is_original_recipient(value: &str, utf8: bool) -> bool {
    let Some((kind, address)) = value.split_once(';') else { return false };
    let is_atom = !kind.is_empty() && kind.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let is_address = match kind.eq_ignore_ascii_case("utf-8") {
        false => decode_xtext(address).is_some(),
        true => !address.is_empty() && (utf8 || address.is_ascii()) && !address.contains(char::is_control),
    };
    is_atom && is_address && !address.is_empty() && value.len() <= MAX_ORCPT_OCTETS
}

//= RFC 6531 section 3.5: 553 5.6.7 for an address that needs SMTPUTF8 where it was not asked for.
fn needs_smtputf8() -> Reply {
    Reply::new(553, (5, 6, 7), "an address beyond ASCII needs the parameter SMTPUTF8 at MAIL")
}
