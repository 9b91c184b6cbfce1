use std::time::Duration;

use super::*;

fn parse_words(words: &str) -> Result<Parsed, clap::Error> {
    parse(std::iter::once("hindsight").chain(words.split_whitespace()))
}

fn refused(words: &str) -> String {
    parse_words(words).expect_err(words).to_string()
}

fn query(words: &str) -> anyhow::Result<::query::Config> {
    let parsed = parse_words(words)?;
    let Command::Query(args) = parsed.command else {
        anyhow::bail!("not query: {words}")
    };
    args.settings.config(
        args.http.config(),
        args.grpc.config()?,
        &args.limits,
        parsed.flags,
    )
}

#[test]
fn the_command_is_consistent() {
    command().debug_assert();
}

#[test]
fn a_querier_is_configured_as_thanos_is() {
    let config = query(
        "query --http-address=0.0.0.0:9090 --grpc-address :10901 --endpoint=a:1 --endpoint b:2 \
         --endpoint-strict=c:3 --endpoint=dnssrv+_grpc._tcp.demo-storeapi.ns.svc \
         --query.replica-label=prometheus_replica --query.replica-label=replica,rule_replica \
         --query.timeout=5m --query.lookback-delta=10m --query.auto-downsampling \
         --no-query.partial-response --store.response-timeout=30s --query.max-concurrent=3 \
         --deduplication.func=chain --selector-label=cluster=\"eu\" --web.external-prefix=/thanos/ \
         --enable-feature=promql-experimental-functions,promql-at-modifier \
         --grpc-client-tls-secure --grpc-client-tls-ca=/ca.crt --grpc-client-server-name=stack \
         --log.level=debug --log.format=json",
    )
    .expect("valid");
    assert_eq!(config.http.address, "0.0.0.0:9090");
    let addresses: Vec<_> = config
        .endpoints
        .sources
        .fixed
        .iter()
        .map(|spec| (spec.address.to_string(), spec.strict))
        .collect();
    let expected = [
        ("a:1", false),
        ("b:2", false),
        ("dnssrv+_grpc._tcp.demo-storeapi.ns.svc", false),
        ("c:3", true),
    ];
    assert_eq!(
        addresses,
        expected.map(|(address, strict)| (address.to_owned(), strict))
    );
    let tls = config.endpoints.sources.default_client.tls.expect("tls");
    assert_eq!(tls.server_name.as_deref(), Some("stack"));
    assert_eq!(
        config.answers.replica_labels,
        ["prometheus_replica", "replica", "rule_replica"]
    );
    assert_eq!(config.answers.dedup, storeapi::dedup::Algorithm::Chain);
    assert!(!config.answers.partial_response && config.answers.rules_partial_response);
    assert_eq!(config.engine.timeout, Duration::from_secs(300));
    assert_eq!(config.engine.lookback_delta, Some(Duration::from_secs(600)));
    assert!(config.engine.auto_downsampling && config.engine.experimental);
    assert_eq!(config.endpoints.response_timeout, Duration::from_secs(30));
    assert_eq!(config.web.route_prefix, "/thanos");
    assert_eq!(config.selector_labels.to_string(), "{cluster=\"eu\"}");
    assert_eq!(config.flags["query.max-concurrent"], "3");
    assert_eq!(config.flags["query.partial-response"], "false");
    assert_eq!(config.flags["query.timeout"], "5m");
}

#[test]
fn switches_are_written_in_every_way() {
    for (words, expected) in [
        ("", false),
        ("--query.auto-downsampling", true),
        ("--query.auto-downsampling=true", true),
        ("--query.auto-downsampling=false", false),
        ("--no-query.auto-downsampling", false),
    ] {
        let config = query(&format!("query {words}")).expect(words);
        assert_eq!(config.engine.auto_downsampling, expected, "{words}");
    }
}

#[test]
fn a_frontend_is_configured_as_thanos_is() {
    let config = |words: &str| {
        let words = format!("query-frontend {words}");
        match parse_words(&words).expect("understood").command {
            Command::QueryFrontend(args) => args.config().map_err(|error| format!("{error:#}")),
            other => panic!("{other:?}"),
        }
    };
    let given = config(
        "--query-frontend.downstream-url=http://query:10902 --query-range.split-interval=12h \
         --no-query-range.align-range-with-step --query-frontend.log-queries-longer-than=-1s \
         --query-range.response-cache-config={\"type\":\"IN-MEMORY\"}",
    )
    .expect("usable");
    assert_eq!(given.downstream_url, "http://query:10902");
    assert_eq!(given.range.split_interval, Duration::from_secs(12 * 3600));
    assert_eq!(given.slow_queries, Some(Duration::ZERO));
    assert!(!given.range.align);
    assert!(given.range.cache.is_some());
    let default = config("").expect("usable");
    assert_eq!((default.slow_queries, default.range.cache), (None, None));
    let refused = config("--query-range.response-cache-config={\"type\":\"REDIS\"}");
    let text = refused.map(|_| ()).expect_err("no such cache");
    assert!(
        text.contains("--query-range.response-cache-config"),
        "{text}"
    );
    assert!(text.contains("REDIS"), "{text}");
}

#[test]
fn what_is_not_understood_is_refused_by_name() {
    for (words, named) in [
        ("query --no-such-flag", "--no-such-flag"),
        ("query --no-such.flag=3", "--no-such.flag"),
        ("query --query.timeout=soon", "--query.timeout"),
        (
            "query --query.timeout=1m --query.timeout=2m",
            "--query.timeout",
        ),
        ("query --log.level=loud", "--log.level"),
        ("query --deduplication.func=best", "--deduplication.func"),
        (
            "query --query.tenant-certificate-field=organization",
            "--query.tenant-certificate-field",
        ),
        ("store --index-cache-size=much", "--index-cache-size"),
        (
            "sidecar --reloader.watch-interval=x",
            "--reloader.watch-interval",
        ),
        ("receive", "receive"),
    ] {
        let error = refused(words);
        assert!(error.contains(named), "{words}: {error}");
    }
    for (words, named) in [
        ("query --endpoint=http://a:1", "--endpoint"),
        ("query --endpoint-strict=dns+a:1", "static address"),
        (
            "query --endpoint.sd-config=a --endpoint.sd-config-file=b",
            "exclude each other",
        ),
        ("query --query.max-concurrent=0", "--query.max-concurrent"),
        ("query --enable-feature=magic", "magic"),
        ("query --query.mode=distributed", "--query.mode"),
        ("query --grpc-server-tls-cert=a", "key"),
        ("query --selector-label=x", "--selector-label"),
    ] {
        let error = query(words).map(|_| ()).expect_err(words);
        assert!(format!("{error:#}").contains(named), "{words}: {error:#}");
    }
}

#[test]
fn tuning_of_what_is_not_here_is_warned_of() {
    let parsed = parse_words(
        "store --objstore.config=x --store.enable-index-header-lazy-reader --no-cache-index-header \
         --tracing.config-file=/t.yaml",
    )
    .expect("accepted");
    let named: Vec<_> = parsed
        .warnings
        .iter()
        .filter_map(|text| text.split_whitespace().nth(1))
        .collect();
    let mut expected = [
        "--tracing.config-file",
        "--cache-index-header",
        "--store.enable-index-header-lazy-reader",
    ];
    let mut named = named;
    named.sort_unstable();
    expected.sort_unstable();
    assert_eq!(named, expected);
    assert!(parse_words("query").expect("accepted").warnings.is_empty());
}

#[test]
fn secrets_are_not_among_the_flags_shown() {
    let parsed = parse_words("store --objstore.config=secret_key:hunter2").expect("accepted");
    assert_eq!(parsed.flags["objstore.config"], "<content>");
    assert!(!format!("{:?}", parsed.flags).contains("hunter2"));
}

#[test]
fn a_store_and_a_sidecar_are_configured_as_thanos_are() {
    let parsed = parse_words(
        "store --objstore.config-file=/b.yaml --data-dir=/data --min-time=-6w --max-time=-2h \
         --store.limits.request-series=7 --chunk-pool-size=1GB --sync-block-duration=3m \
         --index-cache.config={\"type\":\"IN-MEMORY\",\"config\":{\"max_size\":\"1MB\"}} \
         --selector.relabel-config=[{\"action\":\"drop\",\"source_labels\":[\"a\"],\"regex\":\"b\"}]",
    )
    .expect("valid");
    assert_eq!(parsed.flags["index-cache.config"], "<content>");
    let Command::Store(args) = parsed.command else {
        panic!("not store")
    };
    let (http, grpc) = (args.http.config(), args.grpc.config().expect("grpc"));
    let config = args
        .settings
        .config(http, grpc, &args.limits, 0)
        .expect("valid");
    assert_eq!(config.read.limits.series, 7);
    assert_eq!(config.read.chunk_pool_bytes, 1 << 30);
    let kept = |value| {
        let labels = model::Labels::from_pairs([("a", value)]);
        model::relabel::relabel(&labels, &config.sync.filters.relabel).is_some()
    };
    assert!(kept("c") && !kept("b"));
    assert_eq!(
        config.read.index_cache,
        ::store::IndexCacheConfig::of_size(1 << 20)
    );
    assert_eq!(config.sync.interval, Duration::from_secs(180));
    let window = config.sync.window.expect("window")(10_000_000_000);
    assert_eq!(window.start, 10_000_000_000 - 6 * 7 * 86_400_000);
    assert_eq!(window.end, 10_000_000_000 - 7_200_000);

    let Command::Store(args) = parse_words("store").expect("valid").command else {
        panic!("not store")
    };
    let (http, grpc) = (args.http.config(), args.grpc.config().expect("grpc"));
    let config = args
        .settings
        .config(http, grpc, &args.limits, 0)
        .expect("valid");
    assert!(
        config.sync.window.is_none(),
        "the defaults serve all of time"
    );

    let parsed = parse_words(
        "sidecar --prometheus.url=http://127.0.0.1:9090 --tsdb.path=/prometheus \
         --reloader.config-file=/etc/in.yaml --reloader.config-envsubst-file=/etc/out.yaml \
         --reloader.rule-dir=/a --reloader.rule-dir=/b --shipper.upload-compacted \
         --min-time=0000-01-01T00:00:00Z",
    )
    .expect("valid");
    let Command::Sidecar(args) = parsed.command else {
        panic!("not sidecar")
    };
    let config = args.config(0).expect("valid");
    assert_eq!(config.reload.rule_dirs.len(), 2);
    assert!(config.ship.upload_compacted);
    assert_eq!(config.min_time, -62_167_219_200_000);
}

#[test]
fn all_in_one_takes_the_flags_of_both() {
    let parsed = parse_words(
        "all-in-one --objstore.config-file=/b.yaml --data-dir=/data --query.replica-label=replica \
         --endpoint=other:10901 --store.limits.request-samples=9",
    )
    .expect("valid");
    let Command::AllInOne(args) = parsed.command else {
        panic!("not all-in-one")
    };
    assert_eq!(args.query.replica_label, ["replica"]);
    assert_eq!(args.store.data_dir, std::path::Path::new("/data"));
    assert_eq!(args.limits.samples, 9);
}

fn compact(words: &str) -> anyhow::Result<::compact::Config> {
    let Command::Compact(args) = parse_words(words)?.command else {
        anyhow::bail!("not compact: {words}")
    };
    args.config(0)
}

#[test]
fn a_compactor_is_configured_as_thanos_is() {
    let config = compact(
        "compact --wait --wait-interval=1m --retention.resolution-raw=30d \
         --retention.resolution-1h=1y --retention.override={tenant=\"a\"}=raw:60d,1h:0d \
         --delete-delay=0s --compact.concurrency=3 --deduplication.func=penalty \
         --deduplication.replica-label=replica --deduplication.replica-label=prometheus_replica",
    )
    .expect("valid");
    let day_ms = 86_400_000;
    let work = config.work;
    assert!(config.http.is_some());
    assert_eq!(work.wait_interval, Some(Duration::from_secs(60)));
    assert_eq!(work.retention.keep.raw_ms, Some(30 * day_ms));
    assert_eq!(work.retention.keep.five_minutes_ms, None);
    let (matchers, keep) = &work.retention.overrides[0];
    assert_eq!(matchers.len(), 1);
    assert_eq!(keep.raw_ms, Some(60 * day_ms));
    assert_eq!(keep.one_hour_ms, None);
    assert_eq!(work.replica_labels, ["replica", "prometheus_replica"]);
    assert!(work.vertical, "replicas overlap");
    assert_eq!(work.shard, "0");
    assert_eq!(work.delete_delay, Duration::ZERO);

    let once = compact("compact").expect("valid");
    assert!(once.http.is_none() && once.work.wait_interval.is_none());
    let shard = compact("compact --min-time=-2w").expect("valid").work.shard;
    assert_ne!(shard, "0");
}

#[test]
fn retention_that_would_outrun_downsampling_is_refused() {
    let error = compact("compact --retention.resolution-raw=39h").expect_err("too short");
    assert!(format!("{error:#}").contains("40h"), "{error:#}");
    let error = compact("compact --retention.resolution-5m=9d").expect_err("too short");
    assert!(format!("{error:#}").contains("10d"), "{error:#}");
    compact("compact --retention.resolution-raw=2h --downsampling.disable").expect("valid");
    let error = compact("compact --retention.override={a=\"b\"}=raw:1h").expect_err("too short");
    assert!(
        format!("{error:#}").contains("--retention.override"),
        "{error:#}"
    );
    assert!(refused("compact --hash-func=SHA256").contains("hash-func"));
    assert!(refused("compact --debug.accept-malformed-index").contains("accept-malformed-index"));
}

#[test]
fn every_tool_of_a_bucket_takes_thanos_flags() {
    let id = "01KDVMH180SXHW39AHQH5MJTHC";
    for words in [
        "ls -o json --exclude-delete --min-time=-6w --max-time=2026-01-01T00:00:00Z --timeout=1m".to_owned(),
        "ls --exclude-delete=true --output=table".to_owned(),
        "inspect -l cluster=\"a\" --selector=job=\"b\" --sort-by=RANGE --sort-by=ulid --output=csv --timeout=1m"
            .to_owned(),
        format!(
            "verify -r -i index_known_issues --issues=duplicated_compaction --id={id} \
             --objstore-backup.config-file=/x --yes"
        ),
        "web --refresh=1m --timeout=1m --label=cluster --disable-admin-operations --min-time=-1h \
         --http-address=127.0.0.1:0"
            .to_owned(),
        format!(
            "replicate --objstore-to.config-file=/x --resolution=0s --resolution=5m --compaction-min=1 \
             --compaction-max=2 --compaction=3 --matcher=a=\"b\" --single-run --id={id} \
             --ignore-marked-for-deletion --min-time=-1d"
        ),
        format!("mark --id={id} --marker=no-compact-mark.json --details=why --dry-run"),
        format!("mark --id={id} --marker=deletion-mark.json --remove"),
        format!(
            "rewrite --id={id} --tmp.dir=/tmp --dry-run --delete-blocks --rewrite.to-delete-config-file=/x \
             --rewrite.to-relabel-config=[] --rewrite.add-change-log"
        ),
        format!("rewrite --id={id} --dry-run=false --yes --rewrite.add-change-log=false"),
        "upload-blocks --path=/data --label=a=\"b\" --shipper.upload-compacted \
         --shipper.upload-concurrency=5"
            .to_owned(),
        "report metrics --tenant-label=t --label=job --limit=3 -o yaml".to_owned(),
        "create --timeout=1m".to_owned(),
        "cleanup --delete-delay=48h --consistency-delay=30m --block-sync-concurrency=20 --dry-run"
            .to_owned(),
        "retention --retention.resolution-raw=30d --retention.resolution-5m=1y \
         --retention.resolution-1h=0d --delete-delay=48h --consistency-delay=30m --yes"
            .to_owned(),
        "plan --compact.enable-vertical-compaction -o json".to_owned(),
    ] {
        let words = format!("tools bucket {words} --objstore.config-file=/b.yaml --log.level=warn");
        parse_words(&words).unwrap_or_else(|error| panic!("{words}: {error}"));
    }
    for (words, expected) in [
        ("mark --marker=x.json", "is no mark"),
        ("mark --id=x --marker=deletion-mark.json", "--id"),
        ("inspect --sort-by=nothing", "is no column"),
        ("verify -i nothing", "is no issue"),
        ("verify --yes --dry-run", "--dry-run"),
    ] {
        let words = format!("tools bucket {words} --objstore.config-file=/b.yaml");
        let error = parse_words(&words).expect_err(&words).to_string();
        assert!(error.contains(expected), "{words}: {error}");
    }
}
