//! Why a file is no plugin, and why a hook failed.

use std::path::PathBuf;
use std::time::Duration;

use wasmtime::{PoolConcurrencyLimitError, Trap};

use crate::backtrace;
use crate::ticker::OutOfCpu;

/// Why a file is not (or no longer) a plugin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    #[error("cannot be read: {0}")]
    Read(String),
    #[error("is no regular file")]
    NoFile,
    #[error("is a link that leads out of the plugins' directory, to {}", .0.display())]
    Outside(PathBuf),
    #[error("changes while it is read; it is tried again")]
    Changing,
    #[error("its SHA-256 is {is}, and the configuration pins {pinned}")]
    Pinned { is: String, pinned: String },
    #[error("{0}")]
    Signature(String),
    #[error("it was rolled back to {hash}, which is not to be had: {why}")]
    NotKept { hash: String, why: String },
    #[error("there is no {name}.wasm in {}", dir.display())]
    Missing { name: String, dir: PathBuf },
    #[error("another file took its place while it was loaded")]
    Superseded,
    #[error("is larger than the limit of {0} octets")]
    TooLarge(u64),
    #[error("is no WebAssembly file")]
    NotWasm,
    #[error("is a core module, not a component; `wasm-tools component new` makes one of it")]
    CoreModule,
    #[error("is no valid component: {0}")]
    Invalid(String),
    #[error("imports what no plugin is given: {0}")]
    Import(String),
    #[error("is made for {wanted}, which this server does not know; it offers {offered}")]
    Version { wanted: String, offered: String },
    #[error("exports a hook that this server does not have: {0}")]
    Hook(String),
    #[error("exports a hook that is not as the interface says: {0}")]
    Export(String),
    #[error("exports no hook of waxwing:mail@0.1.0")]
    NoHook,
    #[error("is disabled by {0}")]
    Disabled(&'static str),
    #[error("its name may have letters, digits, '-', '_' and '.', 64 at most")]
    Name,
    #[error("its init refused: {0}")]
    Init(String),
    #[error("its init failed: {0}")]
    InitFailed(String),
    #[error("its limit memory of {limit} is above the {ceiling} that the server began with")]
    MemoryCeiling { limit: u64, ceiling: u64 },
}

impl LoadError {
    /// Whether the same file may fare better another time: what kept it from being loaded may pass.
    pub(crate) fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::Read(_) | Self::Changing | Self::Init(_) | Self::InitFailed(_) | Self::NotKept { .. }
        )
    }
}

/// Why a hook gave no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("out of CPU time, more than {0:?}")]
    Cpu(Duration),
    #[error("out of CPU time in this session, more than {0:?} over all its hooks")]
    SessionCpu(Duration),
    #[error("out of time, more than {0:?} with all its waiting")]
    Wall(Duration),
    #[error("no free instance within {0:?}")]
    Busy(Duration),
    #[error("out of memory, more than {limit} octets: {reason}")]
    Memory { limit: u64, reason: String, backtrace: String },
    #[error("trap: {reason}")]
    Trap { reason: String, backtrace: String },
    #[error("the edited message could not be put together: {0}")]
    Edit(String),
    #[error("its choice cannot be taken: {0}")]
    Choice(String),
    #[error("an earlier question to it was abandoned")]
    Abandoned,
}

/// The pool has no room at this moment.
pub(crate) fn is_pool_full(error: &wasmtime::Error) -> bool {
    error.is::<PoolConcurrencyLimitError>()
}

impl Failure {
    /// Sorts what came back from a guest.
    pub(crate) fn from_guest(error: &wasmtime::Error, cpu: Duration, memory: Option<u64>) -> Self {
        if error.is::<OutOfCpu>() {
            return Self::Cpu(cpu);
        }
        let backtrace = backtrace::of(error);
        let reason = match error.downcast_ref::<Trap>() {
            Some(trap) => trap.to_string(),
            None => error.root_cause().to_string(),
        };
        match memory {
            Some(limit) => Self::Memory { limit, reason, backtrace },
            None => Self::Trap { reason, backtrace },
        }
    }

    /// The names of all kinds, in metrics and lists.
    pub(crate) const KINDS: [&str; 9] =
        ["trap", "memory", "cpu", "session-cpu", "wall", "busy", "edit", "choice", "abandoned"];

    /// Which of [`Self::KINDS`] it is.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Trap { .. } => "trap",
            Self::Memory { .. } => "memory",
            Self::Cpu(_) => "cpu",
            Self::SessionCpu(_) => "session-cpu",
            Self::Wall(_) => "wall",
            Self::Busy(_) => "busy",
            Self::Edit(_) => "edit",
            Self::Choice(_) => "choice",
            Self::Abandoned => "abandoned",
        }
    }

    /// The guest's calls, innermost first; empty when there are none.
    pub(crate) fn backtrace(&self) -> &str {
        match self {
            Self::Memory { backtrace, .. } | Self::Trap { backtrace, .. } => backtrace,
            _ => "",
        }
    }

    /// Whether the plugin is to blame, so that its breaker counts it.
    pub(crate) fn counts(&self) -> bool {
        !matches!(self, Self::Abandoned | Self::Busy(_) | Self::SessionCpu(_))
    }
}
