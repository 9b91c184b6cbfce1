use model::Labels;

use super::*;

const THANOS_META: &str = r#"{
	"ulid": "01HF7YAT00B7YQVYX4CQX4D0ZZ",
	"minTime": 1700000000000,
	"maxTime": 1700007200000,
	"stats": {
		"numSamples": 480,
		"numSeries": 2,
		"numChunks": 4,
		"numNovelties": 7
	},
	"compaction": {
		"level": 2,
		"sources": [
			"01HF7YAT00B7YQVYX4CQX4D0ZY",
			"01HF7YAT00B7YQVYX4CQX4D0ZX"
		],
		"parents": [
			{
				"ulid": "01HF7YAT00B7YQVYX4CQX4D0ZY",
				"minTime": 1700000000000,
				"maxTime": 1700003600000
			}
		],
		"hints": [
			"from-out-of-order"
		]
	},
	"version": 1,
	"thanos": {
		"version": 1,
		"labels": {
			"cluster": "eu",
			"replica": "a"
		},
		"downsample": {
			"resolution": 300000
		},
		"source": "compactor",
		"files": [
			{
				"rel_path": "chunks/000001",
				"size_bytes": 1024,
				"hash": {
					"hashFunc": "SHA256",
					"value": "abc"
				}
			},
			{
				"rel_path": "meta.json"
			}
		],
		"rewrites": [
			{
				"sources": [
					"01HF7YAT00B7YQVYX4CQX4D0ZY"
				],
				"deletions_applied": [
					{
						"matchers": [],
						"intervals": [
							{
								"Mint": 1,
								"Maxt": 2
							}
						],
						"request_id": "r1"
					}
				]
			}
		],
		"index_stats": {
			"series_max_size": 128,
			"chunk_max_size": 300
		},
		"extensions": {
			"parquet_migrated": true
		},
		"upload_time": "2023-11-14T22:13:20Z",
		"future": {
			"x": 1
		}
	},
	"other": "kept"
}
"#;

#[test]
fn a_meta_with_every_field_is_written_as_it_was_read() {
    let meta = BlockMeta::decode(THANOS_META.as_bytes()).expect("it is sound");
    let thanos = meta.thanos.as_ref().expect("it has the section");
    assert_eq!(thanos.downsample.resolution, Resolution::FIVE_MINUTES);
    assert_eq!(
        thanos.external_labels(),
        Labels::from_pairs([("cluster", "eu"), ("replica", "a")])
    );
    assert_eq!(meta.compaction.parents[0].max_time, 1_700_003_600_000);
    assert_eq!(String::from_utf8(meta.encode()).as_deref(), Ok(THANOS_META));
}

#[test]
fn a_new_block_is_its_own_source() {
    let ulid = BlockId::from_parts(1_700_000_000_000, 7);
    let meta = BlockMeta::new(ulid, 10, 20);
    let again = BlockMeta::decode(&meta.encode()).expect("what is written is read");
    assert_eq!(again, meta);
    assert_eq!(again.compaction.sources, [ulid]);
    assert_eq!(again.thanos, None);
}

#[test]
fn go_null_lists_read_as_empty() {
    let text = THANOS_META.replace("\"cluster\": \"eu\",", "").replace(
        "\"source\": \"compactor\"",
        "\"source\": \"x\", \"segment_files\": null",
    );
    assert!(BlockMeta::decode(text.as_bytes()).is_ok());
}

#[test]
fn each_mistake_is_named() {
    for (from, to, complaint) in [
        (
            "\"version\": 1,\n\t\"thanos\"",
            "\"version\": 2,\n\t\"thanos\"",
            "version 2 is not known",
        ),
        (
            "\"version\": 1,\n\t\t\"labels\"",
            "\"version\": 9,\n\t\t\"labels\"",
            "version 9 of the thanos",
        ),
        (
            "01HF7YAT00B7YQVYX4CQX4D0ZZ",
            "../../etc/passwd",
            "is not a ULID",
        ),
        (
            "\"minTime\": 1700000000000,\n\t\"maxTime\"",
            "\"minTime\": 1800000000000,\n\t\"maxTime\"",
            "is no range",
        ),
        (
            "\"numSamples\": 480",
            "\"numSamples\": \"many\"",
            "invalid type",
        ),
        ("\"other\": \"kept\"\n}", "", "EOF"),
    ] {
        assert!(THANOS_META.contains(from), "{from}");
        let error = BlockMeta::decode(THANOS_META.replacen(from, to, 1).as_bytes())
            .expect_err("it is not sound");
        assert!(error.to_string().contains(complaint), "{error}");
        assert!(
            error.to_string().starts_with("corrupt meta.json: "),
            "{error}"
        );
    }
}
