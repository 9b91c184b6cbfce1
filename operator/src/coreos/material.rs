//! Secrets and ConfigMaps that monitoring resources name, and which of them are named at all.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use crds::coreos::{KeySelector, SecretOrConfigMap};

use crate::controller::dereference::SecretData;

/// What holds a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Holder {
    Secret,
    ConfigMap,
}

impl Holder {
    /// The kind's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Secret => "Secret",
            Self::ConfigMap => "ConfigMap",
        }
    }
}

/// Names a Secret or ConfigMap.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    pub holder: Holder,
    pub namespace: String,
    pub name: String,
}

/// What became of reading one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    Data(SecretData),
    Missing,
    /// The operator has no right to read it.
    Forbidden,
}

/// What the objects may use.
#[derive(Clone, Debug, Default)]
pub struct Material {
    contents: BTreeMap<Reference, Content>,
    /// Whether every value is taken to be there.
    is_gathering: bool,
    /// What was asked for; the first translation is there to find out.
    wanted: RefCell<BTreeSet<Reference>>,
}

impl Material {
    /// Material with these contents.
    pub fn new(contents: BTreeMap<Reference, Content>) -> Self {
        Self {
            contents,
            is_gathering: false,
            wanted: RefCell::default(),
        }
    }

    /// Material that has an empty text for everything: for finding out what is asked for.
    pub fn gathering() -> Self {
        Self {
            is_gathering: true,
            ..Self::default()
        }
    }

    /// Everything that was asked for.
    pub fn into_wanted(self) -> BTreeSet<Reference> {
        self.wanted.into_inner()
    }

    /// The value of a Secret's key.
    ///
    /// # Errors
    /// Why there is none, for the object's author.
    pub fn secret(&self, namespace: &str, key: &KeySelector) -> Result<String, String> {
        self.value(Holder::Secret, namespace, key)
    }

    /// The value of a Secret's or a ConfigMap's key; none where neither is named.
    ///
    /// # Errors
    /// Why there is none, or that both are named.
    pub fn either(
        &self,
        namespace: &str,
        reference: &SecretOrConfigMap,
    ) -> Result<Option<String>, String> {
        match (&reference.secret, &reference.config_map) {
            (Some(_), Some(_)) => Err("names both a Secret and a ConfigMap".to_owned()),
            (Some(key), None) => self.value(Holder::Secret, namespace, key).map(Some),
            (None, Some(key)) => self.value(Holder::ConfigMap, namespace, key).map(Some),
            (None, None) => Ok(None),
        }
    }

    fn value(&self, holder: Holder, namespace: &str, key: &KeySelector) -> Result<String, String> {
        let (kind, name) = (holder.as_str(), &key.name);
        if name.is_empty() || key.key.is_empty() {
            return Err(format!("names no {kind} or no key of it"));
        }
        let reference = Reference {
            holder,
            namespace: namespace.to_owned(),
            name: name.clone(),
        };
        let content = self.contents.get(&reference);
        if self.is_gathering {
            self.wanted.borrow_mut().insert(reference);
            return Ok(String::new());
        }
        match content {
            None | Some(Content::Missing) => Err(format!(
                "{kind} {name:?} does not exist in namespace {namespace}"
            )),
            Some(Content::Forbidden) => Err(format!(
                "the operator may not read {kind} {name:?}: namespace {namespace} is not one it serves"
            )),
            Some(Content::Data(data)) => {
                let bytes = data
                    .0
                    .get(&key.key)
                    .ok_or_else(|| format!("{kind} {name:?} has no key {:?}", key.key))?;
                std::str::from_utf8(bytes)
                    .map(str::to_owned)
                    .map_err(|_| format!("{kind} {name:?}, key {:?}: is not UTF-8", key.key))
            }
        }
    }
}
