//! `label_replace` and `label_join`.

use hashbrown::HashMap;

use crate::symbols::{SymbolId, SymbolTable};

use super::EngineError;
use super::block::{Block, SeriesMeta};
use super::exec::{Exec, Operator};

/// Sets a label from what a pattern finds in another.
pub(crate) struct LabelReplace {
    input: Box<dyn Operator>,
    dst: SymbolId,
    src: SymbolId,
    replacement: String,
    regex: regex::Regex,
    /// What becomes of a value; nothing where the pattern does not match.
    known: HashMap<SymbolId, Option<SymbolId>>,
}

impl LabelReplace {
    pub(crate) fn new(
        input: Box<dyn Operator>,
        dst: &str,
        replacement: &str,
        src: &str,
        regex: &regex::Regex,
        ex: &mut Exec<'_>,
    ) -> Self {
        Self {
            input,
            dst: ex.symbols.intern(dst),
            src: ex.symbols.intern(src),
            replacement: replacement.to_owned(),
            regex: regex.clone(),
            known: HashMap::new(),
        }
    }
}

impl Operator for LabelReplace {
    fn next(&mut self, ex: &mut Exec<'_>) -> Result<Option<Block>, EngineError> {
        let Some(mut block) = self.input.next(ex)? else {
            return Ok(None);
        };
        ex.charge_symbols()?;
        for meta in &mut block.series {
            let value = meta.labels.get(self.src);
            let (regex, replacement) = (&self.regex, &self.replacement);
            let symbols = &mut ex.symbols;
            let replaced = *self.known.entry(value).or_insert_with(|| {
                let text = symbols.get(value).to_owned();
                let captures = regex.captures(&text)?;
                let mut result = String::new();
                captures.expand(replacement, &mut result);
                Some(symbols.intern(&result))
            });
            if let Some(replaced) = replaced {
                set_label(meta, self.dst, replaced, &ex.symbols);
            }
        }
        Ok(Some(block))
    }
}

/// Sets a label to others, joined.
pub(crate) struct LabelJoin {
    input: Box<dyn Operator>,
    dst: SymbolId,
    separator: String,
    src: Vec<SymbolId>,
}

impl LabelJoin {
    pub(crate) fn new(
        input: Box<dyn Operator>,
        dst: &str,
        separator: &str,
        src: &[String],
        ex: &mut Exec<'_>,
    ) -> Self {
        Self {
            input,
            dst: ex.symbols.intern(dst),
            separator: separator.to_owned(),
            src: src.iter().map(|name| ex.symbols.intern(name)).collect(),
        }
    }
}

impl Operator for LabelJoin {
    fn next(&mut self, ex: &mut Exec<'_>) -> Result<Option<Block>, EngineError> {
        let Some(mut block) = self.input.next(ex)? else {
            return Ok(None);
        };
        ex.charge_symbols()?;
        for meta in &mut block.series {
            let values: Vec<&str> = self
                .src
                .iter()
                .map(|&name| ex.symbols.get(meta.labels.get(name)))
                .collect();
            let joined = values.join(&self.separator);
            let joined = ex.symbols.intern(&joined);
            set_label(meta, self.dst, joined, &ex.symbols);
        }
        Ok(Some(block))
    }
}

fn set_label(meta: &mut SeriesMeta, name: SymbolId, value: SymbolId, symbols: &SymbolTable) {
    meta.labels.set(name, value, symbols);
    if name == SymbolId::METRIC_NAME {
        // A name given on purpose stays.
        meta.drop_name = false;
    }
}
