//! Runs cases: each in a host of its own, with a store, a clock and a network of its own. The file is compiled once.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use plugin_host::{Limits, LoadError, Options, PluginHost, PluginOptions, Services};
use tempfile::TempDir;

use super::double::{Clock, Journal, Web};
use super::mail::Queue;
use super::report::{CaseReport, Report};
use super::script::Script;
use super::suite::{Case, Suite};
use crate::commands::BadInput;
use crate::commands::check::Scratch;

/// CPU time of init and of the start of an engine, which a busy machine makes long; that of hooks is the server's.
const CPU_FOR_INIT: Duration = Duration::from_secs(60);
/// Instances at once: a session has one.
const INSTANCES: u32 = 16;

/// A plugin's file, where hosts find it.
pub(super) struct Lab {
    pub(super) name: String,
    folder: TempDir,
    runtime: tokio::runtime::Runtime,
}

/// A host with the plugin loaded, and what was made up for it.
pub(super) struct Bench {
    pub(super) host: PluginHost,
    pub(super) clock: Clock,
    pub(super) web: Arc<Web>,
    pub(super) queue: Queue,
    _scratch: Scratch,
}

impl Lab {
    /// Takes the file as it is now.
    pub(super) fn open(file: &Path) -> Result<Self> {
        let stem = file.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        let name = stem.ok_or_else(|| BadInput(format!("{} is no file", file.display())))?;
        let folder = tempfile::Builder::new().prefix("waxwing-").tempdir()?;
        let plugins = folder.path().join("plugins");
        std::fs::create_dir(&plugins)?;
        std::fs::copy(file, plugins.join(format!("{name}.wasm")))
            .map_err(|error| BadInput(format!("{}: {error}", file.display())))?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        Ok(Self { name, folder, runtime })
    }

    /// Runs every case of a suite.
    pub(super) fn run(&self, suite: &Suite, journal: &Journal) -> Result<Report> {
        let cases = suite.cases.iter().map(|case| self.case(suite, case, journal));
        Ok(Report {
            plugin: self.name.clone(),
            suite: suite.file.clone(),
            cases: cases.collect::<Result<_>>()?,
        })
    }

    fn case(&self, suite: &Suite, case: &Case, journal: &Journal) -> Result<CaseReport> {
        let began = clock::now();
        journal.take();
        let report = match (self.open_host(case)?, &case.refused) {
            (Err(error), Some(wanted)) if error.to_string().contains(wanted.as_str()) => {
                CaseReport::refused(case, &error)
            }
            (Err(error), Some(wanted)) => {
                let why = format!("the file was refused with \"{error}\", not \"{wanted}\"");
                CaseReport::broken(case, why)
            }
            (Err(error), None) => CaseReport::broken(case, format!("the file is not loaded: {error}")),
            (Ok(_), Some(wanted)) => CaseReport::broken(
                case,
                format!("the file was loaded; \"{wanted}\" was to be the reason to refuse it"),
            ),
            (Ok(bench), None) => self.runtime.block_on(Script::new(&bench, journal).run(&suite.file, case)),
        };
        Ok(report.after(clock::now().duration_since(began)))
    }

    /// A host with this case's settings, grants and services.
    pub(super) fn open_host(&self, case: &Case) -> Result<Result<Bench, LoadError>> {
        let scratch = Scratch::new()?;
        let (kv, clock) = (scratch.key_value(), Clock::at(case.now));
        for (key, value) in &case.kv {
            kv.set(&self.name, key, value.as_bytes(), None, case.now)
                .with_context(|| format!("kv: {key}"))?;
        }
        let (web, queue) = (Arc::new(Web::new(case.http.clone())), Queue::default());
        let services = Services {
            kv: Some(kv),
            dns: Some(case.dns.clone()),
            http: Some(web.clone()),
            scanner: Some(Arc::new(case.clamd.clone())),
            submitter: Some(Arc::new(queue.clone())),
            wall_clock: clock.reader(),
        };
        let plugin = PluginOptions {
            on_failure: case.on_failure,
            grants: case.grants.clone(),
            settings: case.settings.clone(),
            limits: case.own_limits.clone(),
            ..PluginOptions::default()
        };
        let options = Options {
            dir: self.below("plugins"),
            cache_dir: self.below("compiled"),
            plugins: [(self.name.clone(), plugin)].into(),
            limits: Limits {
                cpu_for_init: CPU_FOR_INIT,
                wall_for_init: 2 * CPU_FOR_INIT,
                instances: INSTANCES,
                ..case.limits.clone()
            },
            ..Options::default()
        };
        self.runtime.block_on(async {
            let host = PluginHost::open(options, services)?;
            let refused = host.load_all().await.into_iter().find_map(|report| report.outcome.err());
            Ok(match refused {
                Some(error) => Err(error),
                None => Ok(Bench { host, clock, web, queue, _scratch: scratch }),
            })
        })
    }

    pub(super) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    fn below(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}
