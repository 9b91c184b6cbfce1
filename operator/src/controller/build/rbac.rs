//! ServiceAccounts, and bindings to the ClusterRoles installed with the operator.
//! The operator makes no roles: it could only make such as it has itself.

use serde_json::json;

use super::{Kind, Object, annotated, object};
use crate::controller::validate::{Place, Reach, Stack};
use crate::names::{CLUSTER_ROLE, Component, KUBE_STATE_METRICS_ROLE, NAMESPACE_ROLE};

pub(super) fn objects(stack: &Stack) -> Vec<Object> {
    let mut objects: Vec<Object> = stack
        .parts()
        .into_iter()
        .filter_map(|part| Some((part.component, part.pod?)))
        .map(|(component, pod)| {
            annotated(
                stack,
                component,
                Kind::ServiceAccount,
                &stack.names.of(component),
                &pod.service_account_annotations,
                // Pods that talk to the API server ask for the token themselves.
                json!({ "automountServiceAccountToken": false }),
            )
        })
        .collect();
    objects.push(match stack.reach {
        Reach::Namespace => binding(
            stack,
            Component::Prometheus,
            Kind::RoleBinding,
            &stack.names.of(Component::Prometheus),
            NAMESPACE_ROLE,
        ),
        Reach::Cluster => binding(
            stack,
            Component::Prometheus,
            Kind::ClusterRoleBinding,
            &stack.names.cluster_role_binding(Component::Prometheus),
            CLUSTER_ROLE,
        ),
    });
    if stack.kube_state_metrics.place == Place::Here {
        objects.push(binding(
            stack,
            Component::KubeStateMetrics,
            Kind::ClusterRoleBinding,
            &stack
                .names
                .cluster_role_binding(Component::KubeStateMetrics),
            KUBE_STATE_METRICS_ROLE,
        ));
    }
    objects
}

fn binding(stack: &Stack, component: Component, kind: Kind, name: &str, role: &str) -> Object {
    object(
        stack,
        component,
        kind,
        name,
        json!({
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": role,
            },
            "subjects": [{
                "kind": "ServiceAccount",
                "name": stack.names.of(component),
                "namespace": stack.names.namespace,
            }],
        }),
    )
}
