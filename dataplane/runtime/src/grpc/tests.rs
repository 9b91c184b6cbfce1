use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use http::{Request, Response};
use tonic::server::NamedService;
use tonic::service::Routes;
use tower::{Service, ServiceExt};

use super::*;
use crate::clock::ManualClock;
use crate::service::Kit;

/// Answers every method with its own status and no message.
#[derive(Debug, Clone)]
struct Echo;

impl NamedService for Echo {
    const NAME: &'static str = "test.Echo";
}

impl Service<Request<tonic::body::Body>> for Echo {
    type Response = Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<tonic::body::Body>) -> Self::Future {
        let status = match request.uri().path() {
            "/test.Echo/Works" => "0",
            "/test.Echo/Refuses" => "8",
            _ => "12",
        };
        let response = Response::builder()
            .header("content-type", "application/grpc")
            .header("grpc-status", status)
            .body(tonic::body::Body::empty())
            .expect("valid");
        std::future::ready(Ok(response))
    }
}

#[tokio::test]
async fn calls_are_counted_by_code_and_invented_methods_are_not_named() {
    let config = GrpcConfig {
        address: "127.0.0.1:0".to_owned(),
        ..GrpcConfig::default()
    };
    let server = GrpcServer::bind(&config).await.expect("binds");
    let address = server.local_addr().to_string();
    let kit = Kit::for_tests(Arc::new(ManualClock::default()));
    let routes = Routes::new(Echo);
    let serving = tokio::spawn(server.serve(kit.clone(), routes, &["/test.Echo/Works"]));
    let mut channel = channel(&address, None, &ChannelConfig::default()).expect("an address");
    for method in ["Works", "Works", "Refuses", "Invented"] {
        let request = Request::builder()
            .method("POST")
            .uri(format!("http://{address}/test.Echo/{method}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(tonic::body::Body::new(Body::empty()))
            .expect("valid");
        channel
            .ready()
            .await
            .expect("connects")
            .call(request)
            .await
            .expect("answers");
    }
    drop(channel);
    kit.shutdown.begin();
    serving.await.expect("joins").expect("drains");
    let text = kit.metrics.encode().expect("encodes");
    for line in [
        "grpc_server_handled_total{grpc_type=\"server_stream\",grpc_service=\"test.Echo\",grpc_method=\"Works\",grpc_code=\"OK\"} 2",
        "grpc_server_handled_total{grpc_type=\"unary\",grpc_service=\"test.Echo\",grpc_method=\"Refuses\",grpc_code=\"ResourceExhausted\"} 1",
        "grpc_server_started_total{grpc_type=\"unary\",grpc_service=\"unknown\",grpc_method=\"unknown\"} 1",
    ] {
        assert!(text.contains(line), "{line}\nnot in\n{text}");
    }
    assert!(!text.contains("Invented"), "{text}");
}

#[tokio::test]
async fn address_without_port_is_refused() {
    for address in ["localhost", "", "http://x:1", "a b:1"] {
        let refused = channel(address, None, &ChannelConfig::default());
        assert!(refused.is_err(), "{address}");
    }
}
