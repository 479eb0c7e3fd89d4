//! The resolver of now: a reload puts another in its place while questions are under way, which the one of before still answers.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::hickory::{Hickory, Options, SetupError};
use crate::proven::{Proven, Tlsa};
use crate::resolver::{BoxFuture, DnsError, Mx, Resolver};

/// A resolver that can be replaced.
pub struct Current(ArcSwap<Hickory>);

impl Current {
    pub fn new(resolver: Hickory) -> Self {
        Self(ArcSwap::from_pointee(resolver))
    }

    /// A resolver by these options; nothing when it would ask the same servers in the same way, so that what is remembered stays.
    ///
    /// # Errors
    /// As [`Hickory::new`].
    pub fn prepare(&self, options: &Options) -> Result<Option<Hickory>, SetupError> {
        self.0.load().other(options)
    }

    /// Questions are asked of this one from now on.
    pub fn replace(&self, resolver: Hickory) {
        self.0.store(Arc::new(resolver));
    }
}

impl fmt::Debug for Current {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Current").field(&self.0.load()).finish()
    }
}

impl Resolver for Current {
    fn mx<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<Mx>, DnsError>> {
        Box::pin(async move { self.0.load_full().mx(name).await })
    }

    fn addresses<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, DnsError>> {
        Box::pin(async move { self.0.load_full().addresses(name).await })
    }

    fn txt<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<String>, DnsError>> {
        Box::pin(async move { self.0.load_full().txt(name).await })
    }

    fn ptr(&self, address: IpAddr) -> BoxFuture<'_, Result<Vec<String>, DnsError>> {
        Box::pin(async move { self.0.load_full().ptr(address).await })
    }

    fn mx_proven<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Proven<Mx>> {
        Box::pin(async move { self.0.load_full().mx_proven(name).await })
    }

    fn addresses_proven<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Proven<IpAddr>> {
        Box::pin(async move { self.0.load_full().addresses_proven(name).await })
    }

    fn tlsa<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Proven<Tlsa>> {
        Box::pin(async move { self.0.load_full().tlsa(name).await })
    }
}
