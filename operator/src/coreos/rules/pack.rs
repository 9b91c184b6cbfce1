//! Rule files into ConfigMaps: which file lies in which.
//!
//! A file's place depends on its name and on the number of ConfigMaps alone, so that a change of one
//! rule writes one ConfigMap. The number only doubles, when a ConfigMap would grow too large, and
//! all possible ConfigMaps are mounted from the start: no pod is replaced for a rule.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

/// Most ConfigMaps that rule files are spread over.
pub const MAX_CONFIG_MAPS: usize = 16;
/// Most bytes of file names and contents in one; the API server takes 1 MiB.
const MAX_BYTES: usize = 900 * 1024;

/// The files of each ConfigMap, and the names of those that found no place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packed {
    pub config_maps: Vec<BTreeMap<String, String>>,
    pub left_out: Vec<String>,
}

/// Spreads `files` over as few ConfigMaps as a power of two allows.
pub fn pack(files: &BTreeMap<String, String>) -> Packed {
    if files.is_empty() {
        return Packed::default();
    }
    let mut count = 1;
    loop {
        let packed = spread(files, count);
        if packed.left_out.is_empty() || count >= MAX_CONFIG_MAPS {
            return packed;
        }
        count *= 2;
    }
}

fn spread(files: &BTreeMap<String, String>, count: usize) -> Packed {
    let mut packed = Packed {
        config_maps: vec![BTreeMap::new(); count],
        left_out: Vec::new(),
    };
    let mut sizes = vec![0; count];
    for (name, text) in files {
        let at = place(name, count);
        let size = name.len() + text.len();
        let (Some(files), Some(used)) = (packed.config_maps.get_mut(at), sizes.get_mut(at)) else {
            continue;
        };
        if *used + size > MAX_BYTES {
            packed.left_out.push(name.clone());
        } else {
            *used += size;
            files.insert(name.clone(), text.clone());
        }
    }
    packed
}

fn place(name: &str, count: usize) -> usize {
    let digest = Sha256::digest(name);
    usize::from(digest.first().copied().unwrap_or(0)) % count
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(count: usize, bytes: usize) -> BTreeMap<String, String> {
        (0..count)
            .map(|n| (format!("ns-rule{n}-uid.yaml"), "x".repeat(bytes)))
            .collect()
    }

    #[test]
    fn few_rules_take_one_config_map() {
        let packed = pack(&files(20, 1000));
        assert_eq!(packed.config_maps.len(), 1);
        assert_eq!(packed.config_maps[0].len(), 20);
    }

    #[test]
    fn a_changed_file_changes_one_config_map() {
        let mut files = files(40, 100_000);
        let before = pack(&files);
        assert!(before.config_maps.len() > 1);
        files.insert("ns-rule7-uid.yaml".to_owned(), "y".to_owned());
        files.remove("ns-rule8-uid.yaml");
        let after = pack(&files);
        let changed = before
            .config_maps
            .iter()
            .zip(&after.config_maps)
            .filter(|(a, b)| a != b)
            .count();
        assert_eq!(after.config_maps.len(), before.config_maps.len());
        assert!((1..=2).contains(&changed), "{changed}");
    }

    #[test]
    fn what_finds_no_place_is_named() {
        let packed = pack(&files(200, 500_000));
        assert_eq!(packed.config_maps.len(), MAX_CONFIG_MAPS);
        assert!(!packed.left_out.is_empty());
        let placed: usize = packed.config_maps.iter().map(BTreeMap::len).sum();
        assert_eq!(placed + packed.left_out.len(), 200);
    }
}
