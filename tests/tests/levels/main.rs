//! Three levels and another service provider, each a process: MN2 - MN1 - IN - the IN-CSE of others. What works between
//! two CSEs works over all of them, in each direction, whatever bindings are on the way.

mod announcing;
mod asking;
mod grouping;
mod notifying;
mod site;

use cse_tests::gateways::Over;

use site::{Site, Ways};

async fn everything_works(ways: Ways) {
    let site = Site::start(ways).await;
    site.everybody_is_known().await;
    asking::everybody_asks_everybody(&site).await;
    asking::what_is_not_allowed_or_not_there_is_said_from_afar(&site).await;
    asking::results_are_fetched_and_told(&site).await;
    notifying::everybody_is_told_by_everybody(&site).await;
    grouping::a_group_has_members_on_every_level(&site).await;
    announcing::copies_above_follow_their_original(&site).await;
}

#[tokio::test]
async fn over_mqtt() {
    everything_works(Ways { below: Over::Mqtt, middle: Over::Mqtt, above: Over::Mqtt }).await;
}

#[tokio::test]
async fn over_mqtt_below_and_http_above() {
    everything_works(Ways { below: Over::Mqtt, middle: Over::Http, above: Over::Http }).await;
}

#[tokio::test]
async fn over_http_below_and_mqtt_above() {
    everything_works(Ways { below: Over::Http, middle: Over::Mqtt, above: Over::Mqtt }).await;
}
