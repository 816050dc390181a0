//! An IN and two gateways in a row, any of which is killed at any moment, again and again, while AEs ask from the lowest
//! to the highest and back. Afterwards nothing that was acknowledged is lost, nothing is there twice, all CSEs know each
//! other, and copies say what their originals do.
//!
//! `CSE_TEST_SEED` repeats the moments and choices of an earlier run.

mod nodes;
mod traffic;

use std::time::{Duration, Instant};

use cse_tests::random::Random;
use cse_tests::wait::in_time;

use nodes::{NODES, Nodes};
use traffic::Traffic;

const ROUNDS: u64 = 20;
/// Longest time until the next kill, and until what was killed is started again, in milliseconds.
const ROUND_MS_MAX: u64 = 400;
const AWAY_MS_MAX: u64 = 300;
/// Time within which everything is as it should be after the last process was started (docs/gateway.md).
const CONVERGED_WITHIN: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_or_doubled_and_all_converge() {
    let mut random = Random::from_environment();
    let mut nodes = Nodes::start().await;
    let traffic = Traffic::start(&nodes).await;
    for round in 0..ROUNDS {
        // Often they come to rest before the next kill, often not.
        if random.below(2) == 0 {
            traffic.everybody_has_got_on(&format!("round {round}")).await;
        }
        let victim = NODES[usize::try_from(random.below(NODES.len() as u64)).expect("an index")];
        // Not a wait for anything: the moments of the crash and of the start.
        tokio::time::sleep(Duration::from_millis(random.below(ROUND_MS_MAX))).await;
        nodes.kill(victim);
        tokio::time::sleep(Duration::from_millis(random.below(AWAY_MS_MAX))).await;
        nodes.start_again(victim);
        println!("round {round}: {victim:?}, {} acknowledged so far", traffic.acknowledged());
    }
    let since = Instant::now();
    let checking = async {
        let sent = traffic.finish().await;
        println!("all answered after {:?}: {sent}", since.elapsed());
        nodes.all_are_registered().await;
        sent.is_there_once(&nodes).await;
        sent.is_carried_out(&nodes).await;
        sent.is_announced(&nodes).await;
    };
    in_time("convergence", tokio::time::timeout(CONVERGED_WITHIN, checking)).await.expect("converged in time");
    println!("converged after {:?}", since.elapsed());
}
