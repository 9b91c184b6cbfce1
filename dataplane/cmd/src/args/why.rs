//! Flags of `hindsight tools why`.

use clap::Args;
use runtime::units::HumanDuration;

/// Says why a selector finds something at a time, or does not: who scraped it, who holds it, what
/// dropped it.
#[derive(Debug, Clone, Args)]
pub struct WhyArgs {
    /// The selector, e.g. 'up{job="api"}'.
    #[arg(value_name = "SELECTOR")]
    pub selector: String,
    /// URL of the querier to ask.
    #[arg(
        id = "url",
        long = "url",
        default_value = "http://localhost:10902",
        value_name = "URL"
    )]
    pub url: String,
    /// The time, as Unix seconds or RFC 3339; now if not given.
    #[arg(id = "time", long = "time", value_name = "TIME")]
    pub time: Option<String>,
    /// Print the querier's answer itself (json), or a text (table).
    #[arg(id = "output", long = "output", short = 'o', default_value = "table", value_parser = ["table", "json"])]
    pub output: String,
    /// How long the querier may take.
    #[arg(id = "timeout", long = "timeout", default_value = "2m")]
    pub timeout: HumanDuration,
}
