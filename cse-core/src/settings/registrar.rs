//! The CSE that this one registers with.

use std::time::Duration;

use crate::codec::Serialization;
use crate::primitive::ReleaseVersion;
use crate::value::Text;

/// The registrar of this CSE (TS-0001 §6.4), and how it is spoken with.
#[derive(Clone, Debug, PartialEq)]
pub struct Registrar {
    /// Its CSE-ID: SP-relative, or absolute for one of another service provider (Mcc').
    pub cse_id: Text,
    /// Name of its CSEBase; `None` where it is not known, and the CSE-ID alone has to do as the address.
    pub cse_name: Option<Text>,
    /// Where it is reached: URLs, the preferred ones first.
    pub points_of_access: Vec<Text>,
    /// Where it reaches this CSE: URLs, the preferred ones first. Without any this CSE says that it takes no requests.
    pub own_points_of_access: Vec<Text>,
    /// In what it is written to.
    pub serialization: Serialization,
    /// Release that requests to it are made for.
    pub release: ReleaseVersion,
    /// How long a registration is asked to hold; it is refreshed when half of that is over.
    pub lifetime: Duration,
    /// How often it is asked whether the registration is still there; zero for never.
    pub check_interval: Duration,
    /// Whether this CSE deregisters when it is stopped.
    pub deregister_on_shutdown: bool,
}

impl Registrar {
    /// A registrar with the defaults: reached in JSON and release 3, registrations of an hour, looked after every minute
    /// and kept over a stop.
    pub fn new(cse_id: impl Into<Text>, points_of_access: Vec<Text>) -> Self {
        Self {
            cse_id: cse_id.into(),
            cse_name: None,
            points_of_access,
            own_points_of_access: Vec::new(),
            serialization: Serialization::Json,
            release: ReleaseVersion::R3,
            lifetime: Duration::from_secs(3_600),
            check_interval: Duration::from_secs(60),
            deregister_on_shutdown: false,
        }
    }

    /// Whether it belongs to another service provider, so that identifiers have to be absolute (TS-0001 §7.2).
    pub fn is_foreign(&self) -> bool {
        self.cse_id.starts_with("//")
    }

    /// Address of its CSEBase.
    pub(crate) fn base(&self) -> Text {
        match &self.cse_name {
            Some(name) => smol_str::format_smolstr!("{}/{name}", self.cse_id),
            None => self.cse_id.clone(),
        }
    }
}
