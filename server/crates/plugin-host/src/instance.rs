//! A plugin's instance in one session, or for one message in delivery: its store and the functions of its hooks.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hooks::{OutcomeKind, OutcomeReport, Request, Stage, Verdict};
use model::{Mailbox, QueueId};
use wasmtime::component::{ComponentNamedList, ComponentType, Instance, Lift, Lower, TypedFunc};
use wasmtime::{Store, UpdateDeadline};

use crate::bindings::waxwing::mail::types as wit;
use crate::call::Meter;
use crate::convert::{mailbox_out, params_out, sender_out, verdict_in};
use crate::failure::is_pool_full;
use crate::host::Shared;
use crate::plugin::Plugin;
use crate::state::{Notes, State};

/// How long to wait before the pool is tried again.
const POOL_RETRY: Duration = Duration::from_millis(5);

type Plain = TypedFunc<(), (wit::Verdict,)>;
type OneText = TypedFunc<(String,), (wit::Verdict,)>;
type TwoTexts = TypedFunc<(String, String), (wit::Verdict,)>;
type Sender = TypedFunc<(Option<wit::Mailbox>, Vec<wit::Param>), (wit::Verdict,)>;
type Recipient = TypedFunc<(wit::Mailbox, Vec<wit::Param>), (wit::Verdict,)>;
type Report = TypedFunc<(), ()>;
type Outcome = TypedFunc<(String, wit::Mailbox, Kind, Option<String>, String, u32), ()>;
type Route = TypedFunc<(wit::Mailbox, u32), (Option<NextHopChoice>,)>;

/// `on-route.next-hop-choice`.
#[derive(Debug, ComponentType, Lift)]
#[component(record)]
pub(crate) struct NextHopChoice {
    #[component(name = "next-hop")]
    pub(crate) next_hop: Option<String>,
    pub(crate) hold: Option<String>,
    #[component(name = "delay-s")]
    pub(crate) delay_s: Option<u32>,
    pub(crate) source: Option<String>,
}

/// `on-outcome.kind`.
#[derive(Debug, Clone, Copy, ComponentType, Lower)]
#[component(enum)]
#[repr(u8)]
enum Kind {
    #[component(name = "delivered")]
    Delivered,
    #[component(name = "deferred")]
    Deferred,
    #[component(name = "bounced")]
    Bounced,
    #[component(name = "expired")]
    Expired,
}

impl From<OutcomeKind> for Kind {
    fn from(kind: OutcomeKind) -> Self {
        match kind {
            OutcomeKind::Delivered => Self::Delivered,
            OutcomeKind::Deferred => Self::Deferred,
            OutcomeKind::Bounced => Self::Bounced,
            OutcomeKind::Expired => Self::Expired,
        }
    }
}

/// The hooks' functions, each looked up when it is first called.
#[derive(Default)]
struct Functions {
    connect: Option<Plain>,
    ehlo: Option<OneText>,
    auth: Option<TwoTexts>,
    mail: Option<Sender>,
    rcpt: Option<Recipient>,
    data: Option<Plain>,
    message: Option<Plain>,
    disconnect: Option<Report>,
    route: Option<Route>,
    outcome: Option<Outcome>,
}

/// A live instance. The store goes before it is counted out, so that its slot is free by then.
pub(crate) struct Live {
    pub(crate) store: Store<State>,
    instance: Instance,
    functions: Functions,
    /// Sessions that it has served.
    pub(crate) uses: u32,
    /// The transaction that it serves, where it serves but one.
    pub(crate) transaction: Option<QueueId>,
    _alive: Alive,
}

/// Counts an instance as long as it is alive.
struct Alive(Arc<Shared>);

impl Alive {
    fn count(host: &Arc<Shared>) -> Self {
        host.alive.fetch_add(1, Ordering::Relaxed);
        Self(host.clone())
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.alive.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The function of a hook, looked up once in this instance.
macro_rules! function {
    ($live:ident, $field:ident, $stage:expr) => {{
        match $live.functions.$field {
            Some(function) => function,
            None => {
                let function = $live.find($stage)?;
                $live.functions.$field = Some(function);
                function
            }
        }
    }};
}

impl Live {
    /// Makes an instance, for which there is a place; waits while the pool has no room for one.
    pub(crate) async fn make(
        plugin: &Arc<Plugin>,
        host: &Arc<Shared>,
        notes: &Notes,
        meter: &Meter,
        waiting: &std::sync::atomic::AtomicBool,
    ) -> wasmtime::Result<Self> {
        waiting.store(true, Ordering::Relaxed);
        // Those that only wait for a use make room.
        while host.alive() >= u64::from(host.places.limit()) && host.evict_idle() {}
        loop {
            let mut store = new_store(plugin, host, notes, meter);
            match plugin.compiled.pre.instantiate_async(&mut store).await {
                Ok(instance) => {
                    waiting.store(false, Ordering::Relaxed);
                    let functions = Functions::default();
                    let alive = Alive::count(host);
                    return Ok(Self {
                        store,
                        instance,
                        functions,
                        uses: 0,
                        transaction: None,
                        _alive: alive,
                    });
                }
                Err(error) if is_pool_full(&error) => {}
                Err(error) => return Err(error),
            }
            drop(store);
            if host.evict_idle() {
                continue;
            }
            tokio::time::sleep(POOL_RETRY).await;
        }
    }

    /// Begins to serve another session.
    pub(crate) fn serve(&mut self, notes: &Notes, meter: &Meter) {
        let state = self.store.data_mut();
        state.notes = notes.clone();
        state.meter = meter.clone();
    }

    /// Calls the hook that the request belongs to; the store's state was prepared by the caller.
    pub(crate) async fn call(&mut self, request: &Request<'_>) -> wasmtime::Result<Verdict> {
        self.store.set_epoch_deadline(1);
        let live = self;
        let (verdict,) = match *request {
            Request::Connect => {
                function!(live, connect, Stage::Connect).call_async(&mut live.store, ()).await?
            }
            Request::Data => function!(live, data, Stage::Data).call_async(&mut live.store, ()).await?,
            Request::Message => {
                function!(live, message, Stage::Message).call_async(&mut live.store, ()).await?
            }
            Request::Ehlo { name } => {
                let function = function!(live, ehlo, Stage::Ehlo);
                function.call_async(&mut live.store, (name.to_owned(),)).await?
            }
            Request::Auth { mechanism, user } => {
                let function = function!(live, auth, Stage::Auth);
                function.call_async(&mut live.store, (mechanism.to_owned(), user.to_owned())).await?
            }
            Request::Mail { sender, params } => {
                let function = function!(live, mail, Stage::Mail);
                function.call_async(&mut live.store, (sender_out(sender), params_out(params))).await?
            }
            Request::Rcpt { recipient, params } => {
                let function = function!(live, rcpt, Stage::Rcpt);
                function.call_async(&mut live.store, (mailbox_out(recipient), params_out(params))).await?
            }
            Request::Disconnect => {
                function!(live, disconnect, Stage::Disconnect).call_async(&mut live.store, ()).await?;
                (wit::Verdict::Proceed,)
            }
        };
        Ok(verdict_in(verdict))
    }

    /// Calls `on-route.route`; the store's state was prepared by the caller.
    pub(crate) async fn route(
        &mut self,
        recipient: &Mailbox,
        attempt: u32,
    ) -> wasmtime::Result<Option<NextHopChoice>> {
        self.store.set_epoch_deadline(1);
        let live = self;
        let function = function!(live, route, Stage::Route);
        Ok(function.call_async(&mut live.store, (mailbox_out(recipient), attempt)).await?.0)
    }

    /// Calls `on-outcome.outcome`; the store's state was prepared by the caller.
    pub(crate) async fn outcome(
        &mut self,
        queue_id: QueueId,
        report: &OutcomeReport,
    ) -> wasmtime::Result<()> {
        self.store.set_epoch_deadline(1);
        let live = self;
        let function = function!(live, outcome, Stage::Outcome);
        let OutcomeReport { recipient, kind, host, reply, attempt } = report;
        let told = (
            queue_id.to_string(),
            mailbox_out(recipient),
            Kind::from(*kind),
            host.clone(),
            reply.clone(),
            *attempt,
        );
        function.call_async(&mut live.store, told).await
    }

    /// Calls `lifecycle.init`, when there is one.
    pub(crate) async fn init(&mut self) -> wasmtime::Result<Result<(), String>> {
        let Some(index) = self.store.data().plugin.compiled.exports.init else { return Ok(Ok(())) };
        self.store.set_epoch_deadline(1);
        let function = self.instance.get_typed_func::<(), (Result<(), String>,)>(&mut self.store, &index)?;
        Ok(function.call_async(&mut self.store, ()).await?.0)
    }

    /// Looks up every exported hook, so that a wrong type shows when the file is loaded.
    pub(crate) fn check_types(&mut self) -> wasmtime::Result<()> {
        let stages = self.store.data().plugin.compiled.stages;
        let live = self;
        for stage in stages.iter() {
            match stage {
                Stage::Connect => _ = function!(live, connect, stage),
                Stage::Ehlo => _ = function!(live, ehlo, stage),
                Stage::Auth => _ = function!(live, auth, stage),
                Stage::Mail => _ = function!(live, mail, stage),
                Stage::Rcpt => _ = function!(live, rcpt, stage),
                Stage::Data => _ = function!(live, data, stage),
                Stage::Message => _ = function!(live, message, stage),
                Stage::Disconnect => _ = function!(live, disconnect, stage),
                Stage::Route => _ = function!(live, route, stage),
                Stage::Outcome => _ = function!(live, outcome, stage),
            }
        }
        Ok(())
    }

    fn find<Params, Results>(&mut self, stage: Stage) -> wasmtime::Result<TypedFunc<Params, Results>>
    where
        Params: ComponentNamedList + Lower,
        Results: ComponentNamedList + Lift,
    {
        let index = self.store.data().plugin.compiled.exports.hook(stage).copied();
        let index = index.ok_or_else(|| wasmtime::Error::msg(format!("no hook at {stage}")))?;
        self.instance.get_typed_func(&mut self.store, index)
    }
}

fn new_store(plugin: &Arc<Plugin>, host: &Arc<Shared>, notes: &Notes, meter: &Meter) -> Store<State> {
    let mut store =
        Store::new(&host.engine, State::new(plugin.clone(), host.clone(), notes.clone(), meter.clone()));
    store.limiter(|state| &mut state.memory);
    // Lists that name one text a million times would become a million texts here.
    store.set_hostcall_fuel(plugin.limits.call_octets);
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(|context| {
        context.data().meter.slice()?;
        // Others get their turn between slices, however long a guest computes.
        Ok(UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now())))
    });
    store
}
