//! Ingresses.

use serde_json::{Value, json};

use super::{Kind, Object, annotated};
use crate::controller::validate::{Exposure, ORDINAL, Stack};
use crate::names::Component;

pub(super) fn objects(stack: &Stack) -> Vec<Object> {
    let names = &stack.names;
    let expose = &stack.expose;
    let mut objects = Vec::new();
    let mut single = |component: Component,
                      exposure: &Option<Exposure>,
                      name: String,
                      service: &str,
                      port: &str| {
        if let Some(exposure) = exposure {
            let host = exposure.host.clone();
            objects.push(ingress(
                stack, component, &name, exposure, host, service, port,
            ));
        }
    };
    let query = names.of(Component::Query);
    single(
        Component::Query,
        &expose.query,
        query.clone(),
        &names.query_service,
        "http",
    );
    single(
        Component::Query,
        &expose.query_grpc,
        format!("{query}-grpc"),
        &names.query_service,
        "grpc",
    );
    let alertmanager = names.of(Component::Alertmanager);
    single(
        Component::Alertmanager,
        &expose.alertmanager,
        alertmanager.clone(),
        &alertmanager,
        "web",
    );
    let grafana = names.of(Component::Grafana);
    single(
        Component::Grafana,
        &expose.grafana,
        grafana.clone(),
        &grafana,
        "http",
    );
    for ordinal in 0..stack.prometheus.replicas {
        let service = format!("{}-prometheus-{ordinal}", names.stack);
        for (exposure, name, port) in [
            (&expose.prometheus, service.clone(), "web"),
            (&expose.sidecar_grpc, format!("{service}-grpc"), "grpc"),
        ] {
            if let Some(exposure) = exposure {
                objects.push(ingress(
                    stack,
                    Component::Prometheus,
                    &name,
                    exposure,
                    host_of(exposure, ordinal),
                    &service,
                    port,
                ));
            }
        }
    }
    objects
}

/// The host of one of several replicas.
fn host_of(exposure: &Exposure, ordinal: i32) -> String {
    exposure.host.replace(ORDINAL, &ordinal.to_string())
}

/// Address under which users reach a page, for links in alerts and redirects.
pub(super) fn url(exposure: &Exposure) -> String {
    let scheme = match &exposure.ingress.tls_secret_name {
        Some(_) => "https",
        None => "http",
    };
    format!("{scheme}://{}", exposure.host)
}

fn ingress(
    stack: &Stack,
    component: Component,
    name: &str,
    exposure: &Exposure,
    host: String,
    service: &str,
    port: &str,
) -> Object {
    let backend: Value = json!({ "service": { "name": service, "port": { "name": port } } });
    let mut spec = json!({
        "rules": [{
            "host": host,
            "http": {
                "paths": [{ "path": "/", "pathType": "Prefix", "backend": backend }],
            },
        }],
    });
    if let Some(class) = &exposure.ingress.class_name {
        spec["ingressClassName"] = class.as_str().into();
    }
    if let Some(secret) = &exposure.ingress.tls_secret_name {
        spec["tls"] = json!([{ "hosts": [host], "secretName": secret }]);
    }
    annotated(
        stack,
        component,
        Kind::Ingress,
        name,
        &exposure.ingress.annotations,
        json!({ "spec": spec }),
    )
}
