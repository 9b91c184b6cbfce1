//! The querier's page: assets built into the binary, and the router that serves them.
//!
//! One page, at `/` and `/graph`, in plain HTML, CSS and JavaScript without a build step. Every
//! address in it is relative, so it works under any prefix.
//!
//! Invariants: nothing is loaded from elsewhere (the content security policy says so), and together
//! the assets stay below [`MAX_ASSET_BYTES`]. The room knows the HTTP API only by its paths.

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

/// What all assets together may weigh.
pub const MAX_ASSET_BYTES: usize = 25 * 1024;

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
                      img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; \
                      frame-ancestors 'self'";

struct Asset {
    path: &'static str,
    content_type: &'static str,
    body: &'static str,
}

const PAGE: &str = include_str!("../assets/index.html");

const ASSETS: [Asset; 5] = [
    Asset {
        path: "/",
        content_type: "text/html; charset=utf-8",
        body: PAGE,
    },
    Asset {
        path: "/graph",
        content_type: "text/html; charset=utf-8",
        body: PAGE,
    },
    Asset {
        path: "/assets/app.js",
        content_type: "text/javascript; charset=utf-8",
        body: include_str!("../assets/app.js"),
    },
    Asset {
        path: "/assets/style.css",
        content_type: "text/css; charset=utf-8",
        body: include_str!("../assets/style.css"),
    },
    Asset {
        path: "/assets/icon.svg",
        content_type: "image/svg+xml",
        body: include_str!("../assets/icon.svg"),
    },
];

/// Returns the routes of the page and its assets. `version` changes whenever an asset does: browsers
/// ask with it whether their copy is fresh.
pub fn router<S: Clone + Send + Sync + 'static>(version: &str) -> Router<S> {
    let tag = HeaderValue::from_str(&format!("\"{version}\""))
        .unwrap_or_else(|_| HeaderValue::from_static("\"0\""));
    ASSETS.iter().fold(Router::new(), |router, asset| {
        let tag = tag.clone();
        router.route(
            asset.path,
            get(async move |headers: HeaderMap| asset.answer(&headers, tag)),
        )
    })
}

impl Asset {
    fn answer(&self, asked: &HeaderMap, tag: HeaderValue) -> Response {
        let fresh = asked
            .get(header::IF_NONE_MATCH)
            .is_some_and(|held| *held == tag);
        let mut response = if fresh {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            self.body.into_response()
        };
        let fixed: [(HeaderName, &'static str); 5] = [
            (header::CONTENT_TYPE, self.content_type),
            (header::CONTENT_SECURITY_POLICY, POLICY),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::REFERRER_POLICY, "same-origin"),
            (header::CACHE_CONTROL, "no-cache"),
        ];
        let headers = response.headers_mut();
        for (name, value) in fixed {
            headers.insert(name, HeaderValue::from_static(value));
        }
        headers.insert(header::ETAG, tag);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asset(path: &str) -> &'static Asset {
        ASSETS.iter().find(|asset| asset.path == path).expect(path)
    }

    #[test]
    fn the_page_refers_only_to_what_is_served() {
        for reference in ["assets/app.js", "assets/style.css", "assets/icon.svg"] {
            assert!(PAGE.contains(&format!("\"{reference}\"")), "{reference}");
            asset(&format!("/{reference}"));
        }
        for foreign in ["http://", "https://", "=\"/"] {
            assert!(!PAGE.contains(foreign), "the page holds {foreign}");
        }
    }

    #[test]
    fn scripts_find_every_element_they_ask_for() {
        let script = asset("/assets/app.js").body;
        for piece in script.split("$('").skip(1) {
            let id = piece.split('\'').next().expect("quoted");
            assert!(PAGE.contains(&format!("id=\"{id}\"")), "no element {id}");
        }
    }

    #[test]
    fn the_page_stays_small() {
        let bytes: usize = ASSETS.iter().skip(1).map(|asset| asset.body.len()).sum();
        assert!(bytes < MAX_ASSET_BYTES, "{bytes} bytes");
    }

    #[test]
    fn a_fresh_copy_is_not_sent_again() {
        let tag = HeaderValue::from_static("\"1\"");
        let mut headers = HeaderMap::new();
        assert_eq!(
            asset("/").answer(&headers, tag.clone()).status(),
            StatusCode::OK
        );
        headers.insert(header::IF_NONE_MATCH, tag.clone());
        let response = asset("/").answer(&headers, tag);
        assert_eq!(response.status(), StatusCode::NOT_MODIFIED);
        assert!(
            response
                .headers()
                .contains_key(header::CONTENT_SECURITY_POLICY)
        );
    }
}
