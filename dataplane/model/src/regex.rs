//! Anchored RE2 expressions as Prometheus' matchers use them.
//!
//! An expression is compiled as `^(?s:…)$`. RE2's Perl classes are ASCII and its bracket classes know
//! no set operators, so the text is rewritten before Rust's engine sees it. Most production matchers
//! are literals, sets of literals, prefixes or `.*`: those never reach the regex engine.

use regex_syntax::hir::{Hir, HirKind, Look};
use thiserror::Error;

/// The most literals a regular expression is expanded into.
const MAX_SET: usize = 1024;
/// The most bytes a compiled program may take.
const MAX_PROGRAM_BYTES: usize = 10 << 20;
/// RE2's limit on `x{n,m}`.
const MAX_REPEAT: u32 = 1000;

/// An expression that RE2 would refuse.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[error("error parsing regexp: {0}")]
pub struct RegexError(pub String);

/// A compiled, fully anchored expression.
#[derive(Debug, Clone)]
pub struct AnchoredRegex {
    program: Program,
    /// Every match starts with this.
    prefix: String,
    set: Vec<String>,
}

#[derive(Debug, Clone)]
enum Program {
    /// `.*`
    Any,
    /// `.+`
    NonEmpty,
    /// One of the literals of `set`, sorted.
    Set,
    /// `literal.*`
    Prefix,
    /// `literal.+`
    LongerPrefix,
    /// `.*literal.*`
    Contains(String),
    /// `.*literal`
    Suffix(String),
    Engine(Box<regex::Regex>),
}

impl AnchoredRegex {
    /// Compiles `pattern`.
    ///
    /// # Errors
    /// What RE2 refuses, and programs above 10 MiB.
    pub fn new(pattern: &str) -> Result<Self, RegexError> {
        let rewritten = rewrite(pattern)?;
        // A lone `)` must not close our own group: the pattern has to stand by itself first.
        let hir = regex_syntax::ParserBuilder::new()
            .dot_matches_new_line(true)
            .build()
            .parse(&rewritten)
            .map_err(|err| RegexError(describe(&err, pattern)))?;
        if let Some(mut set) = literals(&hir) {
            set.sort();
            set.dedup();
            return Ok(Self {
                program: Program::Set,
                prefix: common_prefix(&set),
                set,
            });
        }
        if let Some((program, prefix)) = shortcut(&hir) {
            return Ok(Self {
                program,
                prefix,
                set: Vec::new(),
            });
        }
        let engine = regex::RegexBuilder::new(&format!("^(?s:{rewritten})$"))
            .size_limit(MAX_PROGRAM_BYTES)
            .build()
            .map_err(|_| {
                RegexError(format!(
                    "expression nests repeat operators too deeply: `{pattern}`"
                ))
            })?;
        Ok(Self {
            program: Program::Engine(Box::new(engine)),
            prefix: leading_literal(&hir),
            set: Vec::new(),
        })
    }

    /// Returns whether the whole of `text` matches.
    #[must_use]
    pub fn is_match(&self, text: &str) -> bool {
        match &self.program {
            Program::Any => true,
            Program::NonEmpty => !text.is_empty(),
            Program::Set => self.set.binary_search_by(|s| s.as_str().cmp(text)).is_ok(),
            Program::Prefix => text.starts_with(&self.prefix),
            Program::LongerPrefix => {
                text.len() > self.prefix.len() && text.starts_with(&self.prefix)
            }
            Program::Contains(part) => text.contains(part.as_str()),
            Program::Suffix(end) => text.ends_with(end.as_str()),
            Program::Engine(engine) => engine.is_match(text),
        }
    }

    /// Returns the sorted literals that are all this expression matches, or nothing where it matches
    /// more than a set.
    #[must_use]
    pub fn set_matches(&self) -> Option<&[String]> {
        matches!(self.program, Program::Set).then_some(self.set.as_slice())
    }

    /// Returns a literal with which every match starts; empty where there is none.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }
}

fn describe(err: &regex_syntax::Error, pattern: &str) -> String {
    use regex_syntax::ast::ErrorKind as Ast;
    if let regex_syntax::Error::Parse(parse) = err {
        let at = |e: &regex_syntax::ast::Error| {
            let span = e.span();
            e.pattern()
                .get(span.start.offset..span.end.offset)
                .unwrap_or("")
                .to_owned()
        };
        return match parse.kind() {
            Ast::GroupUnclosed => format!("missing closing ): `{pattern}`"),
            Ast::GroupUnopened => format!("unexpected ): `{pattern}`"),
            Ast::ClassUnclosed => format!(
                "missing closing ]: `{}`",
                pattern
                    .find('[')
                    .and_then(|i| pattern.get(i..))
                    .unwrap_or(pattern)
            ),
            Ast::RepetitionMissing => {
                let op = at(parse);
                let op = if op.is_empty() {
                    pattern.chars().take(1).collect()
                } else {
                    op
                };
                format!("missing argument to repetition operator: `{op}`")
            }
            Ast::ClassRangeInvalid => format!("invalid character class range: `{}`", at(parse)),
            Ast::EscapeUnexpectedEof => "trailing backslash at end of expression: ``".to_owned(),
            Ast::EscapeUnrecognized => format!("invalid escape sequence: `{}`", at(parse)),
            Ast::RepetitionCountInvalid => format!("invalid repeat count: `{}`", at(parse)),
            _ => format!("{}: `{pattern}`", parse.kind()),
        };
    }
    format!("{err}: `{pattern}`")
        .lines()
        .last()
        .unwrap_or_default()
        .trim()
        .to_owned()
}

/// Rewrites RE2 syntax to Rust's where the two read the same text differently.
pub(crate) fn rewrite(pattern: &str) -> Result<String, RegexError> {
    let mut out = String::with_capacity(pattern.len() + 8);
    let mut chars = pattern.chars().peekable();
    let mut in_class = false;
    let mut class_start = false;
    while let Some(c) = chars.next() {
        let at_class_start = std::mem::take(&mut class_start);
        match c {
            '\\' => match chars.next() {
                None => {
                    return Err(RegexError(
                        "trailing backslash at end of expression: ``".into(),
                    ));
                }
                Some('d') => out.push_str(if in_class { "0-9" } else { "[0-9]" }),
                Some('w') => out.push_str(if in_class {
                    "0-9A-Za-z_"
                } else {
                    "[0-9A-Za-z_]"
                }),
                Some('s') => out.push_str(if in_class {
                    "\\t\\n\\x0C\\r "
                } else {
                    "[\\t\\n\\x0C\\r ]"
                }),
                Some('D') => out.push_str("[^0-9]"),
                Some('W') => out.push_str("[^0-9A-Za-z_]"),
                Some('S') => out.push_str("[^\\t\\n\\x0C\\r ]"),
                Some('b') => out.push_str("(?-u:\\b)"),
                Some('B') => out.push_str("(?-u:\\B)"),
                Some('C') => return Err(RegexError("invalid escape sequence: `\\C`".into())),
                Some('Z') => return Err(RegexError("invalid escape sequence: `\\Z`".into())),
                Some('Q') => {
                    let mut quoted = String::new();
                    while let Some(c) = chars.next() {
                        if c == '\\' && chars.peek() == Some(&'E') {
                            chars.next();
                            break;
                        }
                        quoted.push(c);
                    }
                    out.push_str(&regex_syntax::escape(&quoted));
                }
                Some(c) if c.is_ascii_digit() => {
                    // Octal: RE2 has \123 and \0.
                    let mut digits = String::from(c);
                    while digits.len() < 3 {
                        match chars.peek() {
                            Some(d) if ('0'..='7').contains(d) => {
                                digits.push(*d);
                                chars.next();
                            }
                            _ => break,
                        }
                    }
                    let octal = u32::from_str_radix(&digits, 8)
                        .ok()
                        .filter(|_| c == '0' || digits.len() == 3);
                    let Some(code) = octal else {
                        return Err(RegexError(format!("invalid escape sequence: `\\{c}`")));
                    };
                    out.push_str(&format!("\\x{{{code:X}}}"));
                }
                Some(c) if c.is_ascii_punctuation() => {
                    out.push_str(&regex_syntax::escape(&c.to_string()));
                }
                Some(c) => {
                    out.push('\\');
                    out.push(c);
                }
            },
            '[' if !in_class => {
                in_class = true;
                out.push('[');
                if chars.peek() == Some(&'^') {
                    chars.next();
                    out.push('^');
                }
                class_start = true;
            }
            ']' if in_class && !at_class_start => {
                in_class = false;
                out.push(']');
            }
            ']' if in_class => out.push_str("\\]"),
            '[' if in_class => {
                if chars.peek() == Some(&':') {
                    // A POSIX class such as [:alpha:].
                    out.push('[');
                    for c in chars.by_ref() {
                        out.push(c);
                        if c == ']' {
                            break;
                        }
                    }
                } else {
                    out.push_str("\\[");
                }
            }
            '&' | '~' if in_class => {
                out.push('\\');
                out.push(c);
            }
            '{' if !in_class => {
                let body: String = chars.clone().take_while(|c| *c != '}').collect();
                let counts = body
                    .split(',')
                    .filter(|n| !n.is_empty())
                    .map(str::parse::<u32>);
                let closed = chars.clone().any(|c| c == '}');
                let is_repeat = closed
                    && body.starts_with(|c: char| c.is_ascii_digit())
                    && body.chars().all(|c| c.is_ascii_digit() || c == ',')
                    && body.matches(',').count() <= 1;
                if !is_repeat {
                    // RE2 reads a brace that is no repetition as itself.
                    out.push_str("\\{");
                    continue;
                }
                if counts.clone().any(|n| n.map_or(true, |n| n > MAX_REPEAT)) {
                    return Err(RegexError(format!("invalid repeat count: `{{{body}}}`")));
                }
                out.push('{');
            }
            '}' if !in_class => {
                // Closes a repetition only where one is open.
                let open = out
                    .rfind('{')
                    .is_some_and(|i| !out[..i].ends_with('\\') && !out[i..].contains('}'));
                out.push_str(if open { "}" } else { "\\}" });
            }
            c => out.push(c),
        }
    }
    Ok(out)
}

/// Returns all the texts that `hir` matches, where they are few.
fn literals(hir: &Hir) -> Option<Vec<String>> {
    match hir.kind() {
        HirKind::Empty => Some(vec![String::new()]),
        HirKind::Literal(literal) => Some(vec![std::str::from_utf8(&literal.0).ok()?.to_owned()]),
        HirKind::Capture(capture) => literals(&capture.sub),
        HirKind::Class(regex_syntax::hir::Class::Unicode(class)) => {
            let count: usize = class
                .iter()
                .map(|r| (r.end() as usize) - (r.start() as usize) + 1)
                .sum();
            if count > 64 {
                return None;
            }
            Some(
                class
                    .iter()
                    .flat_map(|r| r.start()..=r.end())
                    .map(String::from)
                    .collect(),
            )
        }
        HirKind::Repetition(repetition) if repetition.min == 0 && repetition.max == Some(1) => {
            let mut set = literals(&repetition.sub)?;
            set.push(String::new());
            Some(set)
        }
        HirKind::Alternation(parts) => {
            let mut all = Vec::new();
            for part in parts {
                all.extend(literals(part)?);
                if all.len() > MAX_SET {
                    return None;
                }
            }
            Some(all)
        }
        HirKind::Concat(parts) => {
            let mut all = vec![String::new()];
            for part in parts {
                let tails = literals(part)?;
                if all.len() * tails.len() > MAX_SET {
                    return None;
                }
                all = all
                    .iter()
                    .flat_map(|head| tails.iter().map(move |tail| format!("{head}{tail}")))
                    .collect();
            }
            Some(all)
        }
        HirKind::Look(Look::Start | Look::End) => Some(vec![String::new()]),
        _ => None,
    }
}

/// Returns the repetition's minimum where `hir` is `.*` or `.+`.
fn any_text(hir: &Hir) -> Option<u32> {
    match hir.kind() {
        HirKind::Capture(capture) => any_text(&capture.sub),
        HirKind::Repetition(repetition) if repetition.max.is_none() && repetition.min <= 1 => {
            let HirKind::Class(regex_syntax::hir::Class::Unicode(class)) = repetition.sub.kind()
            else {
                return None;
            };
            let all = class
                .iter()
                .map(|r| (r.start(), r.end()))
                .eq([('\0', char::MAX)]);
            all.then_some(repetition.min)
        }
        _ => None,
    }
}

fn literal(hir: &Hir) -> Option<String> {
    match literals(hir)?.as_slice() {
        [only] => Some(only.clone()),
        _ => None,
    }
}

fn shortcut(hir: &Hir) -> Option<(Program, String)> {
    match any_text(hir) {
        Some(0) => return Some((Program::Any, String::new())),
        Some(_) => return Some((Program::NonEmpty, String::new())),
        None => {}
    }
    let HirKind::Concat(parts) = hir.kind() else {
        return None;
    };
    match parts.as_slice() {
        [head, tail] => match (literal(head), any_text(tail), any_text(head), literal(tail)) {
            (Some(prefix), Some(0), ..) => Some((Program::Prefix, prefix)),
            (Some(prefix), Some(_), ..) => Some((Program::LongerPrefix, prefix)),
            (_, _, Some(0), Some(suffix)) => Some((Program::Suffix(suffix), String::new())),
            _ => None,
        },
        [head, middle, tail] => match (any_text(head), literal(middle), any_text(tail)) {
            (Some(0), Some(part), Some(0)) => Some((Program::Contains(part), String::new())),
            _ => None,
        },
        _ => None,
    }
}

fn leading_literal(hir: &Hir) -> String {
    match hir.kind() {
        HirKind::Concat(parts) => parts.first().and_then(literal).unwrap_or_default(),
        _ => String::new(),
    }
}

fn common_prefix(set: &[String]) -> String {
    let (Some(first), Some(last)) = (set.first(), set.last()) else {
        return String::new();
    };
    first
        .chars()
        .zip(last.chars())
        .take_while(|(a, b)| a == b)
        .map(|(a, _)| a)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        AnchoredRegex::new(pattern).unwrap().is_match(text)
    }

    #[test]
    fn expressions_are_anchored_and_dot_matches_a_newline() {
        assert!(matches("a.c", "a\nc"));
        assert!(!matches("a", "ba"));
        assert!(!matches("a|b", "ab"));
        assert!(matches("a|b", "b"));
        assert!(matches("foo.*", "foo") && matches("foo.+", "fooo") && !matches("foo.+", "foo"));
        assert!(matches(".*bar", "foobar") && matches(".*oba.*", "foobar"));
        assert!(matches("", "") && !matches("", "a"));
        assert!(matches(".*", "") && !matches(".+", ""));
    }

    #[test]
    fn sets_are_found() {
        let re = AnchoredRegex::new("api-(a|b)[12]|web").unwrap();
        assert_eq!(
            re.set_matches().unwrap(),
            ["api-a1", "api-a2", "api-b1", "api-b2", "web"]
        );
        let re = AnchoredRegex::new("(?i)ab").unwrap();
        assert_eq!(re.set_matches().unwrap(), ["AB", "Ab", "aB", "ab"]);
        assert_eq!(AnchoredRegex::new("api-[0-9]+").unwrap().prefix(), "api-");
    }

    #[test]
    fn perl_classes_are_ascii_and_brackets_know_no_set_operators() {
        assert!(matches(r"\d+", "123") && !matches(r"\d+", "١٢"));
        assert!(matches(r"[\w.]+", "a.b_c") && !matches(r"\w+", "é"));
        assert!(matches(r"[a&&b]+", "&a") && matches(r"[[a]+", "[a"));
        assert!(matches(r"[]a]+", "]a") && matches(r"[^]a]+", "bc"));
        assert!(matches(r"[[:alpha:]]+", "abc") && matches(r"\Qa.b\E+", "a.bb"));
        assert!(matches(r"x{2,3}", "xxx") && matches("a{b}", "a{b}"));
    }

    #[test]
    fn refusals_name_the_cause_as_re2_does() {
        for (pattern, text) in [
            ("(", "error parsing regexp: missing closing ): `(`"),
            (")", "error parsing regexp: unexpected ): `)`"),
            ("[a", "error parsing regexp: missing closing ]: `[a`"),
            (
                "*",
                "error parsing regexp: missing argument to repetition operator: `*`",
            ),
            (
                "x{1001}",
                "error parsing regexp: invalid repeat count: `{1001}`",
            ),
        ] {
            assert_eq!(AnchoredRegex::new(pattern).unwrap_err().to_string(), text);
        }
    }
}
