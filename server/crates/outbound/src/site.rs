//! Where a recipient's mail goes next: the name under which attempts are gathered.

use std::fmt;
use std::sync::Arc;

use model::{Domain, Mailbox};

use crate::maildir::MaildirPattern;
use crate::options::{DeliverTo, HostPort, LmtpAddress, Options};
use crate::pipe::Pipe;
use crate::route::{NextHop, Route};

/// A next-hop site. Attempts for the same site share its connections, its limits and its back-off.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Site {
    /// The hosts that DNS names for a domain, or the host of an address literal.
    Mx(Domain, Arc<Route>),
    /// One host by SMTP: the next hop of a route, or the relay of a local domain.
    Host(HostPort, Arc<Route>),
    Lmtp(LmtpAddress),
    Maildir(MaildirPattern),
    Pipe(Arc<Pipe>),
}

impl Site {
    /// The site of a recipient: its domain's if that is local, else what the domain's route says.
    pub(crate) fn of(address: &Mailbox, options: &Options) -> Self {
        match options.domains.get(address.domain()) {
            Some(DeliverTo::Maildir(pattern)) => Self::Maildir(pattern.clone()),
            Some(DeliverTo::Pipe(pipe)) => Self::Pipe(Arc::clone(pipe)),
            Some(DeliverTo::Lmtp(lmtp)) => Self::Lmtp(lmtp.clone()),
            Some(DeliverTo::Relay(host)) => {
                Self::Host(host.clone(), relay_route(host, address.domain(), options))
            }
            None => Self::by_route(address.domain(), options.routes.of(address.domain())),
        }
    }

    /// What a route makes of a domain.
    fn by_route(domain: &Domain, route: &Arc<Route>) -> Self {
        match &route.next_hop {
            NextHop::Mx => Self::Mx(domain.clone(), Arc::clone(route)),
            NextHop::Host(host) => Self::Host(host.clone(), Arc::clone(route)),
        }
    }

    /// By which route; mail that ends on this host has none.
    pub(crate) fn route(&self) -> Option<&Arc<Route>> {
        match self {
            Self::Mx(_, route) | Self::Host(_, route) => Some(route),
            Self::Lmtp(_) | Self::Maildir(_) | Self::Pipe(_) => None,
        }
    }
}

/// The route to the relay of a local domain: the host that `deliver` names, under the conditions of the route that names the domain.
fn relay_route(host: &HostPort, domain: &Domain, options: &Options) -> Arc<Route> {
    let conditions = options.routes.named(domain).unwrap_or(options.routes.fallback());
    let route = Route {
        name: "relay".to_owned(),
        domains: Vec::new(),
        next_hop: NextHop::Host(host.clone()),
        ..Route::clone(conditions)
    };
    Arc::new(route)
}

/// As statistics and logs name it.
impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mx(domain, _) => write!(f, "{domain}"),
            Self::Host(host, _) => write!(f, "relay:{host}"),
            Self::Lmtp(LmtpAddress::Tcp(host)) => write!(f, "lmtp:{host}"),
            Self::Lmtp(LmtpAddress::Unix(path)) => write!(f, "lmtp:{}", path.display()),
            Self::Maildir(pattern) => write!(f, "maildir:{pattern}"),
            Self::Pipe(pipe) => write!(f, "pipe:{pipe}"),
        }
    }
}
