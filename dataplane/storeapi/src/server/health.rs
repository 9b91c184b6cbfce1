//! `grpc.health.v1.Health`, answering from the same value as `/-/ready`.

use futures::StreamExt;
use futures::stream::BoxStream;
use runtime::probe::{Probe, ProbeState};
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

pub(super) fn server(probe: Probe) -> HealthServer<HealthService> {
    HealthServer::new(HealthService(probe))
}

pub(super) struct HealthService(Probe);

fn response(state: &ProbeState) -> HealthCheckResponse {
    let status = if state.ready.is_ok() {
        ServingStatus::Serving
    } else {
        ServingStatus::NotServing
    };
    HealthCheckResponse {
        status: status.into(),
    }
}

/// All services of a process share its fate, so any name gets the same answer.
#[tonic::async_trait]
impl Health for HealthService {
    async fn check(
        &self,
        _: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        Ok(Response::new(response(&self.0.state())))
    }

    type WatchStream = BoxStream<'static, Result<HealthCheckResponse, Status>>;

    async fn watch(
        &self,
        _: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let states = tokio_stream::wrappers::WatchStream::new(self.0.subscribe());
        Ok(Response::new(
            states.map(|state| Ok(response(&state))).boxed(),
        ))
    }
}
