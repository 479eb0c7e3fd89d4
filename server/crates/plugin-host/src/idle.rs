//! Instances that wait for their next use, of plugins whose isolation is `reuse`.
//!
//! Such an instance serves one session after the other, or one message in delivery, and never two at once. What its guest keeps in
//! variables is there for the next: that is the danger, and the operator's explicit choice. It is dropped after so many uses, when its
//! hook fails, when its memory is half of what it may have, and when another generation takes its plugin's place.

use parking_lot::Mutex;

use crate::Isolation;
use crate::instance::Live;
use crate::plugin::Plugin;

/// The waiting instances of one generation; nothing once it was replaced.
pub(crate) struct Idle(Mutex<Option<Vec<Live>>>);

impl Default for Idle {
    fn default() -> Self {
        Self(Mutex::new(Some(Vec::new())))
    }
}

impl Idle {
    /// The one that came last: its memory is most likely still in the caches.
    pub(crate) fn take(&self) -> Option<Box<Live>> {
        self.0.lock().as_mut()?.pop().map(Box::new)
    }

    /// Drops one, so that somebody else may have its place. Says whether there was one.
    pub(crate) fn evict(&self) -> bool {
        self.take().is_some()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.lock().as_ref().map_or(0, Vec::len)
    }

    /// Drops them all, and those that come back from now on. The instances hold their plugin, so this ends a circle.
    pub(crate) fn retire(&self) {
        drop(self.0.lock().take());
    }
}

/// Takes an instance back after a use that ended well.
pub(crate) fn give_back(mut live: Box<Live>) {
    let plugin = live.store.data().plugin.clone();
    let Isolation::Reuse { max_uses, max_idle } = plugin.options.isolation else { return };
    live.uses += 1;
    if live.uses >= max_uses.get() || is_large(&live, &plugin) || live.store.data().host.places.is_full() {
        return;
    }
    if let Some(waiting) = plugin.idle.0.lock().as_mut()
        && waiting.len() < max_idle as usize
    {
        waiting.push(*live);
    }
}

/// A guest that leaks must not grow until a hook fails.
fn is_large(live: &Live, plugin: &Plugin) -> bool {
    live.store.data().memory.used > plugin.limits.memory_octets / 2
}
