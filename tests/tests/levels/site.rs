//! The CSEs and an AE at each, with a container that the AEs of all the others may use.

use cse_tests::gateways::{Over, below_other_provider, gateway, other_provider, point_of_access, registered, resource};
use cse_tests::http::Http;
use cse_tests::server::Server;
use cse_tests::wait::until_some;
use serde_json::json;

/// Over what each CSE reaches the one above it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ways {
    /// MN2 to MN1.
    pub(crate) below: Over,
    /// MN1 to the IN.
    pub(crate) middle: Over,
    /// The IN to the IN of the other service provider.
    pub(crate) above: Over,
}

/// A CSE, from the lowest to the one of the other service provider.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Level {
    Mn2,
    Mn1,
    In,
    Up,
}

pub(crate) const LEVELS: [Level; 4] = [Level::Mn2, Level::Mn1, Level::In, Level::Up];

impl Level {
    /// What stands behind `id-` in its CSE-ID and behind `cse-` in the name of its CSEBase.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Mn2 => "mn2",
            Self::Mn1 => "mn1",
            Self::In => "in",
            Self::Up => "up",
        }
    }

    pub(crate) fn provider(self) -> &'static str {
        if self == Self::Up { "//other.example" } else { "//cse.example" }
    }

    /// Its CSE-ID as another one knows it.
    pub(crate) fn id_seen_by(self, other: Self) -> String {
        let provider = if self.provider() == other.provider() { "" } else { self.provider() };
        format!("{provider}/id-{}", self.name())
    }

    /// The AE-ID stem of the AE there.
    pub(crate) fn stem(self) -> String {
        format!("C{}", self.name())
    }

    /// The AE there, as another CSE knows it.
    pub(crate) fn ae_seen_by(self, other: Self) -> String {
        if self == other { self.stem() } else { format!("{}/{}", self.id_seen_by(other), self.stem()) }
    }

    /// The container there, as another CSE knows it.
    pub(crate) fn log_seen_by(self, other: Self) -> String {
        let name = format!("cse-{}/app/log", self.name());
        if self == other { name } else { format!("{}/{name}", self.id_seen_by(other)) }
    }

    pub(crate) fn others(self) -> impl Iterator<Item = Self> {
        LEVELS.into_iter().filter(move |other| *other != self)
    }
}

/// An address as a path of HTTP (TS-0009 §6.2.2.1).
pub(crate) fn path_of(address: &str) -> String {
    match (address.strip_prefix("//"), address.strip_prefix('/')) {
        (Some(absolute), _) => format!("/_/{absolute}"),
        (None, Some(relative)) => format!("/~/{relative}"),
        (None, None) => format!("/{address}"),
    }
}

/// See the module.
pub(crate) struct Site {
    servers: [Server; 4],
}

impl Site {
    /// Starts all from the top, each once the one above it knows the way.
    pub(crate) async fn start(ways: Ways) -> Self {
        let up = other_provider().start();
        let infrastructure = below_other_provider(&point_of_access(&up, ways.above)).start();
        let mn1 = gateway("mn1", "in", &point_of_access(&infrastructure, ways.middle), "").start();
        let mn2 = gateway("mn2", "mn1", &point_of_access(&mn1, ways.below), "").start();
        let site = Self { servers: [mn2, mn1, infrastructure, up] };
        for level in [Level::In, Level::Mn1, Level::Mn2] {
            registered(site.server(level)).await;
        }
        for level in LEVELS {
            site.prepare(level).await;
        }
        site
    }

    pub(crate) fn server(&self, level: Level) -> &Server {
        &self.servers[LEVELS.iter().position(|one| *one == level).expect("one of all")]
    }

    /// The administrator of a CSE.
    pub(crate) fn admin(&self, level: Level) -> Http {
        Http::new(self.server(level).http(), "CAdmin")
    }

    /// The AE of a CSE, over HTTP.
    pub(crate) fn ae(&self, level: Level) -> Http {
        Http::new(self.server(level).http(), &level.stem())
    }

    async fn prepare(&self, level: Level) {
        let (ae, base) = (self.ae(level), format!("/cse-{}", level.name()));
        // Each by its own name, so an originator that is changed on the way is noticed. CSEs tell the AE of events.
        let users: Vec<_> = LEVELS.iter().map(|other| other.ae_seen_by(level)).collect();
        let tellers: Vec<_> = level.others().map(|other| other.id_seen_by(level)).collect();
        let policy = json!({"m2m:acp": {
            "rn": "all-levels",
            "pv": {"acr": [{"acor": users, "acop": 63}, {"acor": tellers, "acop": 16}]},
            "pvs": {"acr": [{"acor": ["CAdmin"], "acop": 63}]}
        }});
        self.admin(level).create(&base, 1, &policy).await.expect(2001);
        let policy = format!("cse-{}/all-levels", level.name());
        let attributes = json!({"m2m:ae": {"rn": "app", "api": "Napp", "rr": true, "srv": ["3"], "acpi": [policy]}});
        ae.create(&base, 2, &attributes).await.expect(2001);
        let log = json!({"m2m:cnt": {"rn": "log", "acpi": [policy]}});
        ae.create(&format!("{base}/app"), 3, &log).await.expect(2001);
    }

    /// Each CSE is known to the one above with all below it, and the one above to it.
    pub(crate) async fn everybody_is_known(&self) {
        for (below, above, descendants) in [
            (Level::Mn2, Level::Mn1, &[][..]),
            (Level::Mn1, Level::In, &["/id-mn2"]),
            (Level::In, Level::Up, &["//cse.example/id-mn1", "//cse.example/id-mn2"]),
        ] {
            let path = format!("/cse-{}/id-{}", above.name(), below.name());
            until_some(&format!("descendants of {below:?}"), async || {
                let there = resource(self.server(above), &path).await;
                assert_eq!(there["csi"], below.id_seen_by(above));
                let listed = there["dcse"].as_array().cloned().unwrap_or_default();
                (listed == descendants).then_some(())
            })
            .await;
            let here = resource(self.server(below), &format!("/cse-{}/id-{}", below.name(), above.name())).await;
            assert_eq!(here["csi"], above.id_seen_by(below));
        }
    }
}
