//! What must be the same over the embedded broker and over an external one.
//!
//! A test file takes all of them with [`mqtt_scenarios!`](crate::mqtt_scenarios) and says how its world starts.

mod addressing;
mod answering;
mod notifying;
mod polling;
mod speaking;
mod tools;
mod using;

pub use addressing::*;
pub use answering::*;
pub use notifying::*;
pub use polling::*;
pub use speaking::*;
pub use tools::*;
pub use using::*;

use serde_json::Value;

use crate::http::Http;
use crate::mosquitto::Mosquitto;
use crate::mqtt::Entity;
use crate::server::{Launch, Server};

/// A server and the broker by which it is reached.
#[derive(Debug)]
pub struct World {
    /// The server.
    pub server: Server,
    /// The broker, unless it is the server's own.
    pub broker: Option<Mosquitto>,
}

impl World {
    /// With the embedded broker.
    pub fn embedded() -> Self {
        Self { server: Launch::default().start(), broker: None }
    }

    /// With a mosquitto.
    pub async fn external() -> Self {
        Self::external_with("").await
    }

    /// With a mosquitto, and a server with this configuration file.
    pub async fn external_with(file: &str) -> Self {
        let broker = Mosquitto::start();
        let server = Launch::default().with_file(file).external_broker(broker.port()).start();
        let world = Self { server, broker: Some(broker) };
        world.until_mqtt_is("up").await;
        world
    }

    /// With a mosquitto that the server reaches by `scheme` over its second listener, with that configuration, and the
    /// server's own lines for `[mqtt]`. Entities use the first.
    pub async fn external_over(scheme: &str, listener: &str, mqtt: &str) -> Self {
        let mut broker = Mosquitto::reserve().with_listener(listener);
        broker.run();
        let url = format!("{scheme}://localhost:{}", broker.second_port());
        let server = Launch::default().with_file(&format!("[mqtt]\n{mqtt}")).external_url(&url).start();
        let world = Self { server, broker: Some(broker) };
        world.until_mqtt_is("up").await;
        world
    }

    /// Waits until the server says that of its connection to the broker: `up` or `down`.
    pub async fn until_mqtt_is(&self, state: &str) {
        let http = self.http("CAdmin");
        crate::wait::until_some("the state of MQTT", async || {
            (http.get("/readyz").await.json()["parts"]["mqtt"]["state"] == state).then_some(())
        })
        .await;
    }

    /// The port of the broker.
    pub fn port(&self) -> u16 {
        self.broker.as_ref().map_or_else(|| self.server.mqtt_port(), Mosquitto::port)
    }

    /// An HTTP client that speaks for that originator.
    pub fn http(&self, originator: &str) -> Http {
        Http::new(self.server.http(), originator)
    }

    /// A registered AE.
    pub async fn ae(&self, originator: &str, name: &str) -> Entity {
        Entity::registered(self.port(), originator, name, Value::Null).await
    }
}

/// All scenarios as tests. `$start` is an expression that gives a [`World`] (and may wait).
#[macro_export]
macro_rules! mqtt_scenarios {
    ($start:expr) => {
        $crate::mqtt_scenarios! { $start =>
            an_ae_is_given_an_identifier
            an_ae_registers_under_its_own_identifier
            resources_are_created_read_changed_and_deleted
            a_group_reaches_its_members
            discovery_lists_what_matches
            answers_come_on_the_topic_of_the_request
            other_service_providers_are_spoken_to_by_absolute_names
            a_registration_is_carried_out_once_for_each_credential
            a_credential_is_good_for_registration_only
            a_point_of_access_may_have_a_topic_prefix
            nobody_speaks_for_others
            what_cannot_be_decoded_is_answered_where_possible
            a_message_sent_twice_is_carried_out_once
            a_request_identifier_may_be_used_again
            requests_are_carried_out_in_their_order
            reads_keep_their_place_among_changes
            a_slow_request_holds_up_its_originator_only
            a_subscriber_is_notified_under_its_identifier
            a_subscriber_is_notified_at_its_point_of_access
            a_topic_can_be_notified
            an_http_url_can_be_notified
            a_subscription_needs_its_targets_consent
            an_absent_subscriber_gets_its_notifications_later
            a_poll_waits_beside_other_requests
            resources_are_used_in_every_serialization
            results_have_every_serialization
            notifications_come_in_the_wanted_serialization
            answers_to_the_cse_may_have_every_serialization
            wrapped_primitives_are_answered_wrapped
            an_unknown_serialization_is_refused_in_json
            hostile_payloads_are_refused_in_kind
            mosquitto_clients_are_served
            paho_clients_are_served
            mosquitto_request_response_is_served
            paho_clients_of_version_5_are_served
        }
    };
    ($start:expr => $($name:ident)*) => {
        $(
            #[tokio::test]
            async fn $name() {
                $crate::scenarios::$name($start).await;
            }
        )*
    };
}
