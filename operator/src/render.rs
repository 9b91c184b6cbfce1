//! The pure half of the reconcile without a cluster: a resource file in, manifests out.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use crds::MonitoringStack;
use serde::Deserialize as _;
use serde_json::{Map, Value};

use crate::controller::build::{Desired, Kind, build};
use crate::controller::dereference::{References, SecretData};
use crate::controller::mint::Minted;
use crate::controller::validate::{Invalid, Stack, validate};
use crate::coreos::material::{Content, Holder, Material, Reference};
use crate::coreos::selection::{self, Standpoint};
use crate::coreos::{Resource, Verdict};
use crate::settings::Settings;

pub mod strict;

/// The uid that stands in manifests of a resource that is not in a cluster.
const UID: &str = "00000000-0000-0000-0000-000000000000";

/// Why nothing could be rendered.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    #[error("document {index} is not valid YAML: {problem}")]
    Yaml { index: usize, problem: String },
    #[error(
        "document {index} is no MonitoringStack, nor what one refers to or selects, but {kind:?}"
    )]
    Kind { index: usize, kind: String },
    #[error("no MonitoringStack in the input")]
    Missing,
    #[error("{path}: unknown field; see `kubectl explain mstack.spec`")]
    UnknownField { path: String },
    #[error("the MonitoringStack does not fit its schema: {0}")]
    Schema(String),
    #[error("{}", list(.0))]
    Invalid(Vec<Invalid>),
}

/// The CustomResourceDefinitions as a YAML stream.
///
/// # Errors
/// None for the definitions of this release.
pub fn definitions() -> Result<String, serde_json::Error> {
    let definition = serde_json::to_value(crds::document::monitoring_stack()?)?;
    Ok(format!("---\n{}", crate::yaml::document(&definition)))
}

fn list(invalid: &[Invalid]) -> String {
    invalid
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}

/// Renders every MonitoringStack in `input`, a YAML stream that may also hold the Secrets the
/// resources refer to.
///
/// # Errors
/// What is wrong with the input, by document and field.
pub fn render(input: &str, settings: &Settings) -> Result<String, RenderError> {
    let mut output = String::new();
    for built in built(input, settings)? {
        output.push_str(&verdicts(&built.stack.monitored.verdicts));
        output.push_str(&manifests(&built.desired));
    }
    Ok(output)
}

/// One stack of an input, validated and built.
#[derive(Clone, Debug)]
pub struct Built {
    pub resource: MonitoringStack,
    pub stack: Stack,
    pub desired: Desired,
}

/// Builds every MonitoringStack in `input`, as [`render`] does.
///
/// # Errors
/// What is wrong with the input, by document and field.
pub fn built(input: &str, settings: &Settings) -> Result<Vec<Built>, RenderError> {
    let documents = documents(input)?;
    let mut found = Vec::new();
    for document in documents
        .iter()
        .filter(|document| document["kind"] == "MonitoringStack")
    {
        let resource = resource(document)?;
        let references = references(&documents, &resource, settings);
        found.push(build_one(&resource, &references, settings)?);
    }
    if found.is_empty() {
        return Err(RenderError::Missing);
    }
    Ok(found)
}

/// Builds one stack with what it refers to.
///
/// # Errors
/// What is wrong with it.
pub fn build_one(
    resource: &MonitoringStack,
    references: &References,
    settings: &Settings,
) -> Result<Built, RenderError> {
    let stack = validate(resource, references, settings).map_err(RenderError::Invalid)?;
    let desired = build(&stack, &Minted::placeholders());
    Ok(Built {
        resource: resource.clone(),
        stack,
        desired,
    })
}

/// The MonitoringStacks of `input`, read strictly and not validated.
///
/// # Errors
/// What is wrong with the input, by document and field.
pub fn stacks(input: &str) -> Result<Vec<MonitoringStack>, RenderError> {
    documents(input)?
        .iter()
        .filter(|document| document["kind"] == "MonitoringStack")
        .map(resource)
        .collect()
}

/// What of the monitoring resources is left out, as comments.
fn verdicts(verdicts: &[Verdict]) -> String {
    let mut text = String::new();
    for verdict in verdicts {
        let object = format!(
            "{} {}/{}",
            verdict.kind.as_str(),
            verdict.namespace,
            verdict.name
        );
        let warnings = verdict.warnings.iter().map(|warning| ("partly", warning));
        let rejection = verdict
            .rejection
            .iter()
            .map(|problem| ("left out", problem));
        for (what, problem) in rejection.chain(warnings) {
            text.push_str(&format!(
                "# {what}: {object}: {}\n",
                problem.replace('\n', " ")
            ));
        }
    }
    text
}

/// Writes `desired` as one YAML stream in the order of application. Secrets are shown as text.
pub fn manifests(desired: &Desired) -> String {
    let mut output = String::new();
    for object in &desired.objects {
        let mut body = object.body.clone();
        if object.kind == Kind::Secret {
            show_text(&mut body);
        }
        output.push_str("---\n");
        output.push_str(&crate::yaml::document(&body));
    }
    output
}

fn show_text(secret: &mut Value) {
    let Some(Value::Object(data)) = secret.as_object_mut().and_then(|body| body.remove("data"))
    else {
        return;
    };
    let text: Map<String, Value> = data
        .into_iter()
        .map(|(key, value)| {
            let bytes = BASE64
                .decode(value.as_str().unwrap_or_default())
                .unwrap_or_default();
            (
                key,
                Value::from(String::from_utf8_lossy(&bytes).into_owned()),
            )
        })
        .collect();
    secret["stringData"] = Value::Object(text);
}

/// Splits and parses a YAML stream.
fn documents(input: &str) -> Result<Vec<Value>, RenderError> {
    let mut documents = Vec::new();
    for (index, text) in split(input).into_iter().enumerate() {
        let document: Value = serde_saphyr::from_str(&text).map_err(|error| RenderError::Yaml {
            index,
            problem: error.to_string(),
        })?;
        if document.is_null() {
            continue;
        }
        let kind = document["kind"].as_str().unwrap_or_default().to_owned();
        let is_known = ["MonitoringStack", "Secret", "ConfigMap", "Namespace"]
            .contains(&kind.as_str())
            || Resource::read(&document).is_some();
        if !is_known {
            return Err(RenderError::Kind { index, kind });
        }
        documents.push(document);
    }
    Ok(documents)
}

fn split(input: &str) -> Vec<String> {
    let mut documents = vec![String::new()];
    for line in input.lines() {
        if line.trim_end() == "---" {
            documents.push(String::new());
        } else if let Some(document) = documents.last_mut() {
            document.push_str(line);
            document.push('\n');
        }
    }
    let is_empty = |text: &String| {
        text.lines()
            .all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'))
    };
    documents.retain(|text| !is_empty(text));
    documents
}

fn resource(document: &Value) -> Result<MonitoringStack, RenderError> {
    if let Some(path) = strict::unknown_field(document) {
        return Err(RenderError::UnknownField { path });
    }
    let mut resource = MonitoringStack::deserialize(document)
        .map_err(|error| RenderError::Schema(error.to_string()))?;
    resource
        .metadata
        .namespace
        .get_or_insert_with(|| "default".to_owned());
    resource.metadata.uid.get_or_insert_with(|| UID.to_owned());
    Ok(resource)
}

fn references(documents: &[Value], resource: &MonitoringStack, settings: &Settings) -> References {
    let namespace = resource.metadata.namespace.clone().unwrap_or_default();
    let mut references = References::default();
    let mut contents = BTreeMap::new();
    for document in documents {
        let (holder, data) = match document["kind"].as_str() {
            Some("Secret") => (Holder::Secret, data_of(document, "data", "stringData")),
            Some("ConfigMap") => (Holder::ConfigMap, data_of(document, "binaryData", "data")),
            _ => continue,
        };
        let (of, name) = place(document);
        if holder == Holder::Secret && of == namespace {
            references.secrets.insert(name.clone(), data.clone());
        }
        let reference = Reference {
            holder,
            namespace: of,
            name,
        };
        contents.insert(reference, Content::Data(data));
    }
    references.material = Material::new(contents);
    let resources: Vec<Resource> = documents.iter().filter_map(Resource::read).collect();
    let standpoint = Standpoint {
        namespace: &namespace,
        reach: settings.reach(&namespace),
        namespaces: &namespaces(documents, &resources),
    };
    references.resources = selection::select(&resource.spec, standpoint, resources.iter());
    references
}

/// Namespace and name of a document.
fn place(document: &Value) -> (String, String) {
    let metadata = &document["metadata"];
    let text = |name: &str, default: &str| metadata[name].as_str().unwrap_or(default).to_owned();
    (text("namespace", "default"), text("name", ""))
}

/// Labels of the namespaces in the input; one that is only named has none but its name.
fn namespaces(
    documents: &[Value],
    resources: &[Resource],
) -> BTreeMap<String, BTreeMap<String, String>> {
    let named = |name: &str| {
        let label = "kubernetes.io/metadata.name".to_owned();
        BTreeMap::from([(label, name.to_owned())])
    };
    let mut namespaces: BTreeMap<String, BTreeMap<String, String>> = resources
        .iter()
        .map(|resource| (resource.namespace.clone(), named(&resource.namespace)))
        .collect();
    for document in documents
        .iter()
        .filter(|document| document["kind"] == "Namespace")
    {
        let (_, name) = place(document);
        let labels = namespaces
            .entry(name.clone())
            .or_insert_with(|| named(&name));
        for (label, value) in document["metadata"]["labels"]
            .as_object()
            .into_iter()
            .flatten()
        {
            labels.insert(label.clone(), value.as_str().unwrap_or_default().to_owned());
        }
    }
    namespaces
}

/// The values of a Secret or ConfigMap, encoded and plain.
fn data_of(document: &Value, encoded: &str, plain: &str) -> SecretData {
    let mut data = BTreeMap::new();
    for (key, value) in document[encoded].as_object().into_iter().flatten() {
        let bytes = BASE64
            .decode(value.as_str().unwrap_or_default())
            .unwrap_or_default();
        data.insert(key.clone(), bytes);
    }
    for (key, value) in document[plain].as_object().into_iter().flatten() {
        let text = value.as_str().unwrap_or_default();
        data.insert(key.clone(), text.as_bytes().to_vec());
    }
    SecretData(data)
}

#[cfg(test)]
mod delivery;
#[cfg(test)]
mod every_field;
#[cfg(test)]
mod tests;
