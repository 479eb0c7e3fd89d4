//! One call of a guest within its budgets: CPU time by the ticker, wall time by a timer.
//!
//! The timer is armed when the call first has to wait: most hooks are over at their first poll and never
//! touch it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::time::Sleep;

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
