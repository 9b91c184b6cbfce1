//! What the binary says it is.

use runtime::metrics::BuildInfo;

/// Version, revision and branch; the last two are set where a release is built.
pub const BUILD: BuildInfo = BuildInfo {
    prefix: "thanos",
    version: env!("CARGO_PKG_VERSION"),
    revision: match option_env!("HINDSIGHT_REVISION") {
        Some(revision) => revision,
        None => "",
    },
    branch: match option_env!("HINDSIGHT_BRANCH") {
        Some(branch) => branch,
        None => "",
    },
};

/// Returns the text of `--version`, in the form that Prometheus' tools print.
#[must_use]
pub fn text() -> String {
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    let arch = match arch {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    format!(
        "hindsight, version {} (branch: {}, revision: {})\n  platform:         {os}/{arch}\n",
        BUILD.version, BUILD.branch, BUILD.revision
    )
}
