//! Every key of every service, as Thanos writes them.

use std::time::Duration;

use super::*;
use crate::azure::{AzureConfig, AzureCredentials};
use crate::bucket::HedgingConfig;
use crate::gcs::GcsConfig;
use crate::s3::BucketLookup;

const HTTP: &str = "http_config: {idle_conn_timeout: 1m, response_header_timeout: 1m, \
    insecure_skip_verify: true, tls_handshake_timeout: 1s, expect_continue_timeout: 1s, \
    max_idle_conns: 1, max_idle_conns_per_host: 2, max_conns_per_host: 3, \
    tls_config: {ca_file: /a, cert_file: /b, key_file: /c, server_name: d, insecure_skip_verify: false}, \
    disable_compression: true}";

fn provider(kind: &str, config: &str) -> Result<Provider, ConfigError> {
    let yaml = format!("type: {kind}\nconfig: {{{config}}}");
    parse(&yaml, &no_env).map(|config| config.provider)
}

fn azure(config: &str) -> AzureConfig {
    match provider("AZURE", config).expect(config) {
        Provider::Azure(azure) => *azure,
        other => panic!("{other:?} is not Azure"),
    }
}

fn gcs(config: &str) -> GcsConfig {
    match provider("GCS", config).expect(config) {
        Provider::Gcs(gcs) => *gcs,
        other => panic!("{other:?} is not GCS"),
    }
}

fn s3_of(kind: &str, config: &str) -> S3Config {
    match provider(kind, config).expect(config) {
        Provider::S3(s3) => *s3,
        other => panic!("{other:?} is not S3"),
    }
}

#[test]
fn every_key_of_every_service_is_known() {
    let http = HTTP;
    for (kind, config) in [
        (
            "GCS",
            format!(
                "bucket: b, service_account: '{{}}', use_grpc: false, grpc_conn_pool_size: 4, {http}, \
                 chunk_size_bytes: 1, max_retries: 2"
            ),
        ),
        (
            "AZURE",
            format!(
                "az_tenant_id: t, client_id: c, client_secret: s, storage_account: a, \
                 storage_account_key: k, storage_connection_string: '', storage_create_container: false, \
                 container: b, endpoint: e, user_assigned_id: '', max_retries: 1, \
                 reader_config: {{max_retry_requests: 1}}, pipeline_config: {{max_tries: 1, \
                 try_timeout: 1s, retry_delay: 1s, max_retry_delay: 1s}}, {http}, msi_resource: ''"
            ),
        ),
        (
            "COS",
            format!(
                "bucket: b, region: r, app_id: '1', endpoint: '', secret_key: s, secret_id: i, \
                 max_retries: 1, {http}"
            ),
        ),
        (
            "ALIYUNOSS",
            "endpoint: oss-r.aliyuncs.com, bucket: b, access_key_id: i, access_key_secret: s"
                .to_owned(),
        ),
        (
            "OBS",
            format!(
                "bucket: b, endpoint: obs.r.myhuaweicloud.com, access_key: i, secret_key: s, {http}"
            ),
        ),
        ("FILESYSTEM", "directory: /d".to_owned()),
    ] {
        provider(kind, &config).unwrap_or_else(|error| panic!("{kind}: {error}"));
        let error = provider(kind, &format!("{config}, nobodys: 1")).expect_err(kind);
        assert!(error.to_string().contains("nobodys"), "{kind}: {error}");
    }
}

#[test]
fn services_that_speak_s3_become_s3() {
    for (kind, config, bucket, endpoint, region, insecure) in [
        (
            "COS",
            "bucket: b, app_id: '12', region: ap-x, secret_id: i, secret_key: s",
            "b-12",
            "cos.ap-x.myqcloud.com",
            "ap-x",
            false,
        ),
        (
            "cos",
            "endpoint: 'http://b-12.cos.ap-y.myqcloud.com', secret_id: i, secret_key: s",
            "b-12",
            "cos.ap-y.myqcloud.com",
            "ap-y",
            true,
        ),
        (
            "ALIYUNOSS",
            "bucket: b, endpoint: oss-cn-x.aliyuncs.com, access_key_id: i, access_key_secret: s",
            "b",
            "oss-cn-x.aliyuncs.com",
            "cn-x",
            false,
        ),
        (
            "ALIYUNOSS",
            "bucket: b, endpoint: 'https://s3.oss-cn-x-internal.aliyuncs.com', access_key_id: i, \
             access_key_secret: s",
            "b",
            "s3.oss-cn-x-internal.aliyuncs.com",
            "cn-x",
            false,
        ),
        (
            "OBS",
            "bucket: b, endpoint: 'https://obs.cn-z.myhuaweicloud.com/', access_key: i, secret_key: s",
            "b",
            "obs.cn-z.myhuaweicloud.com",
            "cn-z",
            false,
        ),
    ] {
        let s3 = s3_of(kind, config);
        assert_eq!(
            (s3.bucket.as_str(), s3.endpoint.as_str(), s3.region.as_str()),
            (bucket, endpoint, region)
        );
        let (id, secret) = s3.keys.expect("given");
        assert_eq!((id.as_str(), secret.expose().as_str()), ("i", "s"));
        assert_eq!(s3.bucket_lookup, BucketLookup::VirtualHosted);
        assert_eq!(s3.insecure, insecure, "{config}");
    }
}

#[test]
fn gcs_keys_are_read() {
    let given =
        gcs("bucket: b, service_account: '{\"a\": 1}', chunk_size_bytes: 9, max_retries: 2");
    assert_eq!(given.service_account.expect("given").expose(), "{\"a\": 1}");
    assert_eq!((given.chunk_bytes, given.max_retries), (9, 2));
    let defaults = gcs("bucket: b");
    assert_eq!(defaults.service_account, None);
    assert_eq!(defaults.chunk_bytes, 16 << 20);
}

#[test]
fn azure_keys_are_read() {
    let given = azure(
        "container: c, storage_account: a, storage_account_key: k, endpoint: blob.x, max_retries: 2, \
         storage_create_container: false, reader_config: {max_retry_requests: 3}, \
         pipeline_config: {max_tries: 1, try_timeout: 4s, retry_delay: 5s, max_retry_delay: 6s}",
    );
    assert_eq!(given.url, "https://a.blob.x");
    assert_eq!(
        given.credentials,
        AzureCredentials::Key(Secret::new("k".into()))
    );
    assert!(!given.create_container);
    assert_eq!(given.retry.retries, Some(3));
    let seconds = |n| Some(Duration::from_secs(n));
    let waits = (
        given.retry.timeout,
        given.retry.first_backoff,
        given.retry.max_backoff,
    );
    assert_eq!(waits, (seconds(4), seconds(5), seconds(6)));
    let defaults = azure("container: c, storage_account: a");
    assert_eq!(defaults.url, "https://a.blob.core.windows.net");
    assert_eq!(defaults.credentials, AzureCredentials::Environment);
    assert!(defaults.create_container);
    assert_eq!(defaults.retry, crate::azure::AzureRetry::default());
}

#[test]
fn azure_credentials_are_chosen_as_thanos_does() {
    let key = |key: &str| AzureCredentials::Key(Secret::new(key.to_owned()));
    for (config, account, url, credentials) in [
        (
            "user_assigned_id: u, storage_account: a",
            "a",
            "https://a.blob.core.windows.net",
            AzureCredentials::ManagedIdentity("u".into()),
        ),
        (
            "az_tenant_id: t, client_id: i, client_secret: s, storage_account: a",
            "a",
            "https://a.blob.core.windows.net",
            AzureCredentials::ClientSecret {
                tenant_id: "t".into(),
                client_id: "i".into(),
                client_secret: Secret::new("s".into()),
            },
        ),
        (
            "storage_connection_string: 'DefaultEndpointsProtocol=https;AccountName=a;AccountKey=a2V5==;\
             EndpointSuffix=core.chinacloudapi.cn'",
            "a",
            "https://a.blob.core.chinacloudapi.cn",
            key("a2V5=="),
        ),
        (
            "storage_connection_string: 'BlobEndpoint=http://127.0.0.1:1/x/;SharedAccessSignature=?sv=1&sig=%3D', \
             storage_account: x",
            "x",
            "http://127.0.0.1:1/x",
            AzureCredentials::SharedAccessSignature(Secret::new("sv=1&sig=%3D".into())),
        ),
    ] {
        let azure = azure(&format!("container: c, {config}"));
        assert_eq!((azure.account.as_str(), azure.url.as_str()), (account, url));
        assert_eq!(azure.credentials, credentials, "{config}");
    }
    let emulator = azure("container: c, storage_connection_string: UseDevelopmentStorage=true");
    assert_eq!(emulator.url, "http://127.0.0.1:10000/devstoreaccount1");
}

#[test]
fn each_mistake_of_a_service_is_named() {
    for (kind, config, expected) in [
        ("GCS", "max_retries: 1", "config.bucket: is missing"),
        ("GCS", "bucket: b, use_grpc: true", "config.use_grpc"),
        ("AZURE", "storage_account: a", "config.container"),
        ("AZURE", "container: c", "config.storage_account"),
        (
            "AZURE",
            "container: c, storage_account: a, endpoint: 'https://e'",
            "config.endpoint",
        ),
        (
            "AZURE",
            "container: c, storage_account: a, msi_resource: r",
            "config.msi_resource",
        ),
        (
            "AZURE",
            "container: c, storage_account: a, storage_account_key: k, user_assigned_id: u",
            "config.user_assigned_id",
        ),
        (
            "AZURE",
            "container: c, storage_account: a, client_id: i, client_secret: s",
            "config.az_tenant_id",
        ),
        (
            "AZURE",
            "container: c, storage_account: a, client_id: i, client_secret: s, az_tenant_id: t, \
             user_assigned_id: u",
            "config.user_assigned_id",
        ),
        (
            "AZURE",
            "container: c, storage_connection_string: AccountName=a",
            "AccountKey",
        ),
        (
            "AZURE",
            "container: c, storage_connection_string: AccountKey=a",
            "AccountName",
        ),
        (
            "AZURE",
            "container: c, storage_connection_string: 'AccountName=a;AccountKey=k;BlobEndpoint=h'",
            "BlobEndpoint",
        ),
        (
            "AZURE",
            "container: c, storage_connection_string: AccountName=a, storage_account_key: k",
            "config.storage_connection_string",
        ),
        ("COS", "bucket: b, app_id: a, region: r", "config.secret_id"),
        (
            "COS",
            "bucket: b, app_id: a, secret_id: i, secret_key: k",
            "config.region",
        ),
        (
            "COS",
            "endpoint: cos.r.x, secret_id: i, secret_key: k",
            "config.endpoint",
        ),
        ("ALIYUNOSS", "endpoint: e", "config.bucket"),
        (
            "ALIYUNOSS",
            "endpoint: e, bucket: b, access_key_id: i",
            "config.access_key_secret",
        ),
        ("OBS", "bucket: b", "config.endpoint"),
        (
            "OBS",
            "bucket: b, endpoint: 'https://e/x', access_key: i, secret_key: k",
            "config.endpoint",
        ),
    ] {
        let error = provider(kind, config).expect_err(config).to_string();
        assert!(
            error.contains(expected),
            "{config}\n=> {error}\nlacks {expected}"
        );
    }
}

#[test]
fn hedging_is_off_until_it_is_enabled() {
    let hedging = |text: &str| {
        let yaml = format!("type: FILESYSTEM\nconfig: {{directory: /d}}\n{text}");
        parse(&yaml, &no_env).expect(text).hedging
    };
    assert_eq!(hedging(""), None);
    assert_eq!(hedging("hedging_config: {enabled: false, up_to: 0}"), None);
    let thanos = HedgingConfig {
        up_to: 3,
        quantile: 0.9,
    };
    assert_eq!(hedging("hedging_config: {enabled: true}"), Some(thanos));
    let own = HedgingConfig {
        up_to: 2,
        quantile: 0.5,
    };
    assert_eq!(
        hedging("hedging_config: {enabled: true, up_to: 2, quantile: 0.5}"),
        Some(own)
    );
}

#[test]
fn secrets_of_no_service_are_shown() {
    for (kind, config) in [
        ("GCS", "bucket: b, service_account: hunter2"),
        (
            "AZURE",
            "container: c, storage_account: a, storage_account_key: hunter2",
        ),
        (
            "AZURE",
            "container: c, storage_connection_string: 'AccountName=a;SharedAccessSignature=hunter2'",
        ),
        (
            "AZURE",
            "container: c, storage_account: a, az_tenant_id: t, client_id: i, client_secret: hunter2",
        ),
        (
            "COS",
            "bucket: b, app_id: '1', region: r, secret_id: i, secret_key: hunter2",
        ),
        (
            "ALIYUNOSS",
            "bucket: b, endpoint: e, access_key_id: i, access_key_secret: hunter2",
        ),
        (
            "OBS",
            "bucket: b, endpoint: e, access_key: i, secret_key: hunter2",
        ),
    ] {
        let shown = format!("{:?}", provider(kind, config).expect(config));
        assert!(!shown.contains("hunter"), "{shown}");
        let error = provider(kind, &format!("{config}, nobodys: 1")).expect_err(kind);
        assert!(!format!("{error} {error:?}").contains("hunter"), "{error}");
    }
}
