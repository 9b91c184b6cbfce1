//! Basic authentication against bcrypt hashes.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use super::{HEALTHY_PATH, READY_PATH, WebConfig};

/// Proven credentials remembered, so that bcrypt runs once for each; more users than this pay each time.
const MAX_REMEMBERED: usize = 256;

/// Hashes computed at once: each takes a core for tens of milliseconds, by design.
const MAX_CONCURRENT_HASHES: usize = 2;

/// A hash of no password, so that an unknown user takes as long to refuse as a known one.
const NOBODY: &str = "$2b$10$CwTycUXWue0Thq9StjUM0uJ8.6CqgJ0mR0oYl5oN5aFJ7P6cJ0F5K";

struct Guard {
    users: BTreeMap<String, String>,
    remembered: Mutex<HashSet<[u8; 32]>>,
    hashing: Semaphore,
}

/// Puts the configured headers and, when there are users, the question for one before `routes`.
pub(super) fn guard(routes: Router, config: &WebConfig) -> Router {
    let mut routes = routes;
    if !config.users.is_empty() {
        let guard = Arc::new(Guard {
            users: config.users.clone(),
            remembered: Mutex::default(),
            hashing: Semaphore::new(MAX_CONCURRENT_HASHES),
        });
        // `layer` and not `route_layer`: also unknown paths answer 401, so nothing can be probed for.
        routes = routes.layer(axum::middleware::from_fn_with_state(guard, ask));
    }
    if !config.headers.is_empty() {
        let headers: Arc<[(HeaderName, HeaderValue)]> = config.headers.clone().into();
        routes = routes.layer(axum::middleware::from_fn_with_state(headers, add_headers));
    }
    routes
}

async fn add_headers(
    State(headers): State<Arc<[(HeaderName, HeaderValue)]>>,
    request: Request,
    next: Next,
) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in headers.iter() {
        response.headers_mut().insert(name.clone(), value.clone());
    }
    response
}

async fn ask(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    // A kubelet has no password.
    if [HEALTHY_PATH, READY_PATH].contains(&request.uri().path()) {
        return next.run(request).await;
    }
    if let Some((user, password)) = credentials(request.headers())
        && guard.knows(user, password).await
    {
        return next.run(request).await;
    }
    let question = [(header::WWW_AUTHENTICATE, "Basic")];
    (StatusCode::UNAUTHORIZED, question, "Unauthorized\n").into_response()
}

fn credentials(headers: &HeaderMap) -> Option<(String, String)> {
    let (scheme, encoded) = headers
        .get(header::AUTHORIZATION)?
        .to_str()
        .ok()?
        .split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(BASE64_STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (user, password) = decoded.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

impl Guard {
    async fn knows(&self, user: String, password: String) -> bool {
        let known = self.users.get(&user);
        let hash = known.map_or(NOBODY, String::as_str).to_owned();
        let fingerprint = fingerprint(&user, &hash, &password);
        if known.is_some() && self.lock().contains(&fingerprint) {
            return true;
        }
        let Ok(_turn) = self.hashing.acquire().await else {
            return false;
        };
        let proven = tokio::task::spawn_blocking(move || bcrypt::verify(password, &hash));
        let proven = matches!(proven.await, Ok(Ok(true))) && known.is_some();
        if proven {
            let mut remembered = self.lock();
            if remembered.len() < MAX_REMEMBERED {
                remembered.insert(fingerprint);
            }
        }
        proven
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashSet<[u8; 32]>> {
        self.remembered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The parts are prefixed by their lengths: without, another split of the same text would be equal.
fn fingerprint(user: &str, hash: &str, password: &str) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in [user, hash, password] {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_right_password_is_known() {
        let hash = bcrypt::hash("secret", 4).expect("hashes");
        let guard = Guard {
            users: BTreeMap::from([("alice".to_owned(), hash)]),
            remembered: Mutex::default(),
            hashing: Semaphore::new(1),
        };
        for (user, password, expected) in [
            ("alice", "secret", true),
            ("alice", "secret", true),
            ("alice", "wrong", false),
            ("alic", "esecret", false),
            ("bob", "secret", false),
        ] {
            assert_eq!(
                guard.knows(user.into(), password.into()).await,
                expected,
                "{user}"
            );
        }
        assert_eq!(guard.lock().len(), 1);
    }

    #[test]
    fn split_of_user_and_password_is_part_of_the_fingerprint() {
        assert_ne!(fingerprint("ab", "h", "c"), fingerprint("a", "h", "bc"));
    }
}
