//! The object store configuration in a Secret: parsed strictly before any pod sees it.

/// What may be shown of a bucket: no keys, no endpoint credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Type and bucket, e.g. `S3 metrics-prod`.
    pub text: String,
}

/// Parses Thanos' object store YAML. Variables in it are unknown here, and the containers have none.
///
/// # Errors
/// What is wrong with the document; no secret is ever part of it.
pub fn summarize(yaml: &str) -> Result<Summary, String> {
    let config = objconfig::parse(yaml, &|_| None).map_err(|error| error.to_string())?;
    let kind = match &config.provider {
        objconfig::Provider::S3(_) => "S3",
        objconfig::Provider::Gcs(_) => "GCS",
        objconfig::Provider::Azure(_) => "AZURE",
        objconfig::Provider::Filesystem(_) => {
            // Every pod would write to a folder of its own.
            return Err(
                "type FILESYSTEM cannot be shared by pods; use S3, GCS or AZURE".to_owned(),
            );
        }
    };
    Ok(Summary {
        text: format!("{kind} {}", config.name()),
    })
}
