//! `[cse]`: who this CSE is.

use cse_core::id::{CseIdentity, CseType, InvalidId, Originator};
use cse_core::value::Text;
use url::Url;

use super::layers::Section;

/// Who this CSE is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CseConfig {
    /// SP-relative CSE-ID. Default: `/id-in`.
    pub(crate) id: Text,
    /// Resource name of the CSEBase. Default: `cse-in`.
    pub(crate) name: Text,
    /// M2M-SP-ID. Default: `//cse.example`.
    pub(crate) sp_id: Text,
    /// Kind of CSE. Default: IN.
    pub(crate) cse_type: CseType,
    /// Originator that may do everything. Default: `CAdmin`.
    pub(crate) admin: Text,
    /// Points of access that the CSEBase shows. Default: what really listens.
    pub(crate) poa: Vec<Text>,
}

const TYPES: &[(&str, CseType)] = &[("in", CseType::In), ("mn", CseType::Mn), ("asn", CseType::Asn)];

/// Schemes that a point of access may have (the bindings there are, with and without TLS).
const POA_SCHEMES: [&str; 4] = ["http", "https", "mqtt", "mqtts"];

impl CseConfig {
    pub(super) fn read(mut section: Section<'_>) -> Self {
        let config = Self {
            id: section.value("id", "/id-in".into()),
            name: section.value("name", "cse-in".into()),
            sp_id: section.value("sp-id", "//cse.example".into()),
            cse_type: section.choice("type", CseType::In, TYPES),
            admin: section.value("admin", "CAdmin".into()),
            poa: section.value("poa", Vec::new()),
        };
        config.check(&mut section);
        config
    }

    fn check(&self, section: &mut Section<'_>) {
        // Each identifier on its own, because the identity stops at the first that is malformed.
        for (key, identity) in [
            ("sp-id", CseIdentity::new(&self.sp_id, "/valid", "valid", self.cse_type)),
            ("id", CseIdentity::new("//valid", &self.id, "valid", self.cse_type)),
            ("name", CseIdentity::new("//valid", "/valid", &self.name, self.cse_type)),
        ] {
            if let Err(invalid) = identity {
                section.problem(key, invalid.to_string());
            }
        }
        if let Ok(identity) = self.identity() {
            let admin = identity.canonical_originator(&self.admin);
            let text = admin.as_str();
            if text.is_empty() || text.contains(|c: char| c.is_whitespace() || c.is_control() || c == '*') {
                section.problem("admin", format!("'{}' is no originator", self.admin));
            } else if admin == identity.originator() {
                section.problem("admin", "the administrator must be another originator than the CSE itself");
            }
        }
        for poa in &self.poa {
            let url = Url::parse(poa);
            if !url.is_ok_and(|url| POA_SCHEMES.contains(&url.scheme()) && url.has_host()) {
                section.problem("poa", format!("'{poa}' is no URL that begins with {}://", POA_SCHEMES.join("://, ")));
            }
        }
    }

    /// The identity.
    ///
    /// # Errors
    /// [`InvalidId`] as in [`CseIdentity::new`]; never after the configuration was accepted.
    pub(crate) fn identity(&self) -> Result<CseIdentity, InvalidId> {
        CseIdentity::new(&self.sp_id, &self.id, &self.name, self.cse_type)
    }

    /// The administrator in canonical form.
    pub(crate) fn admin_of(&self, identity: &CseIdentity) -> Originator {
        identity.canonical_originator(&self.admin)
    }
}
