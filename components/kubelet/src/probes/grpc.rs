//! gRPC's health protocol, as far as a probe needs it.

use std::time::Duration;

use http::uri::PathAndQuery;
use tonic::client::Grpc;
use tonic::transport::Endpoint;
use tonic::{Code, Request};
use tonic_prost::ProstCodec;

#[derive(Clone, PartialEq, ::prost::Message)]
struct HealthCheckRequest {
    #[prost(string, tag = "1")]
    service: String,
}

#[derive(Clone, PartialEq, ::prost::Message)]
struct HealthCheckResponse {
    #[prost(int32, tag = "1")]
    status: i32,
}

const SERVING: i32 = 1;

/// Whether a service serves; why not, if it does not.
pub(super) async fn serves(
    address: &str,
    port: u16,
    service: &str,
    patience: Duration,
) -> Result<(), String> {
    let host = match address.contains(':') {
        true => format!("[{address}]"),
        false => address.to_owned(),
    };
    let endpoint = Endpoint::from_shared(format!("http://{host}:{port}"))
        .map_err(|error| error.to_string())?
        .connect_timeout(patience)
        .timeout(patience);
    let channel = endpoint.connect().await;
    let channel = channel.map_err(|error| {
        format!("timeout: failed to connect service \"{host}:{port}\" within {patience:?}: {error}")
    })?;
    let mut grpc = Grpc::new(channel);
    grpc.ready().await.map_err(|error| error.to_string())?;
    let request = HealthCheckRequest {
        service: service.to_owned(),
    };
    let path = PathAndQuery::from_static("/grpc.health.v1.Health/Check");
    let codec = ProstCodec::<HealthCheckRequest, HealthCheckResponse>::default();
    match grpc.unary(Request::new(request), path, codec).await {
        Ok(answer) if answer.get_ref().status == SERVING => Ok(()),
        Ok(answer) => Err(format!(
            "service unhealthy (responded with status {})",
            answer.get_ref().status
        )),
        Err(status) if status.code() == Code::Unimplemented => Err(
            "this server does not implement the grpc health protocol (grpc.health.v1.Health)"
                .to_owned(),
        ),
        Err(status) => Err(format!("health rpc probe failed: {}", status.message())),
    }
}
