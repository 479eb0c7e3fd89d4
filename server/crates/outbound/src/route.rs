//! Routes: by which way mail leaves for domains that are not ours, and under what conditions.
//!
//! The most specific name wins: the domain itself, then the longest `*.parent` above it, then `*`. What no route names goes to the
//! hosts that DNS gives.
//!
//! Standards: RFC 5321 section 5 (routing), 3207 (STARTTLS), 8314 (TLS from the first octet), 4954 (AUTH).
//! Errors: [`RouteError`] when two routes claim one name.

use std::collections::HashMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use model::Domain;

use crate::demand::TlsLevel;
use crate::options::HostPort;

/// Who takes the mail of a route next.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum NextHop {
    /// The hosts that DNS names for the recipient's domain.
    Mx,
    /// This host; MX records are not asked for.
    Host(HostPort),
}

/// A password that no log and no error shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(pub String);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

/// As whom the next hop is told to know us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    pub username: String,
    pub password: Password,
}

/// One way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// As logs and statistics call it.
    pub name: String,
    pub domains: Vec<DomainPattern>,
    pub next_hop: NextHop,
    /// `Options::tls_level` when nothing.
    pub tls: Option<TlsLevel>,
    pub auth: Option<Credentials>,
    /// Addresses of this host that connections come from; any when there is none. A family without one is not used.
    pub source: Vec<IpAddr>,
    /// Connections to one destination at once; `Limits::connections_per_destination` when nothing.
    pub connections: Option<usize>,
    /// Messages to one destination in a minute; unlimited when nothing.
    pub messages_per_minute: Option<u32>,
    /// New connections to one destination in a minute; unlimited when nothing.
    pub connections_per_minute: Option<u32>,
}

impl Route {
    /// A route without conditions.
    pub fn new(name: impl Into<String>, next_hop: NextHop) -> Self {
        Self {
            name: name.into(),
            domains: Vec::new(),
            next_hop,
            tls: None,
            auth: None,
            source: Vec::new(),
            connections: None,
            messages_per_minute: None,
            connections_per_minute: None,
        }
    }
}

/// Equal routes have equal names, which is enough to tell most apart.
impl Hash for Route {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
        self.next_hop.hash(state);
    }
}

/// What a route says of whose mail goes by it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum DomainPattern {
    /// `example.org`, without what is below it.
    Exact(Domain),
    /// `*.example.org`: everything below, at any depth, without the domain itself.
    Below(Domain),
    /// `*`: everything.
    Any,
}

/// A text that is none of `example.org`, `*.example.org` and `*`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("is no domain, as in \"example.org\", \"*.example.org\" or \"*\"")]
pub struct DomainPatternError;

impl FromStr for DomainPattern {
    type Err = DomainPatternError;
    fn from_str(text: &str) -> Result<Self, DomainPatternError> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let (rest, is_below) = text.strip_prefix("*.").map_or((text, false), |rest| (rest, true));
        let domain = Domain::parse(rest).map_err(|_| DomainPatternError)?;
        match (is_below, domain.literal()) {
            (true, Some(_)) => Err(DomainPatternError),
            (true, None) => Ok(Self::Below(domain)),
            (false, _) => Ok(Self::Exact(domain)),
        }
    }
}

impl fmt::Display for DomainPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(domain) => write!(f, "{domain}"),
            Self::Below(domain) => write!(f, "*.{domain}"),
            Self::Any => f.write_str("*"),
        }
    }
}

/// Two routes say of themselves that they are for the same mail.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{pattern} has the route \"{route}\" already")]
pub struct RouteError {
    pub pattern: DomainPattern,
    /// The earlier one.
    pub route: String,
}

/// The route of every domain. U-labels and A-labels are the same name.
#[derive(Debug, Clone)]
pub struct Routes {
    exact: HashMap<String, Arc<Route>>,
    below: HashMap<String, Arc<Route>>,
    any: Option<Arc<Route>>,
    /// Of what no route names.
    fallback: Arc<Route>,
}

/// Everything by MX.
impl Default for Routes {
    fn default() -> Self {
        let fallback = Arc::new(Route::new("mx", NextHop::Mx));
        Self { exact: HashMap::new(), below: HashMap::new(), any: None, fallback }
    }
}

impl Routes {
    /// Adds a route for all its domains.
    ///
    /// # Errors
    /// Every domain that another route has; that one keeps it.
    pub fn insert(&mut self, route: Route) -> Result<(), Vec<RouteError>> {
        let route = Arc::new(route);
        let mut taken = Vec::new();
        for pattern in &route.domains {
            let before = match pattern {
                DomainPattern::Exact(domain) => put(&mut self.exact, domain, &route),
                DomainPattern::Below(domain) => put(&mut self.below, domain, &route),
                DomainPattern::Any => match &self.any {
                    Some(before) => Some(Arc::clone(before)),
                    None => self.any.replace(Arc::clone(&route)),
                },
            };
            if let Some(before) = before {
                taken.push(RouteError { pattern: pattern.clone(), route: before.name.clone() });
            }
        }
        if taken.is_empty() { Ok(()) } else { Err(taken) }
    }

    /// The route of a domain.
    pub fn of(&self, domain: &Domain) -> &Arc<Route> {
        self.named(domain).or(self.any.as_ref()).unwrap_or(&self.fallback)
    }

    /// The route that names a domain, itself or what is above it; not `*`.
    pub fn named(&self, domain: &Domain) -> Option<&Arc<Route>> {
        if self.exact.is_empty() && self.below.is_empty() {
            return None;
        }
        let name = domain.to_ascii();
        if let Some(route) = self.exact.get(&name) {
            return Some(route);
        }
        if domain.literal().is_some() {
            return None;
        }
        let parents = name.match_indices('.').map(|(dot, _)| &name[dot + 1..]);
        parents.filter_map(|parent| self.below.get(parent)).next()
    }

    /// Of what no route names.
    pub fn fallback(&self) -> &Arc<Route> {
        &self.fallback
    }

    /// All of them, each as often as it has domains; in no order.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Route>> {
        self.exact.values().chain(self.below.values()).chain(&self.any).chain([&self.fallback])
    }
}

/// Whose the name was before; it stays so.
fn put(routes: &mut HashMap<String, Arc<Route>>, domain: &Domain, route: &Arc<Route>) -> Option<Arc<Route>> {
    let name = domain.to_ascii();
    match routes.get(&name) {
        Some(before) => Some(Arc::clone(before)),
        None => routes.insert(name, Arc::clone(route)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes(all: &[(&str, &[&str])]) -> Result<Routes, Vec<RouteError>> {
        let mut routes = Routes::default();
        for (name, domains) in all {
            let domains = domains.iter().map(|text| text.parse().unwrap()).collect();
            routes.insert(Route { domains, ..Route::new(*name, NextHop::Mx) })?;
        }
        Ok(routes)
    }

    fn route_of(routes: &Routes, domain: &str) -> String {
        routes.of(&Domain::parse(domain).unwrap()).name.clone()
    }

    #[test]
    fn the_most_specific_name_wins() {
        let routes = routes(&[
            ("all", &["*"]),
            ("below", &["*.example.org"]),
            ("deep", &["*.b.example.org", "b\u{fc}cher.example"]),
            ("one", &["example.org", "a.b.example.org", "[192.0.2.1]"]),
        ])
        .unwrap();
        let expected = [
            ("example.org", "one"),
            ("x.example.org", "below"),
            ("x.y.example.org", "below"),
            ("b.example.org", "below"),
            ("x.b.example.org", "deep"),
            ("a.b.example.org", "one"),
            ("A.B.EXAMPLE.ORG", "one"),
            ("xn--bcher-kva.example", "deep"),
            ("notexample.org", "all"),
            ("org", "all"),
            ("[192.0.2.1]", "one"),
            ("[192.0.2.2]", "all"),
        ];
        for (domain, route) in expected {
            assert_eq!(route_of(&routes, domain), route, "{domain}");
        }
    }

    #[test]
    fn what_no_route_names_goes_by_mx() {
        let routes = routes(&[("one", &["example.org"])]).unwrap();
        assert_eq!(route_of(&routes, "example.net"), "mx");
        assert_eq!(routes.named(&Domain::parse("example.net").unwrap()), None);
    }

    #[test]
    fn a_name_has_one_route() {
        let taken = routes(&[("one", &["a.example", "*"]), ("two", &["A.EXAMPLE", "*", "b.example"])]);
        let taken = taken.unwrap_err();
        let said: Vec<String> = taken.iter().map(ToString::to_string).collect();
        assert_eq!(said, ["a.example has the route \"one\" already", "* has the route \"one\" already"]);
    }

    #[test]
    fn patterns_read_back_and_others_are_refused() {
        for text in ["example.org", "*.example.org", "*", "[192.0.2.1]"] {
            assert_eq!(text.parse::<DomainPattern>().unwrap().to_string(), text);
        }
        for bad in ["", "*.", "**", "*example.org", "a.*.org", "*.[192.0.2.1]", "-x-"] {
            assert_eq!(bad.parse::<DomainPattern>(), Err(DomainPatternError), "{bad}");
        }
    }

    #[test]
    fn a_password_is_not_shown() {
        let auth = Credentials { username: "wax".to_owned(), password: Password("open sesame".to_owned()) };
        assert!(!format!("{auth:?}").contains("sesame"));
    }
}
