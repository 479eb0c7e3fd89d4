//! Runs the plugins: WebAssembly components that answer the hooks of a mail session, and of deliveries.
//!
//! A [`PluginHost`] watches a directory. Each `NAME.wasm` in it is the plugin NAME; what the component
//! exports is what it is asked. Every load makes a new *generation*; a session keeps the generations that it
//! began with. A session gives each plugin an instance of its own, made when it is first needed, so that mail
//! of one session cannot leak into another; a plugin can be given less or more ([`Isolation`]).
//!
//! What a plugin edits is staged: its edits are kept when it says proceed or accept, and thrown away when it
//! refuses, traps or overruns. A plugin that fails never skips its hook: its failure policy answers
//! ([`OnFailure`]), and a circuit breaker stops asking one that keeps failing.
//!
//! A guest reaches nothing but the interfaces of `waxwing:mail` and a WASI 0.2 without files, network or
//! environment; a component that imports anything else is refused when it is loaded.
//!
//! Limits: [`Limits`], each with its unit and default.
//! Errors: [`LoadError`] for a file that cannot be a plugin; [`OpenError`] for a host that cannot start.
//! Hooks never fail.
//! Cancel safety: a dropped question abandons the instances that were answering it (see
//! `hooks::SessionHooks::ask`).
//! Known gaps: none.

mod backtrace;
mod bindings;
mod cache;
mod call;
mod component;
mod convert;
mod delivery;
mod disabled;
mod engine;
mod failure;
mod folder;
mod history;
mod host;
mod hourly;
mod idle;
mod instance;
mod limits;
mod loader;
mod metrics;
mod options;
mod outgoing;
mod outline;
mod overlay;
mod pin;
mod places;
mod plugin;
mod reach;
mod services;
mod session;
mod state;
mod status;
mod ticker;
mod trial;
mod versions;
mod watch;

pub use component::Inspection;
pub use failure::LoadError;
pub use history::{Kept, RolledBack};
pub use hooks::OnFailure;
pub use host::{OpenError, PluginHost};
pub use limits::{LimitOverrides, Limits};
pub use loader::LoadReport;
pub use metrics::{Series, SeriesValue};
pub use options::{Grants, Isolation, Options, PluginOptions, Services, WallClock};
pub use pin::{NoPin, NoSigner, Pin, Signer};
pub use reach::{HttpHost, NoHttpHost, everywhere};
pub use status::{DisabledPlugin, Missing, PluginStatus, Refusal, Status};
pub use watch::Watch;
