//! The page's files. They are part of the binary, name nothing of anywhere else, and are all that is answered without a token.

use std::sync::Arc;

use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::IntoResponse;
use axum::routing::{MethodRouter, get};

use crate::site::Site;

/// What a browser may load and do for the page: its own files, and questions to this server. Nothing stands in the page's own text.
pub(crate) const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                                 base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// Path, type and text of each file.
const FILES: [(&str, &str, &str); 14] = [
    ("/", HTML, include_str!("../page/index.html")),
    ("/page/style.css", CSS, include_str!("../page/style.css")),
    ("/page/mark.svg", SVG, include_str!("../page/mark.svg")),
    ("/page/api.js", SCRIPT, include_str!("../page/api.js")),
    ("/page/app.js", SCRIPT, include_str!("../page/app.js")),
    ("/page/dom.js", SCRIPT, include_str!("../page/dom.js")),
    ("/page/message.js", SCRIPT, include_str!("../page/message.js")),
    ("/page/overview.js", SCRIPT, include_str!("../page/overview.js")),
    ("/page/plot.js", SCRIPT, include_str!("../page/plot.js")),
    ("/page/plugins.js", SCRIPT, include_str!("../page/plugins.js")),
    ("/page/quarantine.js", SCRIPT, include_str!("../page/quarantine.js")),
    ("/page/queue.js", SCRIPT, include_str!("../page/queue.js")),
    ("/page/sessions.js", SCRIPT, include_str!("../page/sessions.js")),
    ("/page/words.js", SCRIPT, include_str!("../page/words.js")),
];

/// What answers for each file.
pub(crate) fn files() -> impl Iterator<Item = (&'static str, MethodRouter<Arc<Site>>)> {
    FILES.into_iter().map(|(path, kind, text)| {
        // Another version of the server has other files under the same names.
        let headers = [(CONTENT_TYPE, kind), (CACHE_CONTROL, "no-cache")];
        (path, get(async move || (headers, text).into_response()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_folder_is_served_and_none_names_another_place_or_makes_html_of_text() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/page");
        let in_folder = std::fs::read_dir(folder).unwrap().count();
        assert_eq!(in_folder, FILES.len());
        for (path, _, text) in FILES {
            let text = text.replace("http://www.w3.org/2000/svg", "");
            for forbidden in [
                "http:",
                "https:",
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "eval(",
                " style=",
                "<script>",
                "onclick=",
            ] {
                assert!(!text.contains(forbidden), "{path} has {forbidden}");
            }
        }
        let imported = FILES.iter().flat_map(|(_, _, text)| text.split(" from \"./").skip(1));
        for name in imported.map(|rest| rest.split('"').next().unwrap()) {
            assert!(FILES.iter().any(|(path, ..)| *path == format!("/page/{name}")), "{name}");
        }
    }
}
