//! Connections to the addresses of a site: the best first, and where one takes long, the next beside it.
//!
//! Only addresses of hosts that are preferred alike race each other; a host that is preferred less has its turn when those before it
//! have failed. Families take turns ([`crate::mx`]).
//!
//! Standards: RFC 8305 section 5, RFC 5321 section 5.1.
//! Limits: `Limits::address_delay` between two starts, `Limits::connect_timeout` for one address.
//! Cancel safety: a race that is dropped leaves no connection.

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;

use crate::demand::Demand;
use crate::link::{self, Link};
use crate::mx::Endpoint;
use crate::options::Limits;

/// What became of one address, with what is demanded there.
pub(crate) type Finish = (Endpoint, Demand, io::Result<Box<dyn Link>>);

pub(crate) struct Race {
    waiting: VecDeque<(Endpoint, Demand)>,
    underway: FuturesUnordered<BoxFuture<'static, Finish>>,
    rank: u16,
    /// One has failed: the next starts without delay.
    is_hurried: bool,
    sources: Vec<IpAddr>,
    delay: Duration,
    timeout: Duration,
}

impl Race {
    pub(crate) fn new(endpoints: Vec<(Endpoint, Demand)>, sources: &[IpAddr], limits: &Limits) -> Self {
        Self {
            waiting: endpoints.into(),
            underway: FuturesUnordered::new(),
            rank: 0,
            is_hurried: false,
            sources: sources.to_vec(),
            delay: limits.address_delay,
            timeout: limits.connect_timeout,
        }
    }

    /// The next address that is connected, or has failed; nothing when there is none left. Those that are under way go on when the
    /// session over an earlier one has failed.
    pub(crate) async fn next(&mut self) -> Option<Finish> {
        loop {
            let is_next_alike = self.waiting.front().is_some_and(|(next, _)| next.rank == self.rank);
            if self.underway.is_empty() || (self.is_hurried && is_next_alike) {
                self.is_hurried = false;
                match self.waiting.pop_front() {
                    Some((endpoint, demand)) => self.start(endpoint, demand),
                    None if self.underway.is_empty() => return None,
                    None => {}
                }
                continue;
            }
            tokio::select! {
                biased;
                Some(finish) = self.underway.next() => {
                    self.is_hurried = finish.2.is_err();
                    return Some(finish);
                }
                () = tokio::time::sleep(self.delay), if is_next_alike => self.is_hurried = true,
            }
        }
    }

    fn start(&mut self, endpoint: Endpoint, demand: Demand) {
        self.rank = endpoint.rank;
        let (source, timeout) = (endpoint.source(&self.sources), self.timeout);
        self.underway.push(Box::pin(async move {
            let link = match source {
                Ok(source) => link::connect(&endpoint.address, source, timeout).await,
                Err(error) => Err(error),
            };
            (endpoint, demand, link)
        }));
    }
}
