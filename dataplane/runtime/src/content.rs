//! Configuration given inline or by file, and `$(VAR)` in it.

use std::path::{Path, PathBuf};

/// The largest configuration file that is read.
pub const MAX_CONTENT_BYTES: u64 = 16 << 20;

/// Why configuration content could not be had.
#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    /// Both forms were given.
    #[error("--{flag} and --{flag}-file exclude each other; give one")]
    Both {
        /// The flag's name without dashes.
        flag: &'static str,
    },
    /// The file could not be read.
    #[error("reading {path} given by --{flag}-file")]
    Read {
        /// The flag's name without dashes.
        flag: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is larger than [`MAX_CONTENT_BYTES`].
    #[error("{path} has {bytes} bytes, more than the {MAX_CONTENT_BYTES} a configuration may have")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
    },
    /// A `$(VAR)` names a variable that is not set.
    #[error("found reference to unset environment variable {name:?}; set it or write $$({name})")]
    Unset {
        /// The variable.
        name: String,
    },
}

/// A pair of flags `--x` and `--x-file`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PathOrContent {
    /// The flag's name without dashes and without `-file`, for messages.
    pub flag: &'static str,
    /// The content itself.
    pub content: Option<String>,
    /// The file that holds it.
    pub path: Option<PathBuf>,
}

impl PathOrContent {
    /// Returns the content, `None` when neither form was given. The file is read anew at every call.
    ///
    /// # Errors
    /// When both forms were given, or the file cannot be read.
    pub fn load(&self) -> Result<Option<String>, ContentError> {
        match (&self.content, &self.path) {
            (Some(_), Some(_)) => Err(ContentError::Both { flag: self.flag }),
            (Some(content), None) if content.is_empty() => Ok(None),
            (Some(content), None) => Ok(Some(content.clone())),
            (None, Some(path)) => self.read(path).map(Some),
            (None, None) => Ok(None),
        }
    }

    fn read(&self, path: &Path) -> Result<String, ContentError> {
        let failed = |source| ContentError::Read {
            flag: self.flag,
            path: path.to_owned(),
            source,
        };
        let bytes = std::fs::metadata(path).map_err(failed)?.len();
        if bytes > MAX_CONTENT_BYTES {
            return Err(ContentError::TooLarge {
                path: path.to_owned(),
                bytes,
            });
        }
        std::fs::read_to_string(path).map_err(failed)
    }
}

/// Replaces each `$(NAME)` by what `lookup` answers for `NAME`; `$$(NAME)` stays as `$(NAME)`.
///
/// # Errors
/// [`ContentError::Unset`] for the first name that has no value.
pub fn expand_env(
    text: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<String, ContentError> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("$(") {
        let (before, from) = rest.split_at(at);
        let name_len = from[2..].find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        let Some(name_len) = name_len.filter(|n| *n > 0 && from[2 + n..].starts_with(')')) else {
            out.push_str(before);
            out.push_str("$(");
            rest = &from[2..];
            continue;
        };
        let name = &from[2..2 + name_len];
        match before.strip_suffix('$') {
            Some(escaped) => {
                out.push_str(escaped);
                out.push_str(&from[..3 + name_len]);
            }
            None => {
                out.push_str(before);
                out.push_str(&lookup(name).ok_or_else(|| ContentError::Unset {
                    name: name.to_owned(),
                })?);
            }
        }
        rest = &from[3 + name_len..];
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(name: &str) -> Option<String> {
        (name == "POD_NAME").then(|| "prom-0".to_owned())
    }

    #[test]
    fn variables_are_replaced_and_the_rest_is_kept() {
        for (text, expected) in [
            ("a: $(POD_NAME)\n", "a: prom-0\n"),
            ("$(POD_NAME)$(POD_NAME)", "prom-0prom-0"),
            ("$$(POD_NAME)", "$(POD_NAME)"),
            ("regex: (.+)$", "regex: (.+)$"),
            ("$() $(a b) $1 ${x} $(", "$() $(a b) $1 ${x} $("),
        ] {
            assert_eq!(expand_env(text, &lookup).expect(text), expected);
        }
    }

    #[test]
    fn unset_variable_is_named() {
        let error = expand_env("x: $(NOPE)", &lookup).expect_err("unset");
        assert!(error.to_string().contains("\"NOPE\""), "{error}");
    }

    #[test]
    fn inline_and_file_exclude_each_other() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("x.yaml");
        std::fs::write(&path, "from file").expect("write");
        let flag = "objstore.config";
        let both = PathOrContent {
            flag,
            content: Some("x".into()),
            path: Some(path.clone()),
        };
        assert!(matches!(both.load(), Err(ContentError::Both { .. })));
        let file = PathOrContent {
            flag,
            content: None,
            path: Some(path),
        };
        assert_eq!(file.load().expect("readable").as_deref(), Some("from file"));
        let none = PathOrContent {
            flag,
            content: None,
            path: None,
        };
        assert_eq!(none.load().expect("nothing given"), None);
        let missing = PathOrContent {
            flag,
            content: None,
            path: Some("/nonexistent".into()),
        };
        assert!(matches!(missing.load(), Err(ContentError::Read { .. })));
    }
}
