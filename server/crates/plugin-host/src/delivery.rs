//! The hooks of delivery: asked of the queue's messages, outside of any session.
//!
//! The recipients of a message that are due together are asked about, or told of, in one instance of each plugin, which is made when
//! there is somebody to ask about and dropped when all are done with. Budgets, breaker and failure policy are those of the other hooks.
//!
//! What a guest finds of `session` is empty, and notes last as long as the instance. `transaction` shows id, sender and recipients as
//! they are queued; there is no content, and edits are thrown away. All else is as in a session.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hooks::{
    BoxFuture, DeliveryHooks, OutcomeReport, RouteChoice, RouteRequest, Stage, Stages, TransactionFacts,
    Verdict, Way,
};
use model::{Domain, Mailbox};

use crate::PluginHost;
use crate::call::{Account, Call, Kept, Meter};
use crate::convert::one_line;
use crate::failure::Failure;
use crate::host::Shared;
use crate::idle;
use crate::instance::{Live, NextHopChoice};
use crate::overlay::Overlay;
use crate::places::Tenancy;
use crate::plugin::{Plugin, PluginSet};
use crate::session::{GiveUp, count_failure};
use crate::state::Notes;
use crate::ticker::CpuMeter;

impl DeliveryHooks for PluginHost {
    fn delivery_stages(&self) -> Stages {
        self.shared.set.load().stages
    }

    fn route<'a>(
        &'a self,
        message: &'a Arc<TransactionFacts>,
        requests: &'a [RouteRequest<'a>],
    ) -> BoxFuture<'a, Vec<Option<RouteChoice>>> {
        let set = self.shared.set.load_full();
        if !set.has(Stage::Route) {
            return Box::pin(std::future::ready(vec![None; requests.len()]));
        }
        Box::pin(Question::new(&self.shared, message, Stage::Route).route(set, requests))
    }

    fn outcome<'a>(
        &'a self,
        message: &'a Arc<TransactionFacts>,
        reports: &'a [OutcomeReport],
    ) -> BoxFuture<'a, ()> {
        let set = self.shared.set.load_full();
        if !set.has(Stage::Outcome) {
            return Box::pin(std::future::ready(()));
        }
        Box::pin(Question::new(&self.shared, message, Stage::Outcome).tell(set, reports))
    }
}

/// What is asked or told about one message.
struct Question<'a> {
    host: &'a Arc<Shared>,
    message: &'a Arc<TransactionFacts>,
    stage: Stage,
    notes: Notes,
    meter: Meter,
}

impl<'a> Question<'a> {
    fn new(host: &'a Arc<Shared>, message: &'a Arc<TransactionFacts>, stage: Stage) -> Self {
        let meter = Arc::new(CpuMeter::new(host.ticker.clone()));
        Self { host, message, stage, notes: Notes::default(), meter }
    }

    /// Asks the plugins in order about those whom no earlier one had an opinion on.
    async fn route(self, set: Arc<PluginSet>, requests: &[RouteRequest<'_>]) -> Vec<Option<RouteChoice>> {
        if let Some((verdict, by)) = set.verdict_of_absent(Stage::Route) {
            return vec![instead(by, Some(verdict)); requests.len()];
        }
        let mut choices = vec![None; requests.len()];
        for plugin in set.plugins.iter().filter(|plugin| plugin.compiled.stages.contains(Stage::Route)) {
            let mut kept = Held::new(self.host);
            for (request, choice) in requests.iter().zip(&mut choices) {
                if choice.is_none() {
                    *choice = self.route_by(plugin, &mut kept, request).await;
                }
            }
        }
        choices
    }

    /// One plugin's choice, or its failure policy's.
    async fn route_by(
        &self,
        plugin: &Arc<Plugin>,
        kept: &mut Held,
        request: &RouteRequest<'_>,
    ) -> Option<RouteChoice> {
        let began = clock::now();
        if !plugin.breaker.allows(began) {
            plugin.stats.not_asked();
            return instead(plugin.name.clone(), plugin.failure_verdict());
        }
        let trial = GiveUp::of(plugin);
        let outcome = self
            .call(plugin, kept, began, async |live| live.route(request.recipient, request.attempt).await)
            .await;
        trial.defuse();
        let took = clock::now().saturating_duration_since(began);
        let outcome =
            outcome.and_then(|(choice, memory)| Ok((choice.map(way).transpose()?.flatten(), memory)));
        match outcome {
            Ok((way, memory)) => {
                plugin.breaker.succeeded();
                let verdict = if way.is_some() { Verdict::Accept } else { Verdict::Proceed };
                plugin.stats.answered(&verdict, took, memory);
                let choice = way.map(|way| RouteChoice { by: plugin.name.clone(), way });
                if let Some(choice) = &choice {
                    let way = &choice.way;
                    tracing::info!(plugin = %plugin.name, hook = "route", queue_id = %self.message.id, rcpt = %request.recipient, ?way, "plugin chose a way");
                }
                choice
            }
            Err(failure) => {
                self.failed(plugin, request.recipient, &failure, took);
                instead(plugin.name.clone(), plugin.verdict_for(&failure))
            }
        }
    }

    /// Tells every plugin that wants to hear, in order.
    async fn tell(self, set: Arc<PluginSet>, reports: &[OutcomeReport]) {
        for plugin in set.plugins.iter().filter(|plugin| plugin.compiled.stages.contains(Stage::Outcome)) {
            let mut kept = Held::new(self.host);
            for report in reports {
                self.tell_one(plugin, &mut kept, report).await;
            }
        }
    }

    /// Tells one plugin of one recipient. Nobody waits for it, and nothing comes of it when it fails but a line in the log.
    async fn tell_one(&self, plugin: &Arc<Plugin>, kept: &mut Held, report: &OutcomeReport) {
        let began = clock::now();
        if !plugin.breaker.allows(began) {
            return plugin.stats.not_asked();
        }
        let trial = GiveUp::of(plugin);
        let id = self.message.id;
        let told = self.call(plugin, kept, began, async |live| live.outcome(id, report).await).await;
        trial.defuse();
        let took = clock::now().saturating_duration_since(began);
        match told {
            Ok(((), memory)) => {
                plugin.breaker.succeeded();
                plugin.stats.answered(&Verdict::Proceed, took, memory);
            }
            Err(failure) => self.failed(plugin, &report.recipient, &failure, took),
        }
    }

    fn failed(&self, plugin: &Plugin, rcpt: &Mailbox, failure: &Failure, took: Duration) {
        plugin.stats.failed(failure, took);
        tracing::error!(
            plugin = %plugin.name,
            hook = self.stage.name(),
            generation = plugin.generation,
            queue_id = %self.message.id,
            %rcpt,
            reason = %failure,
            backtrace = failure.backtrace(),
            "plugin failed"
        );
        count_failure(plugin, failure);
    }

    /// Calls the hook in this message's instance, which is made when there is none and dropped when it fails.
    async fn call<T>(
        &self,
        plugin: &Arc<Plugin>,
        kept: &mut Held,
        began: Instant,
        hook: impl AsyncFnOnce(&mut Live) -> wasmtime::Result<T>,
    ) -> Result<(T, u64), Failure> {
        let call = Call { plugin, host: self.host, notes: &self.notes, meter: &self.meter, began };
        let keeps = Kept { live: &mut kept.live, account: &mut kept.account, tenancy: &mut kept.tenancy };
        let outcome = call
            .run(keeps, async |live| {
                let state = live.store.data_mut();
                state.hook = self.stage.name();
                state.session = None;
                state.transaction = Some(self.message.clone());
                state.overlay = Overlay::default();
                hook(live).await
            })
            .await;
        outcome.map(|(answer, _, memory)| (answer, memory))
    }
}

/// What one message has of one plugin.
struct Held {
    live: Option<Box<Live>>,
    account: Account,
    tenancy: Tenancy,
}

impl Held {
    fn new(host: &Shared) -> Self {
        Self { live: None, account: Account::default(), tenancy: host.places.tenancy(1) }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(live) = self.live.take() {
            idle::give_back(live);
        }
    }
}

/// What the failure policy says: nothing, hold, or put off.
fn instead(by: Arc<str>, verdict: Option<Verdict>) -> Option<RouteChoice> {
    let way = match verdict? {
        Verdict::Quarantine(reason) => Way::Hold(reason),
        Verdict::TempFail(reply) => Way::Defer(reply),
        _ => return None,
    };
    Some(RouteChoice { by, way })
}

/// A guest's choice, checked; nothing when it chose nothing. To hold comes before to wait, and that before another way.
fn way(choice: NextHopChoice) -> Result<Option<Way>, Failure> {
    if let Some(reason) = choice.hold {
        return Ok(Some(Way::Hold(one_line(&reason))));
    }
    if let Some(delay_s) = choice.delay_s.filter(|delay_s| *delay_s > 0) {
        return Ok(Some(Way::Delay(Duration::from_secs(delay_s.into()))));
    }
    let no_source = |text: &str| Failure::Choice(format!("\"{}\" is no address", one_line(text)));
    let source = choice.source.map(|text| text.parse::<IpAddr>().map_err(|_| no_source(&text)));
    let (source, next_hop) = (source.transpose()?, choice.next_hop);
    if let Some(text) = next_hop.as_deref().filter(|text| !is_next_hop(text)) {
        let why = format!("\"{}\" is no domain and no host:port", one_line(text));
        return Err(Failure::Choice(why));
    }
    Ok((source.is_some() || next_hop.is_some()).then_some(Way::Take { next_hop, source }))
}

/// `domain`, `host:port`, `[2001:db8::1]:port`.
fn is_next_hop(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':').filter(|_| !text.ends_with(']')) else {
        return Domain::parse(text).is_ok();
    };
    let inner = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let is_host = match inner {
        Some(inner) => inner.parse::<IpAddr>().is_ok(),
        None => Domain::parse(host).is_ok(),
    };
    is_host && port.parse::<u16>().is_ok_and(|port| port != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(next_hop: Option<&str>, source: Option<&str>) -> NextHopChoice {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        NextHopChoice { next_hop: owned(next_hop), hold: None, delay_s: None, source: owned(source) }
    }

    #[test]
    fn a_choice_is_checked() {
        for next_hop in ["example.org", "mail.example.org:25", "192.0.2.1:25", "[2001:db8::1]:25"] {
            let taken = way(choice(Some(next_hop), Some("192.0.2.7"))).unwrap();
            let source = Some("192.0.2.7".parse().unwrap());
            assert_eq!(taken, Some(Way::Take { next_hop: Some(next_hop.to_owned()), source }), "{next_hop}");
        }
        for next_hop in ["", "a b", "example.org:", "example.org:0", "[::1", ":25", "a\r\nb"] {
            assert!(way(choice(Some(next_hop), None)).is_err(), "{next_hop}");
        }
        assert!(way(choice(None, Some("eth0"))).is_err());
        assert_eq!(way(choice(None, None)).unwrap(), None);
    }

    #[test]
    fn to_hold_comes_before_to_wait_and_that_before_another_way() {
        let all = || NextHopChoice { delay_s: Some(5), ..choice(Some("example.org"), None) };
        assert_eq!(way(all()).unwrap(), Some(Way::Delay(Duration::from_secs(5))));
        let held = way(NextHopChoice { hold: Some("look\nat it".to_owned()), ..all() });
        assert_eq!(held.unwrap(), Some(Way::Hold("look at it".to_owned())));
    }
}
