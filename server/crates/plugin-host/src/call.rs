//! One call of a guest within its budgets: CPU time by the ticker, wall time by a timer.
//!
//! The timer is armed when the call first has to wait: most hooks are over at their first poll and never
//! touch it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::time::Sleep;

use crate::failure::Failure;
use crate::host::Shared;
use crate::instance::Live;
use crate::overlay::Overlay;
use crate::places::Tenancy;
use crate::plugin::Plugin;
use crate::state::{Notes, Spent};
use crate::ticker::{Awake, CpuMeter};

/// The wall time is over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OutOfTime;

/// A future that is given up when it takes longer than its wall time; its polls are metered as CPU time.
pub(crate) struct Budgeted<'a, F> {
    future: Pin<Box<F>>,
    meter: &'a CpuMeter,
    began: Instant,
    wall: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    _awake: Awake,
}

impl<'a, F: Future> Budgeted<'a, F> {
    pub(crate) fn new(future: F, meter: &'a CpuMeter, awake: Awake, began: Instant, wall: Duration) -> Self {
        Self { future: Box::pin(future), meter, began, wall, timer: None, _awake: awake }
    }
}

impl<F: Future> Future for Budgeted<'_, F> {
    type Output = Result<F::Output, OutOfTime>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        this.meter.resume();
        let outcome = this.future.as_mut().poll(cx);
        this.meter.pause();
        if let Poll::Ready(output) = outcome {
            return Poll::Ready(Ok(output));
        }
        let (began, wall) = (this.began, this.wall);
        let timer = this.timer.get_or_insert_with(|| {
            let left = wall.saturating_sub(clock::now().saturating_duration_since(began));
            Box::pin(tokio::time::sleep(left))
        });
        timer.as_mut().poll(cx).map(|()| Err(OutOfTime))
    }
}

/// Keeps the meter alive for the store's callback.
pub(crate) type Meter = Arc<CpuMeter>;

/// What one plugin has used up of the limits that a session has in all, or the deliveries of one message. It outlives the instance.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Account {
    cpu: Duration,
    http_requests: u32,
}

/// Who is called, and on whose behalf.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) plugin: &'a Arc<Plugin>,
    pub(crate) host: &'a Arc<Shared>,
    pub(crate) notes: &'a Notes,
    pub(crate) meter: &'a Meter,
    pub(crate) began: Instant,
}

/// What one session, or one message in delivery, has of one plugin for this call.
pub(crate) struct Kept<'a> {
    pub(crate) live: &'a mut Option<Box<Live>>,
    pub(crate) account: &'a mut Account,
    /// Where a new instance finds a place.
    pub(crate) tenancy: &'a mut Tenancy,
}

impl Call<'_> {
    /// Calls a hook in the instance that was kept, or in another one. The instance is kept when the hook ends well. Says what
    /// came back, what was edited, and the octets of the instance's memory.
    ///
    /// The hook's own part sets the facts that the guest may ask for.
    pub(crate) async fn run<T>(
        &self,
        kept: Kept<'_>,
        hook: impl AsyncFnOnce(&mut Live) -> wasmtime::Result<T>,
    ) -> Result<(T, Overlay, u64), Failure> {
        let limits = &self.plugin.limits;
        let Kept { live: kept, account, tenancy } = kept;
        let mut live = kept.take();
        let left = limits.cpu_per_session.saturating_sub(account.cpu);
        if left.is_zero() {
            return Err(Failure::SessionCpu(limits.cpu_per_session));
        }
        self.meter.begin(limits.cpu_per_hook.min(left));
        let waiting = AtomicBool::new(false);
        let asking = async {
            if live.is_none() {
                live = Some(self.instance(tenancy, &waiting).await?);
            }
            let live = live.as_mut().ok_or_else(|| wasmtime::Error::msg("there is no instance"))?;
            let state = live.store.data_mut();
            state.spent = Spent::within(self.began, limits.wall_per_hook);
            state.outgoing.begin_hook(state.spent.deadline, account.http_requests);
            state.memory.refused = false;
            hook(live).await
        };
        let awake = self.host.ticker.awake();
        let outcome = Budgeted::new(asking, self.meter, awake, self.began, limits.wall_per_hook).await;
        account.cpu += self.meter.used();
        let (mut staged, mut memory, mut refused_memory) = (Overlay::default(), 0, None);
        if let Some(live) = live.as_mut() {
            let state = live.store.data_mut();
            staged = std::mem::take(&mut state.overlay);
            memory = state.memory.used;
            refused_memory = state.memory.refused.then_some(limits.memory_octets);
            account.http_requests = state.outgoing.in_session;
            state.end_hook();
        }
        match outcome {
            Ok(Ok(answer)) => {
                *kept = live;
                Ok((answer, staged, memory))
            }
            Ok(Err(error)) => match Failure::from_guest(&error, limits.cpu_per_hook, refused_memory) {
                Failure::Cpu(_) if left < limits.cpu_per_hook => {
                    Err(Failure::SessionCpu(limits.cpu_per_session))
                }
                failure => Err(failure),
            },
            Err(_) if waiting.load(Ordering::Relaxed) => Err(Failure::Busy(limits.wall_per_hook)),
            Err(_) => Err(Failure::Wall(limits.wall_per_hook)),
        }
    }

    /// An instance that waits for its next use, else a new one.
    async fn instance(&self, tenancy: &mut Tenancy, waiting: &AtomicBool) -> wasmtime::Result<Box<Live>> {
        waiting.store(true, Ordering::Relaxed);
        tenancy.take().await;
        waiting.store(false, Ordering::Relaxed);
        match self.plugin.idle.take() {
            Some(mut live) => {
                live.serve(self.notes, self.meter);
                Ok(live)
            }
            None => Ok(Box::new(Live::make(self.plugin, self.host, self.notes, self.meter, waiting).await?)),
        }
    }
}
