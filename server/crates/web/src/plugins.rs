//! `/v1/plugins`: what `waxwing plugin list` shows, and its orders.

use std::sync::Arc;

use admin::{PluginLoaded, Request};
use axum::Json;
use axum::extract::State;
use serde_json::Value;

use crate::access::{Changing, Reading};
use crate::problem::Problem;
use crate::router::Two;
use crate::site::Site;

type Answer = Result<Json<Value>, Problem>;

/// Plugins and milters in the order in which they are asked, with latencies, verdicts and breakers; those that are disabled, and
/// files that were refused.
#[utoipa::path(get, path = "/v1/plugins", tag = "plugins", responses((status = 200, body = Object)))]
pub(crate) async fn list(_: Reading, State(site): State<Arc<Site>>) -> Answer {
    site.ask(Request::PluginList).await
}

/// Reads all plugins' files again.
#[utoipa::path(post, path = "/v1/plugins/reload", tag = "plugins", responses((status = 200, body = Vec<PluginLoaded>)))]
pub(crate) async fn reload_all(by: Changing, State(site): State<Arc<Site>>) -> Answer {
    by.log("reload", "all plugins");
    site.ask(Request::PluginReload { name: None }).await
}

/// Changes one plugin: `reload` reads its file again, `rollback` goes back to what ran before, `disable` takes it out until `enable`.
#[utoipa::path(post, path = "/v1/plugins/{name}/{order}", tag = "plugins",
    params(("name" = String, Path), ("order" = String, Path)),
    responses((status = 200, body = Object), (status = 404, body = Problem)))]
pub(crate) async fn order(by: Changing, State(site): State<Arc<Site>>, Two(name, order): Two) -> Answer {
    let request = match order.as_str() {
        "reload" => Request::PluginReload { name: Some(name.clone()) },
        "rollback" => Request::PluginRollback { name: name.clone(), to: None },
        "disable" => Request::PluginDisable { name: name.clone() },
        "enable" => Request::PluginEnable { name: name.clone() },
        _ => return Err(Problem::not_found("what can be done is reload, rollback, disable and enable")),
    };
    by.log(&order, &name);
    site.ask(request).await
}
