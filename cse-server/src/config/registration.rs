//! `[registration]`: who may register, and what comes with it.

use cse_core::value::Text;

use super::layers::Section;

/// Who may register, and what comes with it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RegistrationConfig {
    /// AE-ID stems that may register; `*` stands for any text. Default: `C*` and `S*`.
    pub(crate) ae_originators: Vec<Text>,
    /// CSE-IDs that may register; `*` stands for any text. CSEs of other service providers need a pattern that begins
    /// with `//` or `*`. Default: `/*`, all of this service provider.
    pub(crate) cse_originators: Vec<Text>,
    /// Whether registered AEs may create access control policies under the CSEBase. Default: yes.
    pub(crate) ae_may_create_policies: bool,
}

impl RegistrationConfig {
    pub(super) fn read(mut section: Section<'_>) -> Self {
        let config = Self {
            ae_originators: section.value("ae-originators", vec!["C*".into(), "S*".into()]),
            cse_originators: section.value("cse-originators", vec!["/*".into()]),
            ae_may_create_policies: section.value("ae-may-create-policies", true),
        };
        for stem in &config.ae_originators {
            if !stem.starts_with(['C', 'S', '*']) || stem.contains('/') {
                section.problem(
                    "ae-originators",
                    format!("'{stem}' matches no AE-ID stem; these begin with 'C' or 'S' and have no '/'"),
                );
            }
        }
        for cse_id in &config.cse_originators {
            if !cse_id.starts_with(['/', '*']) {
                section.problem("cse-originators", format!("'{cse_id}' matches no CSE-ID; write it like \"/id-*\""));
            }
        }
        config
    }
}
