//! ServiceAccounts, and the bindings of Prometheus to the ClusterRoles installed with the operator.
//! The operator makes no roles: it could only make such as it has itself.

use serde_json::json;

use super::{Kind, Object, annotated, object};
use crate::controller::validate::{Reach, Stack};
use crate::names::{CLUSTER_ROLE, Component, NAMESPACE_ROLE};

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
                // Only Prometheus talks to the API server; its pods ask for the token themselves.
                json!({ "automountServiceAccountToken": false }),
            )
        })
        .collect();
    objects.push(match stack.reach {
        Reach::Namespace => binding(
            stack,
            Kind::RoleBinding,
            &stack.names.of(Component::Prometheus),
            NAMESPACE_ROLE,
        ),
        Reach::Cluster => binding(
            stack,
            Kind::ClusterRoleBinding,
            &stack.names.cluster_role_binding(),
            CLUSTER_ROLE,
        ),
    });
    objects
}

fn binding(stack: &Stack, kind: Kind, name: &str, role: &str) -> Object {
    object(
        stack,
        Component::Prometheus,
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
                "name": stack.names.of(Component::Prometheus),
                "namespace": stack.names.namespace,
            }],
        }),
    )
}
