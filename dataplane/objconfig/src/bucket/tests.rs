mod services;

use std::time::Duration;

use super::*;
use crate::s3::BucketLookup;
use crate::secret::Secret;

fn no_env(_: &str) -> Option<String> {
    None
}

const FULL: &str = "
type: S3
config:
  bucket: thanos
  endpoint: s3.eu-central-1.amazonaws.com
  region: eu-central-1
  disable_dualstack: false
  aws_sdk_auth: false
  access_key: AKIA
  insecure: false
  signature_version2: false
  secret_key: hunter2
  session_token: tok
  put_user_metadata: {X-Amz-Acl: bucket-owner-full-control}
  http_config:
    idle_conn_timeout: 1m30s
    response_header_timeout: 2m
    insecure_skip_verify: false
    tls_handshake_timeout: 10s
    expect_continue_timeout: 1s
    max_idle_conns: 100
    max_idle_conns_per_host: 100
    max_conns_per_host: 0
    tls_config:
      ca_file: /ca
      cert_file: ''
      key_file: ''
      server_name: s3
      insecure_skip_verify: false
    disable_compression: false
  trace: {enable: true}
  list_objects_version: ''
  bucket_lookup_type: path
  send_content_md5: true
  disable_multipart: false
  part_size: 67108864
  sse_config:
    type: SSE-KMS
    kms_key_id: key
    kms_encryption_context: {a: b}
    encryption_key: ''
  sts_endpoint: ''
  max_retries: 3
prefix: /a/b/
";

fn s3(yaml: &str) -> S3Config {
    match parse(yaml, &no_env).expect(yaml).provider {
        Provider::S3(s3) => *s3,
        other => panic!("{other:?} is not S3"),
    }
}

#[test]
fn every_s3_key_is_read() {
    let config = parse(FULL, &no_env).expect("valid");
    assert_eq!(config.prefix, "a/b");
    assert_eq!(config.name(), "thanos");
    assert_eq!(config.files(), [PathBuf::from("/ca")]);
    let s3 = s3(FULL);
    let (access_key, secret_key) = s3.keys.expect("given");
    assert_eq!(
        (access_key.as_str(), secret_key.expose().as_str()),
        ("AKIA", "hunter2")
    );
    assert_eq!(s3.bucket_lookup, BucketLookup::Path);
    assert_eq!(s3.http_config.idle_conn_timeout, Duration::from_secs(90));
    assert_eq!(s3.http_config.tls_config.server_name, "s3");
    assert!(matches!(s3.sse, Some(Sse::Kms { .. })));
    assert!(s3.trace);
    assert_eq!((s3.part_size, s3.max_retries), (64 << 20, 3));
}

#[test]
fn defaults_are_the_fields() {
    let s3 = s3("type: s3\nconfig: {bucket: b, endpoint: 'localhost:7070', insecure: true}\n");
    assert_eq!(s3.part_size, 64 << 20);
    assert_eq!(s3.keys, None);
    assert_eq!(s3.bucket_lookup, BucketLookup::Auto);
    assert_eq!(
        s3.http_config.response_header_timeout,
        Duration::from_secs(120)
    );
}

#[test]
fn folder_and_numeric_names_are_read() {
    let config = parse("type: FILESYSTEM\nconfig:\n  directory: /data\n", &no_env).expect("valid");
    let directory = PathBuf::from("/data");
    assert_eq!(
        config.provider,
        Provider::Filesystem(FilesystemConfig { directory })
    );
    assert_eq!(
        s3("type: S3\nconfig: {bucket: 12345, endpoint: x}").bucket,
        "12345"
    );
}

#[test]
fn variables_come_from_the_environment() {
    let env = |name: &str| (name == "SECRET").then(|| "from-env".to_owned());
    let yaml = "type: S3\nconfig: {bucket: b, endpoint: e, access_key: a, secret_key: $(SECRET)}";
    let Provider::S3(s3) = parse(yaml, &env).expect("valid").provider else {
        panic!("not S3")
    };
    assert_eq!(s3.keys.expect("given").1.expose(), "from-env");
    assert_eq!(
        parse(yaml, &no_env),
        Err(ConfigError::UnsetVariable("SECRET".into()))
    );
}

#[test]
fn each_mistake_is_named() {
    let with = |line: &str| format!("type: S3\nconfig:\n  bucket: b\n  endpoint: e\n  {line}\n");
    for (yaml, expected) in [
        (String::new(), "empty"),
        ("type: S3".into(), "config: is missing"),
        ("config: {}".into(), "type: is missing"),
        (
            "type: SWIFT\nconfig: {}".into(),
            "SWIFT is not supported; reach the same containers",
        ),
        (
            "type: bos\nconfig: {}".into(),
            "type S3 with endpoint s3.<region>.bcebos.com",
        ),
        (
            "type: OCI\nconfig: {}".into(),
            "<namespace>.compat.objectstorage.<region>.oraclecloud.com",
        ),
        ("type: FTP\nconfig: {}".into(), "\"FTP\" is not known"),
        ("type: S3\nconfig: {endpoint: e}".into(), "config.bucket"),
        ("type: S3\nconfig: {bucket: b}".into(), "config.endpoint"),
        (
            "type: S3\nconfig: {bucket: b, endpoint: 'http://e'}".into(),
            "leave the scheme out",
        ),
        ("type: FILESYSTEM\nconfig: {}".into(), "config.directory"),
        (
            "type: FILESYSTEM\nconfig: {directory: /d, bucket: b}".into(),
            "bucket",
        ),
        (
            "type: S3\nconfig: {bucket: b, endpoint: e}\nprefx: a".into(),
            "prefx",
        ),
        (
            "type: S3\nconfig: {bucket: b, endpoint: e}\nprefix: a/../b".into(),
            "prefix",
        ),
        (with("bukket: b"), "bukket"),
        (with("access_key: a"), "config.secret_key"),
        (with("secret_key: a"), "config.access_key"),
        (with("part_size: 1000"), "config.part_size"),
        (
            with("signature_version2: true"),
            "config.signature_version2",
        ),
        (
            with("list_objects_version: v1"),
            "config.list_objects_version",
        ),
        (with("sse_config: {type: SSE-X}"), "config.sse_config.type"),
        (
            with("sse_config: {type: SSE-C}"),
            "config.sse_config.encryption_key",
        ),
        (
            with("http_config: {idle_conn_timeout: soon}"),
            "\"soon\" is no duration",
        ),
        (with("http_config: {tls_config: {ca: x}}"), "ca"),
        (with("bucket_lookup_type: dns"), "dns"),
        ("type: [".into(), "object store configuration"),
        (
            "type: S3\nconfig: {bucket: b, endpoint: e}\nhedging_config: {enabled: true, up_to: 0}"
                .into(),
            "hedging_config.up_to",
        ),
        (
            "type: S3\nconfig: {bucket: b, endpoint: e}\nhedging_config: {enabled: true, quantile: 1}"
                .into(),
            "hedging_config.quantile",
        ),
    ] {
        let error = parse(&yaml, &no_env).expect_err(&yaml).to_string();
        assert!(
            error.contains(expected),
            "{yaml}\n=> {error}\nlacks {expected}"
        );
    }
}

#[test]
fn unknown_key_comes_with_its_line() {
    let yaml = "type: S3\nconfig:\n  bucket: b\n  endpoint: e\n  bukket: x\n";
    let error = parse(yaml, &no_env).expect_err("unknown").to_string();
    assert!(error.contains("line 5"), "{error}");
}

#[test]
fn secrets_are_in_no_message() {
    let shown = format!("{:?}", parse(FULL, &no_env).expect("valid"));
    assert!(
        !shown.contains("hunter2") && !shown.contains("tok\""),
        "{shown}"
    );
    for broken in [
        "bukket: x",
        "part_size: many",
        "secret_key: [hunter3]",
        "max_retries: -1",
    ] {
        let yaml = format!("{}  {broken}\n", FULL.replace("prefix: /a/b/\n", ""));
        let error = parse(&yaml, &no_env).expect_err(broken);
        assert!(!format!("{error} {error:?}").contains("hunter"), "{error}");
    }
}
