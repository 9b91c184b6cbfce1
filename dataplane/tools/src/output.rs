//! Rows as text, for people and for programs.

use std::fmt::Write;
use std::str::FromStr;

use serde::Serialize;

use crate::error::ToolError;

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// Columns for people.
    #[default]
    Table,
    /// One list.
    Json,
    /// One list.
    Yaml,
    /// With a line of names.
    Csv,
    /// With a line of names.
    Tsv,
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "table" => Self::Table,
            "json" => Self::Json,
            "yaml" => Self::Yaml,
            "csv" => Self::Csv,
            "tsv" => Self::Tsv,
            _ => {
                return Err(format!(
                    "{text:?} is no format; use table, json, yaml, csv or tsv"
                ));
            }
        })
    }
}

/// What can be written as a row.
pub trait Row: Serialize {
    /// The columns' names.
    const COLUMNS: &'static [&'static str];

    /// Returns the cells, one for each column.
    fn cells(&self) -> Vec<String>;
}

/// Returns `rows` as text that ends with a line break.
///
/// # Errors
/// A value that the format cannot say.
pub fn render<R: Row>(rows: &[R], format: Format) -> Result<String, ToolError> {
    let failed = |error: &dyn std::fmt::Display| ToolError::Invalid(format!("output: {error}"));
    let cells = || rows.iter().map(Row::cells);
    Ok(match format {
        Format::Json => {
            let text = serde_json::to_string_pretty(rows).map_err(|error| failed(&error))?;
            text + "\n"
        }
        Format::Yaml => serde_saphyr::to_string(&rows).map_err(|error| failed(&error))?,
        Format::Csv => separated(R::COLUMNS, cells(), ",", csv_cell),
        Format::Tsv => separated(R::COLUMNS, cells(), "\t", |cell| {
            cell.replace(['\t', '\n'], " ")
        }),
        Format::Table => table(R::COLUMNS, cells().collect()),
    })
}

fn csv_cell(cell: &str) -> String {
    if cell.contains([',', '"', '\n']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell.to_owned()
    }
}

fn separated(
    columns: &[&str],
    rows: impl Iterator<Item = Vec<String>>,
    separator: &str,
    cell: impl Fn(&str) -> String,
) -> String {
    let mut out = columns.join(separator);
    out.push('\n');
    for row in rows {
        let row: Vec<String> = row.iter().map(|text| cell(text)).collect();
        out.push_str(&row.join(separator));
        out.push('\n');
    }
    out
}

/// Columns as wide as their widest cell, the last one as it is.
fn table(columns: &[&str], rows: Vec<Vec<String>>) -> String {
    let width = |column: usize, name: &str| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        let widest = cells.map(|cell| cell.chars().count()).max();
        widest.unwrap_or_default().max(name.chars().count())
    };
    let widths: Vec<usize> = columns
        .iter()
        .enumerate()
        .map(|(column, name)| width(column, name))
        .collect();
    let mut out = String::new();
    let mut line = |cells: &mut dyn Iterator<Item = &str>| {
        let mut text = String::new();
        for (cell, width) in cells.zip(&widths) {
            // Writing to a string cannot fail.
            let _ = write!(text, "{cell:<width$}  ");
        }
        out.push_str(text.trim_end());
        out.push('\n');
    };
    line(&mut columns.iter().copied());
    for row in &rows {
        line(&mut row.iter().map(String::as_str));
    }
    out
}

/// Returns a count with its thousands set apart.
pub fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Returns a size in the largest unit that leaves at least one.
pub fn bytes(size: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    let (mut value, mut unit) = (size as f64, "B");
    for next in UNITS {
        if value < 1024.0 {
            break;
        }
        (value, unit) = (value / 1024.0, next);
    }
    match unit {
        "B" => format!("{size} B"),
        unit => format!("{value:.1} {unit}"),
    }
}

/// Returns milliseconds since the Unix epoch in RFC 3339.
pub fn time(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map_or_else(|_| ms.to_string(), |at| at.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Pair {
        name: String,
        count: u64,
    }

    impl Row for Pair {
        const COLUMNS: &'static [&'static str] = &["NAME", "COUNT"];

        fn cells(&self) -> Vec<String> {
            vec![self.name.clone(), grouped(self.count)]
        }
    }

    #[test]
    fn rows_are_written_in_every_format() {
        let pair = |name: &str, count| Pair {
            name: name.into(),
            count,
        };
        let rows = [pair("a,\"b\"", 1), pair("long name", 1_234_567)];
        for (format, expected) in [
            (
                Format::Table,
                "NAME       COUNT\na,\"b\"      1\nlong name  1,234,567\n",
            ),
            (
                Format::Csv,
                "NAME,COUNT\n\"a,\"\"b\"\"\",1\nlong name,\"1,234,567\"\n",
            ),
            (
                Format::Tsv,
                "NAME\tCOUNT\na,\"b\"\t1\nlong name\t1,234,567\n",
            ),
        ] {
            assert_eq!(render(&rows, format).expect("writes"), expected);
        }
        let json: serde_json::Value =
            serde_json::from_str(&render(&rows, Format::Json).expect("writes")).expect("JSON");
        assert_eq!(json[1]["count"], 1_234_567);
        let yaml = render(&rows, Format::Yaml).expect("writes");
        assert!(
            yaml.contains("name: long name") && yaml.contains("count: 1234567"),
            "{yaml}"
        );
    }

    #[test]
    fn sizes_and_counts_read_well() {
        assert_eq!(
            [bytes(0), bytes(1023), bytes(1536)],
            ["0 B", "1023 B", "1.5 KiB"]
        );
        assert_eq!(
            [grouped(0), grouped(999), grouped(1000)],
            ["0", "999", "1,000"]
        );
        assert_eq!(bytes(u64::MAX), "16384.0 PiB");
    }
}
