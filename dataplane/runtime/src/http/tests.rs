use std::sync::Arc;

use axum::routing::post;

use super::*;
use crate::clock::ManualClock;

struct Running {
    url: String,
    kit: Kit,
    task: tokio::task::JoinHandle<Result<(), ListenError>>,
}

async fn start(web_config: Option<&str>, routes: Router) -> Running {
    let dir = tempfile::tempdir().expect("tempdir");
    let path = dir.path().join("web.yaml");
    let config = HttpConfig {
        address: "127.0.0.1:0".to_owned(),
        web_config: web_config.map(|text| {
            std::fs::write(&path, text).expect("write");
            path.clone()
        }),
        ..HttpConfig::default()
    };
    let server = HttpServer::bind(&config).await.expect("binds");
    let kit = Kit::for_tests(Arc::new(ManualClock::default()));
    let url = format!("http://{}", server.local_addr());
    let task = tokio::spawn(server.serve(kit.clone(), routes));
    Running { url, kit, task }
}

impl Running {
    async fn get(&self, path: &str) -> (u16, String) {
        let answer = client()
            .get(format!("{}{path}", self.url))
            .send()
            .await
            .expect("answers");
        (answer.status().as_u16(), answer.text().await.expect("text"))
    }
}

fn client() -> reqwest::Client {
    crate::tls::install_provider();
    reqwest::Client::new()
}

#[tokio::test]
async fn probes_follow_the_state() {
    let running = start(None, Router::new()).await;
    assert_eq!(running.get("/-/healthy").await.0, 200);
    assert_eq!(running.get("/-/ready").await, (503, "starting".to_owned()));
    running.kit.probe.ready();
    assert_eq!(running.get("/-/ready").await.0, 200);
    running.kit.probe.not_healthy("disk gone");
    assert_eq!(
        running.get("/-/healthy").await,
        (503, "disk gone".to_owned())
    );
}

#[tokio::test]
async fn requests_are_counted_by_route_and_not_by_path() {
    let routes = Router::new().route("/api/v1/label/{name}/values", get(|| async { "x" }));
    let running = start(None, routes).await;
    running.get("/api/v1/label/job/values").await;
    running.get("/api/v1/label/pod/values").await;
    running.get("/no/such/path").await;
    let text = running.get("/metrics").await.1;
    let counted = "http_requests_total{code=\"200\",handler=\"label_values\",method=\"get\"} 2";
    assert!(text.contains(counted), "{text}");
    assert!(
        text.contains("http_inflight_requests{handler=\"label_values\",method=\"get\"} 0"),
        "{text}"
    );
    assert!(!text.contains("no_such"), "{text}");
}

#[tokio::test]
async fn users_are_asked_for_except_by_probes() {
    let hash = bcrypt::hash("secret", 4).expect("hashes");
    let web_config = format!("basic_auth_users:\n  alice: {hash}\n");
    let running = start(Some(&web_config), Router::new()).await;
    assert_eq!(running.get("/metrics").await.0, 401);
    assert_eq!(running.get("/no/such/path").await.0, 401);
    assert_eq!(running.get("/-/healthy").await.0, 200);
    let answer = client()
        .get(format!("{}/metrics", running.url))
        .basic_auth("alice", Some("secret"))
        .send()
        .await
        .expect("answers");
    assert_eq!(answer.status().as_u16(), 200);
}

#[tokio::test]
async fn body_over_the_limit_is_refused() {
    let routes = Router::new().route(
        "/",
        post(|body: bytes::Bytes| async move { body.len().to_string() }),
    );
    let running = start(None, routes).await;
    let send = |bytes: usize| client().post(&running.url).body(vec![0u8; bytes]).send();
    assert_eq!(send(3 << 20).await.expect("answers").status().as_u16(), 200);
    assert_eq!(
        send(MAX_BODY_BYTES + 1)
            .await
            .expect("answers")
            .status()
            .as_u16(),
        413
    );
}

#[tokio::test]
async fn open_request_is_answered_while_draining() {
    let entered = Arc::new(tokio::sync::Notify::new());
    let release = Arc::new(tokio::sync::Notify::new());
    let (entered_in, release_in) = (Arc::clone(&entered), Arc::clone(&release));
    let handler = move || {
        let (entered, release) = (Arc::clone(&entered_in), Arc::clone(&release_in));
        async move {
            entered.notify_one();
            release.notified().await;
            "late"
        }
    };
    let running = start(None, Router::new().route("/", get(handler))).await;
    let url = running.url.clone();
    let request = tokio::spawn(async move { client().get(url).send().await });
    entered.notified().await;
    running.kit.shutdown.begin();
    release.notify_one();
    let answer = request.await.expect("joins").expect("answers");
    assert_eq!(answer.text().await.expect("text"), "late");
    running.task.await.expect("joins").expect("drains");
}
