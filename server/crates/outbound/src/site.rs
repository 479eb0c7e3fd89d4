//! Where a recipient's mail goes next: the name under which attempts are gathered.

use std::fmt;

use model::{Domain, Mailbox};

use crate::maildir::MaildirPattern;
use crate::options::{DeliverTo, HostPort, LmtpAddress, Options};

/// A next-hop site. Attempts for the same site share its connections, its limits and its back-off.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Site {
    /// The hosts that DNS names for a domain, or the host of an address literal.
    Mx(Domain),
    /// One host by SMTP: a smarthost, or the relay of a local domain.
    Relay(HostPort),
    Lmtp(LmtpAddress),
    Maildir(MaildirPattern),
}

impl Site {
    /// The site of a recipient: its domain's if that is local, else the smarthost, else what DNS says.
    pub(crate) fn of(address: &Mailbox, options: &Options) -> Self {
        match options.domains.get(address.domain()) {
            Some(DeliverTo::Maildir(pattern)) => Self::Maildir(pattern.clone()),
            Some(DeliverTo::Lmtp(lmtp)) => Self::Lmtp(lmtp.clone()),
            Some(DeliverTo::Relay(host)) => Self::Relay(host.clone()),
            None => match &options.smarthost {
                Some(host) => Self::Relay(host.clone()),
                None => Self::Mx(address.domain().clone()),
            },
        }
    }
}

/// As statistics and logs name it.
impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mx(domain) => write!(f, "{domain}"),
            Self::Relay(host) => write!(f, "relay:{host}"),
            Self::Lmtp(LmtpAddress::Tcp(host)) => write!(f, "lmtp:{host}"),
            Self::Lmtp(LmtpAddress::Unix(path)) => write!(f, "lmtp:{}", path.display()),
            Self::Maildir(pattern) => write!(f, "maildir:{pattern}"),
        }
    }
}
