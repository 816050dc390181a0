//! The CSEs: an IN, MN1 below it and MN2 below that, each with ports that stay its own.

use cse_tests::gateways::{Over, Place, gateway, registered, resource};
use cse_tests::http::Http;
use cse_tests::server::{Launch, Server};
use cse_tests::wait::until_some;
use serde_json::json;

/// One of them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Node {
    In,
    Mn1,
    Mn2,
}

pub(crate) const NODES: [Node; 3] = [Node::In, Node::Mn1, Node::Mn2];

impl Node {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Mn1 => "mn1",
            Self::Mn2 => "mn2",
        }
    }
}

/// See the module.
pub(crate) struct Nodes {
    launches: [Launch; 3],
    servers: [Option<Server>; 3],
    places: [Place; 3],
}

impl Nodes {
    /// Starts them, with a policy at each that lets everybody do everything.
    pub(crate) async fn start() -> Self {
        let places = [Place::reserve(), Place::reserve(), Place::reserve()];
        let mn1 = gateway("mn1", "in", &places[0].point_of_access(Over::Mqtt), "");
        let mn2 = gateway("mn2", "mn1", &places[1].point_of_access(Over::Mqtt), "");
        let launches = [places[0].infrastructure(), places[1].launch(mn1), places[2].launch(mn2)];
        let servers = launches.each_ref().map(|launch| Some(launch.start()));
        let nodes = Self { launches, servers, places };
        for node in NODES {
            let everybody = json!([{"acor": ["all"], "acop": 63}]);
            let policy = json!({"m2m:acp": {"rn": "open", "pv": {"acr": everybody}, "pvs": {"acr": everybody}}});
            nodes.admin(node).create(&format!("/cse-{}", node.name()), 1, &policy).await.expect(2001);
        }
        nodes.all_are_registered().await;
        nodes
    }

    fn server(&self, node: Node) -> &Server {
        self.servers[node as usize].as_ref().expect("it runs")
    }

    pub(crate) fn mqtt_port(&self, node: Node) -> u16 {
        self.places[node as usize].mqtt_port()
    }

    /// A client for an originator, which outlives a restart.
    pub(crate) fn http(&self, node: Node, originator: &str) -> Http {
        Http::new(self.server(node).http(), originator)
    }

    pub(crate) fn admin(&self, node: Node) -> Http {
        self.http(node, "CAdmin")
    }

    pub(crate) fn kill(&mut self, node: Node) {
        self.servers[node as usize].take().expect("it runs").kill();
    }

    pub(crate) fn start_again(&mut self, node: Node) {
        self.servers[node as usize] = Some(self.launches[node as usize].start());
    }

    /// Waits until each gateway and its registrar know each other, each once.
    pub(crate) async fn all_are_registered(&self) {
        for (below, above, descendants) in
            [(Node::Mn1, Node::In, json!(["/id-mn2"])), (Node::Mn2, Node::Mn1, json!(null))]
        {
            registered(self.server(below)).await;
            for (at, other) in [(above, below), (below, above)] {
                let found = resource(self.server(at), &format!("/cse-{}/id-{}", at.name(), other.name())).await;
                assert_eq!(found["csi"], format!("/id-{}", other.name()));
            }
            until_some("the CSEs below are known", async || {
                let path = format!("/cse-{}/id-{}", above.name(), below.name());
                (resource(self.server(above), &path).await["dcse"] == descendants).then_some(())
            })
            .await;
        }
        for (node, neighbours) in [(Node::In, 1), (Node::Mn1, 2), (Node::Mn2, 1)] {
            let found = self.discovered(node, 16).await;
            assert_eq!(found.len(), neighbours, "{node:?}: {found:?}");
        }
    }

    /// The addresses of all resources of a type.
    pub(crate) async fn discovered(&self, node: Node, ty: u32) -> Vec<String> {
        let path = format!("/cse-{}?fu=1&ty={ty}", node.name());
        let found = self.admin(node).get(&path).await.expect(2000).json();
        let list = found["m2m:uril"].as_array().cloned().unwrap_or_default();
        list.iter().filter_map(|address| address.as_str().map(str::to_owned)).collect()
    }
}
