//! What every scrape job is made in: the stack it is for and the object it comes from.

use std::cell::{Cell, RefCell};

use crds::coreos::{KeySelector, NamespaceSelector, SecretOrConfigMap};
use serde_json::{Map, Value, json};

use super::Resource;
use super::limits::Bounds;
use super::material::Material;
use crate::controller::validate::{Reach, Version};

/// The stack.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    pub namespace: &'a str,
    pub reach: Reach,
    pub version: Version,
    pub shards: i32,
    /// What a job without an interval of its own has, in milliseconds.
    pub scrape_interval_ms: i64,
    pub bounds: &'a Bounds,
    pub material: &'a Material,
}

/// The object that is being translated.
pub struct Scope<'a> {
    pub context: &'a Context<'a>,
    namespace: &'a str,
    is_narrowed: Cell<bool>,
    warnings: RefCell<Vec<String>>,
}

impl<'a> Scope<'a> {
    /// The scope of `resource`.
    pub fn new(context: &'a Context<'a>, resource: &'a Resource) -> Self {
        Self {
            context,
            namespace: &resource.namespace,
            is_narrowed: Cell::new(false),
            warnings: RefCell::default(),
        }
    }

    /// Whether targets were left out that the stack may not look for.
    pub fn is_narrowed(&self) -> bool {
        self.is_narrowed.get()
    }

    /// What was passed over.
    pub fn into_warnings(self) -> Vec<String> {
        self.warnings.into_inner()
    }

    /// Notes what the stack's Prometheus cannot do and is therefore passed over.
    pub fn warn(&self, text: String) {
        self.warnings.borrow_mut().push(text);
    }

    /// Sets a field that exists from `minor` on, or notes that it is passed over.
    pub fn set_since(&self, job: &mut Map<String, Value>, minor: u32, name: &str, value: Value) {
        let needed = Version {
            major: 3,
            minor,
            patch: 0,
        };
        if self.context.version >= needed {
            job.insert(name.to_owned(), value);
        } else {
            self.warn(format!(
                "{name} needs Prometheus v3.{minor}.0 and is left out"
            ));
        }
    }

    /// A Secret's value, for the field at `path`.
    ///
    /// # Errors
    /// Why there is none.
    pub fn secret(&self, path: &str, key: &KeySelector) -> Result<String, String> {
        self.context
            .material
            .secret(self.namespace, key)
            .map_err(|problem| format!("{path}: {problem}"))
    }

    /// A Secret's or a ConfigMap's value, for the field at `path`; none where neither is named.
    ///
    /// # Errors
    /// Why there is none.
    pub fn either(
        &self,
        path: &str,
        reference: &SecretOrConfigMap,
    ) -> Result<Option<String>, String> {
        self.context
            .material
            .either(self.namespace, reference)
            .map_err(|problem| format!("{path}: {problem}"))
    }

    /// The discovery by `role` in the namespaces of `selector`, which the stack must be allowed to
    /// look into.
    ///
    /// # Errors
    /// Where it may look into none of them.
    pub fn discovery(
        &self,
        role: &str,
        selector: &NamespaceSelector,
    ) -> Result<Map<String, Value>, String> {
        let wanted = if selector.any {
            Vec::new()
        } else if selector.match_names.is_empty() {
            vec![self.namespace.to_owned()]
        } else {
            selector.match_names.clone()
        };
        let mut discovery = Map::from_iter([("role".to_owned(), Value::from(role))]);
        let names = self.allowed(wanted)?;
        if !names.is_empty() {
            discovery.insert("namespaces".to_owned(), json!({ "names": names }));
        }
        Ok(discovery)
    }

    /// Narrows `namespaces`, where none stands for all, to those that the stack may look into.
    ///
    /// # Errors
    /// Where nothing is left.
    pub fn allowed(&self, namespaces: Vec<String>) -> Result<Vec<String>, String> {
        if self.context.reach == Reach::Cluster {
            return Ok(namespaces);
        }
        let own = self.context.namespace;
        if namespaces.len() == 1 && namespaces.first().is_some_and(|name| name == own) {
            return Ok(namespaces);
        }
        self.is_narrowed.set(true);
        if namespaces.is_empty() || namespaces.iter().any(|name| name == own) {
            self.warn(format!(
                "looks for targets in namespace {own} only: the administrator lets this stack reach no other"
            ));
            return Ok(vec![own.to_owned()]);
        }
        Err(format!(
            "namespaceSelector names only other namespaces ({}), and the stack may not look beyond {own}; ask the administrator to add it to --cluster-stacks",
            namespaces.join(", ")
        ))
    }

    /// Checks the times of a job and sets them.
    ///
    /// # Errors
    /// Where one is no duration, or the timeout is longer than the interval.
    pub fn set_times(
        &self,
        job: &mut Map<String, Value>,
        interval: Option<&str>,
        timeout: Option<&str>,
    ) -> Result<(), String> {
        let interval = interval.filter(|text| !text.is_empty());
        let timeout = timeout.filter(|text| !text.is_empty());
        let parse = |field: &str, text: &str| {
            model::parse_duration(text)
                .map_err(|_| format!("{field}: {text:?} is no duration such as 30s"))
        };
        let mut interval_ms = self.context.scrape_interval_ms;
        if let Some(text) = interval {
            interval_ms = parse("interval", text)?;
            if interval_ms <= 0 {
                return Err("interval must be longer than zero".to_owned());
            }
            job.insert("scrape_interval".to_owned(), text.into());
        }
        if let Some(text) = timeout {
            if parse("scrapeTimeout", text)? > interval_ms {
                return Err(format!(
                    "scrapeTimeout {text} is longer than the interval {}",
                    interval.map_or_else(
                        || format!("{} of the stack", model::format_duration(interval_ms)),
                        str::to_owned
                    )
                ));
            }
            job.insert("scrape_timeout".to_owned(), text.into());
        }
        Ok(())
    }
}

/// Refuses a scrape class: stacks have none.
///
/// # Errors
/// Where one is named.
pub fn no_scrape_class(name: Option<&str>) -> Result<(), String> {
    match name {
        None | Some("") => Ok(()),
        Some(name) => Err(format!("scrapeClass {name:?} does not exist in this stack")),
    }
}

/// The sidecar replaces `$(NAME)` when it writes the configuration; a name it does not know would
/// make every reload fail.
///
/// # Errors
/// Where a text uses such a name.
pub fn check_variables(value: &Value, path: &str) -> Result<(), String> {
    match value {
        Value::Object(fields) => fields.iter().try_for_each(|(name, field)| {
            let path = if path.is_empty() {
                name.clone()
            } else {
                format!("{path}.{name}")
            };
            check_variables(field, &path)
        }),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .try_for_each(|(index, item)| check_variables(item, &format!("{path}[{index}]"))),
        Value::String(text) => match unknown_variable(text) {
            Some(name) => Err(format!(
                "{path} uses $({name}); only $(POD_NAME) and $(SHARD) are known"
            )),
            None => Ok(()),
        },
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
    }
}

/// The first `$(NAME)` of `text` that the sidecar does not know.
pub fn unknown_variable(text: &str) -> Option<&str> {
    let mut rest = text;
    while let Some((_, tail)) = rest.split_once("$(") {
        let (name, after) = tail.split_once(')')?;
        let is_name =
            !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if is_name && name != "POD_NAME" && name != "SHARD" {
            return Some(name);
        }
        rest = after;
    }
    None
}
