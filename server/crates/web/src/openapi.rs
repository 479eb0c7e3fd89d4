//! `/openapi.json`: what can be asked, for programs that read such a description.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use utoipa::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};

use crate::site::Site;
use crate::{access, destinations, history, messages, outcomes, plugins, preview, queue, sessions};

#[derive(OpenApi)]
#[openapi(
    info(title = "Waxwing", description = "The postmaster's API of a mail server, and the way by which programs send."),
    tags(
        (name = "server", description = "How the server is, and what has happened lately."),
        (name = "queue", description = "What waits and what is held."),
        (name = "plugins", description = "Whoever is asked about mail."),
        (name = "messages", description = "Sending, and what became of it."),
    ),
    paths(
        access::own_token, queue::status, queue::list, queue::counts, queue::order_all, queue::show, queue::content, queue::order, queue::reload,
        preview::preview, preview::quarantine, destinations::destinations, sessions::sessions, plugins::list,
        plugins::reload_all, plugins::order, outcomes::outcomes, messages::submit, history::message, document,
    )
)]
struct Description;

/// The description in OpenAPI 3.1.
pub fn openapi() -> utoipa::openapi::OpenApi {
    let mut description = Description::openapi();
    let token = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
    description.components.get_or_insert_default().add_security_scheme("token", token);
    description.security = Some(vec![SecurityRequirement::new("token", Vec::<String>::new())]);
    description
}

/// This description.
#[utoipa::path(get, path = "/openapi.json", tag = "server", responses((status = 200, body = Object)), security(()))]
pub(crate) async fn document(State(_): State<Arc<Site>>) -> Json<utoipa::openapi::OpenApi> {
    Json(openapi())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::router::routes;

    #[test]
    fn every_route_is_described_and_nothing_else() {
        let described = serde_json::to_value(openapi()).unwrap();
        let paths = described["paths"].as_object().unwrap();
        let of = |(path, item): (&String, &serde_json::Value)| {
            let methods =
                item.as_object().unwrap().keys().map(|method| format!("{} {path}", method.to_uppercase()));
            methods.collect::<Vec<_>>()
        };
        let described: BTreeSet<String> = paths.iter().flat_map(of).collect();
        let served: BTreeSet<String> =
            routes().iter().map(|(method, path, _)| format!("{method} {path}")).collect();
        assert_eq!(served, described);
    }

    #[test]
    fn every_schema_that_is_named_is_there() {
        let text = serde_json::to_string(&openapi()).unwrap();
        let described: serde_json::Value = serde_json::from_str(&text).unwrap();
        let known = described["components"]["schemas"].as_object().unwrap();
        for named in text.split("\"#/components/schemas/").skip(1) {
            let name = named.split('"').next().unwrap();
            assert!(known.contains_key(name), "{name}");
        }
    }
}
