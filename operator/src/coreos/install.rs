//! The definitions of `monitoring.coreos.com` for clusters that have none: upstream's, verbatim.

use kube::api::PostParams;
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Api, Client};

use crate::controller::apply::{Applier, ApplyError};

/// One file a kind.
const DEFINITIONS: [&str; 6] = [
    include_str!("../../../config/crd/third_party/monitoring.coreos.com_alertmanagerconfigs.yaml"),
    include_str!("../../../config/crd/third_party/monitoring.coreos.com_podmonitors.yaml"),
    include_str!("../../../config/crd/third_party/monitoring.coreos.com_probes.yaml"),
    include_str!("../../../config/crd/third_party/monitoring.coreos.com_prometheusrules.yaml"),
    include_str!("../../../config/crd/third_party/monitoring.coreos.com_scrapeconfigs.yaml"),
    include_str!("../../../config/crd/third_party/monitoring.coreos.com_servicemonitors.yaml"),
];

/// Why a definition could not be installed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    #[error("a definition of this release is not valid YAML: {0}")]
    Yaml(String),
    #[error("cannot read definition {name}")]
    Read {
        name: String,
        #[source]
        source: kube::Error,
    },
    #[error("cannot install a definition")]
    Write(#[source] ApplyError),
}

/// Creates the definitions that are missing. One that exists is somebody else's, whatever its
/// version.
///
/// # Errors
/// At the first definition that could be neither found nor created.
pub async fn install(client: &Client, applier: &Applier) -> Result<(), InstallError> {
    let kind = GroupVersionKind::gvk("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
    let definitions: Api<DynamicObject> =
        Api::all_with(client.clone(), &ApiResource::from_gvk(&kind));
    for text in DEFINITIONS {
        let definition: DynamicObject =
            serde_saphyr::from_str(text).map_err(|error| InstallError::Yaml(error.to_string()))?;
        let name = definition.metadata.name.clone().unwrap_or_default();
        let found = definitions
            .get_metadata_opt(&name)
            .await
            .map_err(|source| InstallError::Read {
                name: name.clone(),
                source,
            })?;
        if found.is_some() {
            tracing::info!(name, "definition exists and is left alone");
            continue;
        }
        let what = format!("CustomResourceDefinition {name:?}");
        applier
            .write(
                "create",
                what,
                "CustomResourceDefinition",
                definitions.create(&PostParams::default(), &definition),
            )
            .await
            .map_err(InstallError::Write)?;
        tracing::info!(name, "installed definition");
    }
    Ok(())
}
