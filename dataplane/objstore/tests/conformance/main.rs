//! The conformance suite against real services on this machine.

mod service;

use anyhow::{Context, Result, ensure};
use objstore::{Bucket, ErrorKind, Listing};
use runtime::metrics::Metrics;
use service::Service;

/// Runs the suite on the bucket that `yaml` describes, at its root and below a prefix.
async fn conforms(yaml: &str) -> Result<()> {
    for prefix in ["", "team/a"] {
        let yaml = format!("{yaml}\nprefix: '{prefix}'\n");
        let config = objconfig::parse(&yaml, &|_| None)?;
        let bucket = objstore::connect(&config, &Metrics::empty())?;
        objstore::testsuite::run(&*bucket).await;
    }
    Ok(())
}

#[tokio::test]
async fn versitygw_conforms() -> Result<()> {
    let root = tempfile::tempdir()?;
    std::fs::create_dir(root.path().join("blocks"))?;
    let Some(service) = Service::versitygw(root.path())? else {
        return Ok(());
    };
    conforms(&service.s3_yaml("blocks")).await
}

#[tokio::test]
async fn fake_gcs_server_conforms() -> Result<()> {
    let root = tempfile::tempdir()?;
    std::fs::create_dir(root.path().join("blocks"))?;
    let Some(service) = Service::fake_gcs_server(root.path())? else {
        return Ok(());
    };
    conforms(&service.gcs_yaml("blocks")).await
}

#[tokio::test]
async fn azurite_conforms() -> Result<()> {
    let root = tempfile::tempdir()?;
    let Some(service) = Service::azurite(root.path())? else {
        return Ok(());
    };
    // Nobody has made the container: the first use does.
    conforms(&service.azure_yaml("blocks")).await?;
    let yaml = format!(
        "{}\n  storage_create_container: false\n",
        service.azure_yaml("absent")
    );
    let config = objconfig::parse(&yaml, &|_| None)?;
    let bucket = objstore::connect(&config, &Metrics::empty())?;
    let refused = bucket.upload("a", vec![1].into()).await;
    let error = refused.err().context("there is no such container")?;
    ensure!(error.kind() == ErrorKind::NotFound, "{error:?}");
    objstore::create(&config).await?;
    objstore::create(&config).await.context("the second time")?;
    bucket.upload("a", vec![1].into()).await?;
    // A signature instead of the key, which may not make containers but may use what is there.
    let yaml = service.azure_signature_yaml("absent")?;
    let config = objconfig::parse(&yaml, &|_| None)?;
    let bucket = objstore::connect(&config, &Metrics::empty())?;
    ensure!(bucket.get("a").await? == vec![1], "another object");
    Ok(())
}

#[tokio::test]
async fn folder_by_its_configuration_conforms() -> Result<()> {
    let root = tempfile::tempdir()?;
    let directory = root.path().join("blocks");
    conforms(&format!(
        "type: FILESYSTEM\nconfig:\n  directory: {}",
        directory.display()
    ))
    .await
}

#[tokio::test]
async fn service_that_is_away_is_unavailable_and_not_empty() -> Result<()> {
    let port = service::free_port()?;
    let s3 = format!(
        "type: S3\nconfig: {{bucket: b, endpoint: '127.0.0.1:{port}', insecure: true, access_key: a, \
         secret_key: s, max_retries: 1}}"
    );
    let gcs = format!(
        "type: GCS\nconfig: {{bucket: b, max_retries: 1, service_account: '{}'}}",
        service::gcs_key_file(port)
    );
    let azure = format!(
        "type: AZURE\nconfig: {{container: b, max_retries: 1, storage_connection_string: \
         'AccountName=a;AccountKey=c2VjcmV0;BlobEndpoint=http://127.0.0.1:{port}/a'}}"
    );
    for yaml in [s3, gcs, azure] {
        let config = objconfig::parse(&yaml, &|_| None)?;
        let bucket = objstore::connect(&config, &Metrics::empty())?;
        let error = bucket.exists("x").await.expect_err("nobody listens");
        ensure!(error.is_retryable(), "{error:?}");
        let mut entries = bucket.iter("", Listing::Folder);
        let first = futures::StreamExt::next(&mut entries).await;
        ensure!(matches!(first, Some(Err(_))), "{first:?}");
    }
    Ok(())
}
