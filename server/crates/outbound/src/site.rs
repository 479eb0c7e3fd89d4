//! Where a recipient's mail goes next: the name under which attempts are gathered.

use std::fmt;
use std::sync::Arc;

use model::{Domain, Mailbox};

use crate::mail_hosts::MailHosts;
use crate::maildir::MaildirPattern;
use crate::options::{DeliverTo, HostPort, LmtpAddress, Options};
use crate::pipe::Pipe;
use crate::route::{NextHop, Route};
use crate::stats::Class;

/// A next-hop site. Attempts for the same site share its connections, its limits and its back-off; recipients at one site share a
/// transaction, whatever their domains.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Site {
    /// The hosts that DNS names for a domain; of its own where it demands something of them.
    Mx(Arc<MailHosts>, Arc<Route>),
    /// One host by SMTP: the next hop of a route, or the relay of a local domain.
    Host(HostPort, Arc<Route>),
    Lmtp(LmtpAddress),
    Maildir(MaildirPattern),
    Pipe(Arc<Pipe>),
}

/// How a recipient's site is found.
#[derive(Debug, Clone)]
pub(crate) enum Way {
    To(Site),
    /// DNS has to be asked for the hosts of this domain.
    Ask(Domain, Arc<Route>),
}

impl Way {
    /// The way of a recipient: its domain's if that is local, else what the domain's route says.
    pub(crate) fn of(address: &Mailbox, options: &Options) -> Self {
        let domain = address.domain();
        match options.domains.get(domain) {
            Some(DeliverTo::Maildir(pattern)) => Self::To(Site::Maildir(pattern.clone())),
            Some(DeliverTo::Pipe(pipe)) => Self::To(Site::Pipe(Arc::clone(pipe))),
            Some(DeliverTo::Lmtp(lmtp)) => Self::To(Site::Lmtp(lmtp.clone())),
            Some(DeliverTo::Relay(host)) => {
                Self::To(Site::Host(host.clone(), relay_route(host, domain, options)))
            }
            None => {
                let route = options.routes.of(domain);
                match &route.next_hop {
                    NextHop::Mx => Self::Ask(domain.clone(), Arc::clone(route)),
                    NextHop::Host(host) => Self::To(Site::Host(host.clone(), Arc::clone(route))),
                }
            }
        }
    }
}

impl Site {
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

impl Site {
    /// The kind of next hop, for counting.
    fn class(&self) -> Class {
        match self {
            Self::Mx(..) => Class::Mx,
            Self::Host(..) => Class::Relay,
            Self::Lmtp(_) => Class::Lmtp,
            Self::Maildir(_) | Self::Pipe(_) => Class::Local,
        }
    }
}

impl Way {
    /// The kind of next hop, for counting.
    pub(crate) fn class(&self) -> Class {
        match self {
            Self::To(site) => site.class(),
            Self::Ask(..) => Class::Mx,
        }
    }
}

/// As statistics and logs name it.
impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mx(hosts, _) => write!(f, "{hosts}"),
            Self::Host(host, _) => write!(f, "relay:{host}"),
            Self::Lmtp(LmtpAddress::Tcp(host)) => write!(f, "lmtp:{host}"),
            Self::Lmtp(LmtpAddress::Unix(path)) => write!(f, "lmtp:{}", path.display()),
            Self::Maildir(pattern) => write!(f, "maildir:{pattern}"),
            Self::Pipe(pipe) => write!(f, "pipe:{pipe}"),
        }
    }
}
