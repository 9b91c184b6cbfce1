//! Tenants, and what keeps one to its own series.

use model::Matcher;
use promql::Expr;

/// On whose behalf a request is made, and what that means for its selectors.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Tenant {
    /// Empty where requests name none.
    name: String,
    /// Present where the tenant may see its own series only.
    enforced: Option<Matcher>,
}

impl Tenant {
    /// Returns the tenant of a name. With a label, it may see series that carry its name there only.
    /// A name that would be a path of several elements is no tenant's.
    pub(crate) fn new(name: &str, enforced_label: Option<&str>) -> Option<Self> {
        if name.contains('/') || matches!(name, "." | "..") {
            return None;
        }
        Some(Self {
            name: name.to_owned(),
            enforced: enforced_label.map(|label| Matcher::equal(label, name)),
        })
    }

    /// Returns the name under which stores know the tenant.
    pub(crate) fn name(&self) -> Option<String> {
        (!self.name.is_empty()).then(|| self.name.clone())
    }

    /// Returns the name of the line in which the tenant's queries wait.
    pub(crate) fn line(&self) -> &str {
        &self.name
    }

    /// Makes the matchers of one selector select the tenant's series only.
    pub(crate) fn restrict(&self, matchers: &mut Vec<Matcher>) {
        if let Some(own) = &self.enforced {
            // What the caller says of the tenant's label does not count: as Thanos has it.
            matchers.retain(|matcher| matcher.name != own.name);
            matchers.push(own.clone());
        }
    }

    /// Makes every selector of a list do so; where there is none, one does.
    pub(crate) fn restrict_all(&self, selectors: &mut Vec<Vec<Matcher>>) {
        if self.enforced.is_some() && selectors.is_empty() {
            selectors.push(Vec::new());
        }
        for matchers in selectors {
            self.restrict(matchers);
        }
    }

    /// Makes every selector of an expression do so.
    pub(crate) fn restrict_expr(&self, expr: &mut Expr) {
        expr.walk_selectors_mut(&mut |selector| self.restrict(&mut selector.matchers));
    }

    /// Returns what every series, rule or target that the tenant may see matches.
    pub(crate) fn enforced(&self) -> Option<&Matcher> {
        self.enforced.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(label: Option<&str>) -> Tenant {
        Tenant::new("a", label).expect("a name")
    }

    #[test]
    fn every_selector_is_restricted_to_the_tenant() {
        let own = tenant(Some("tenant_id"));
        for (query, expected) in [
            ("up", r#"{tenant_id="a",__name__="up"}"#),
            (
                r#"rate(m{tenant_id=~".+",x="y"}[5m]) / max_over_time(n[1h:1m])"#,
                r#"rate({x="y",tenant_id="a",__name__="m"}[5m]) / max_over_time({tenant_id="a",__name__="n"}[1h:1m])"#,
            ),
            ("1 + time()", "1 + time()"),
        ] {
            let matchers = |text: &str, own: &Tenant| {
                let mut expr =
                    promql::parse(text, &promql::ParseOptions::default()).expect("valid");
                own.restrict_expr(&mut expr);
                let mut found = Vec::new();
                expr.walk_selectors_mut(&mut |selector| {
                    let mut texts: Vec<_> =
                        selector.matchers.iter().map(ToString::to_string).collect();
                    texts.sort();
                    found.push(texts);
                });
                found
            };
            assert_eq!(
                matchers(query, &own),
                matchers(expected, &tenant(None)),
                "{query}"
            );
        }
    }

    #[test]
    fn a_list_of_no_selectors_becomes_one_of_the_tenant() {
        let mut selectors = Vec::new();
        tenant(None).restrict_all(&mut selectors);
        assert_eq!(selectors, Vec::<Vec<Matcher>>::new());
        tenant(Some("t")).restrict_all(&mut selectors);
        assert_eq!(selectors, [vec![Matcher::equal("t", "a")]]);
    }

    #[test]
    fn a_path_is_no_tenant() {
        for name in ["a/b", "..", ".", "/"] {
            assert_eq!(Tenant::new(name, None), None, "{name}");
        }
    }
}
