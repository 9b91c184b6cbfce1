//! The configuration template: `$(VAR)` becomes the variable's value, as in Thanos' reloader.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};
use thiserror::Error;

/// The most bytes an expanded template may have; a ConfigMap holds one MiB.
const MAX_TEMPLATE_BYTES: u64 = 64 << 20;

/// Why a template cannot be used.
#[derive(Debug, Error)]
pub enum TemplateError {
    #[error("cannot read the configuration template {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("the configuration template {} is no UTF-8 text or larger than 64 MiB", path.display())]
    NoText { path: PathBuf },
    #[error(
        "line {line} of the configuration template names $({name}), which is not set in the sidecar's environment"
    )]
    Unset { name: String, line: usize },
}

type LookupFn = dyn Fn(&str) -> Option<String> + Send + Sync;

/// Where variables come from.
#[derive(Clone)]
pub struct Lookup(Arc<LookupFn>);

impl Lookup {
    pub fn new(lookup: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(lookup))
    }

    /// Returns a lookup of the process's environment.
    #[must_use]
    pub fn environment() -> Self {
        Self::new(|name| std::env::var(name).ok())
    }
}

impl fmt::Debug for Lookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lookup")
    }
}

/// A template as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    pub text: String,
    /// SHA-256 of the plain text, hexadecimal.
    pub hash: String,
}

/// Reads a template; one that is gzipped, as prometheus-operator mounts it, is unpacked.
///
/// # Errors
/// A file that cannot be read, or is no text.
pub async fn read(path: &Path) -> Result<Template, TemplateError> {
    let raw = tokio::fs::read(path)
        .await
        .map_err(|source| TemplateError::Read {
            path: path.to_owned(),
            source,
        })?;
    let no_text = || TemplateError::NoText {
        path: path.to_owned(),
    };
    let plain = if raw.starts_with(&[0x1f, 0x8b]) {
        let mut plain = Vec::new();
        flate2::read::MultiGzDecoder::new(raw.as_slice())
            .take(MAX_TEMPLATE_BYTES)
            .read_to_end(&mut plain)
            .map_err(|source| TemplateError::Read {
                path: path.to_owned(),
                source,
            })?;
        plain
    } else {
        raw
    };
    if plain.len() as u64 >= MAX_TEMPLATE_BYTES {
        return Err(no_text());
    }
    let text = String::from_utf8(plain).map_err(|_| no_text())?;
    let hash = hex(&Sha256::digest(text.as_bytes()));
    Ok(Template { text, hash })
}

/// Replaces each `$(VAR)` of a valid variable name.
///
/// # Errors
/// A variable that is not set: an empty replica label would merge two replicas into one stream.
pub fn expand(text: &str, lookup: &Lookup) -> Result<String, TemplateError> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("$(") {
        let (head, tail) = rest.split_at(at);
        out.push_str(head);
        let name = tail
            .get(2..)
            .and_then(|t| t.split_once(')'))
            .map(|(name, _)| name);
        match name.filter(|name| is_variable(name)) {
            None => {
                out.push_str("$(");
                rest = tail.get(2..).unwrap_or("");
            }
            Some(name) => {
                let value = (lookup.0)(name).ok_or_else(|| TemplateError::Unset {
                    name: name.to_owned(),
                    line: 1 + text
                        .len()
                        .checked_sub(tail.len())
                        .map_or(0, |n| text.bytes().take(n).filter(|b| *b == b'\n').count()),
                })?;
                out.push_str(&value);
                rest = tail.get(name.len() + 3..).unwrap_or("");
            }
        }
    }
    out.push_str(rest);
    Ok(out)
}

fn is_variable(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes
        .next()
        .is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Returns bytes as lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup() -> Lookup {
        Lookup::new(|name| (name == "POD_NAME").then(|| "demo-prometheus-0".to_owned()))
    }

    #[test]
    fn only_variables_in_parentheses_are_replaced() {
        let text = "replica: $(POD_NAME)\nrelabel: $1 ${1} $(1) $( x\nend: $(POD_NAME)$(POD_NAME)";
        assert_eq!(
            expand(text, &lookup()).unwrap(),
            "replica: demo-prometheus-0\nrelabel: $1 ${1} $(1) $( x\nend: demo-prometheus-0demo-prometheus-0"
        );
    }

    #[test]
    fn an_unset_variable_is_refused_with_its_line() {
        let err = expand("a: 1\nb: $(NODE)", &lookup())
            .unwrap_err()
            .to_string();
        assert_eq!(
            err,
            "line 2 of the configuration template names $(NODE), which is not set in the sidecar's environment"
        );
    }

    #[tokio::test]
    async fn a_gzipped_template_has_the_hash_of_its_text() {
        let dir = tempfile::tempdir().unwrap();
        let (plain, zipped) = (dir.path().join("plain"), dir.path().join("zipped"));
        std::fs::write(&plain, "global: {}\n").unwrap();
        let file = std::fs::File::create(&zipped).unwrap();
        let mut encoder = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
        std::io::Write::write_all(&mut encoder, b"global: {}\n").unwrap();
        encoder.finish().unwrap();
        assert_eq!(read(&plain).await.unwrap(), read(&zipped).await.unwrap());
    }
}
