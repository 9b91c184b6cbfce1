//! Statistics of many heads as one.

use std::collections::BTreeMap;

use storeapi::proto::thanos as pb;

/// Adds up the statistics of all tenants; each list keeps its `limit` largest.
pub(crate) fn total(all: pb::TsdbStatistics, limit: usize) -> pb::TsdbStatisticsEntry {
    let entries: Vec<_> = all.statistics.into_values().collect();
    merge(entries, limit)
}

/// Adds up entries of one tenant.
pub(super) fn merge(
    entries: Vec<pb::TsdbStatisticsEntry>,
    limit: usize,
) -> pb::TsdbStatisticsEntry {
    let heads = entries.iter().filter_map(|entry| entry.head_statistics);
    let head_statistics = heads.reduce(|a, b| pb::HeadStatistics {
        num_series: a.num_series.saturating_add(b.num_series),
        num_label_pairs: a.num_label_pairs.saturating_add(b.num_label_pairs),
        chunk_count: a.chunk_count.saturating_add(b.chunk_count),
        min_time: a.min_time.min(b.min_time),
        max_time: a.max_time.max(b.max_time),
    });
    let add = |list: fn(&pb::TsdbStatisticsEntry) -> &Vec<pb::Statistic>| {
        let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
        for statistic in entries.iter().flat_map(list) {
            let sum = sums.entry(&statistic.name).or_default();
            *sum = sum.saturating_add(statistic.value);
        }
        let mut sums: Vec<_> = sums.into_iter().collect();
        sums.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
        let kept = sums.into_iter().take(limit);
        let statistic = |(name, value): (&str, u64)| pb::Statistic {
            name: name.to_owned(),
            value,
        };
        kept.map(statistic).collect()
    };
    pb::TsdbStatisticsEntry {
        head_statistics,
        series_count_by_metric_name: add(|entry| &entry.series_count_by_metric_name),
        label_value_count_by_label_name: add(|entry| &entry.label_value_count_by_label_name),
        memory_in_bytes_by_label_name: add(|entry| &entry.memory_in_bytes_by_label_name),
        series_count_by_label_value_pair: add(|entry| &entry.series_count_by_label_value_pair),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_added_and_the_largest_kept() {
        let entry = |series, names: &[(&str, u64)], min_time| pb::TsdbStatisticsEntry {
            head_statistics: Some(pb::HeadStatistics {
                num_series: series,
                min_time,
                max_time: min_time + 10,
                ..pb::HeadStatistics::default()
            }),
            series_count_by_metric_name: names
                .iter()
                .map(|(name, value)| pb::Statistic {
                    name: (*name).into(),
                    value: *value,
                })
                .collect(),
            ..pb::TsdbStatisticsEntry::default()
        };
        let merged = merge(
            vec![
                entry(3, &[("a", 1), ("b", 2)], 5),
                entry(4, &[("a", 3), ("c", 1)], 1),
            ],
            2,
        );
        let head = merged.head_statistics.expect("there");
        assert_eq!((head.num_series, head.min_time, head.max_time), (7, 1, 15));
        let names: Vec<_> = merged
            .series_count_by_metric_name
            .iter()
            .map(|of| (of.name.as_str(), of.value))
            .collect();
        assert_eq!(names, [("a", 4), ("b", 2)]);
    }
}
