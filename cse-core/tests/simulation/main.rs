//! Two CSEs in one process, an IN-CSE and an MN-CSE, on virtual time and over a link that loses, delays and repeats
//! what they say to one another, and with crashes in between. Each seed is one random story; when it is over, the link
//! heals, and the system has to come to what the originals say ([`check`]).
//!
//! A failure names its seed, tells the story, and can be had again alone: `SIM_SEED=17 cargo nextest run -p cse-core
//! --test simulation`. `SIM_SEEDS=10000` runs so many instead of the usual number, `SIM_TELL=1` prints every story. What wakes
//! in the same instant has no order of its own in tokio, so once in a while a seed tells another story; what was told is
//! printed for that reason.
#![expect(unreachable_pub, clippy::unwrap_used, reason = "a test program")]

mod check;
mod clients;
mod link;
mod random;
mod store;
mod story;
mod world;

use std::any::Any;
use std::cell::RefCell;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Once};

use world::World;

/// Stories of all tests together, unless `SIM_SEEDS` says otherwise.
const SEEDS: u64 = 1_000;
/// Tests that share the seeds, so that they run side by side.
const PARTS: u64 = 4;

thread_local! {
    /// Panics on this thread. The CSE survives those in its tasks, but a story has to tell of them.
    static PANICS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

fn note_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            PANICS.with_borrow_mut(|panics| panics.push(panic.to_string()));
            usual(panic);
        }));
    });
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is no number: '{text}'")))
}

/// Tells the story of a seed; what was told, and what is wrong in the end.
fn tell(seed: u64) -> (Vec<String>, Vec<String>) {
    note_panics();
    PANICS.take();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let world = World::new(seed);
    let telling = AssertUnwindSafe(|| runtime.block_on(story::tell(&world, seed)));
    let outcome = std::panic::catch_unwind(telling);
    drop(runtime);
    let mut problems = match outcome {
        Ok(problems) => problems,
        Err(panic) => vec![text_of(&*panic)],
    };
    problems.extend(PANICS.take());
    (Arc::clone(&world).told(), problems)
}

fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}

fn stories(part: u64) {
    let seeds: Vec<u64> = match number("SIM_SEED") {
        Some(seed) => vec![seed].into_iter().filter(|seed| seed % PARTS == part).collect(),
        None => (1..=number("SIM_SEEDS").unwrap_or(SEEDS)).filter(|seed| seed % PARTS == part).collect(),
    };
    let mut failed = Vec::new();
    for seed in seeds {
        let (told, problems) = tell(seed);
        if !problems.is_empty() || number("SIM_TELL").is_some() {
            println!("=== seed {seed}\n{}", told.join("\n"));
        }
        if !problems.is_empty() {
            println!("=== seed {seed} ends wrong; again with SIM_SEED={seed}:\n{}", problems.join("\n"));
            failed.push(seed);
        }
        assert!(failed.len() < 5, "seeds {failed:?} end wrong, and perhaps more");
    }
    assert!(failed.is_empty(), "seeds {failed:?} end wrong");
}

#[test]
fn the_system_converges_to_what_the_originals_say_1() {
    stories(0);
}

#[test]
fn the_system_converges_to_what_the_originals_say_2() {
    stories(1);
}

#[test]
fn the_system_converges_to_what_the_originals_say_3() {
    stories(2);
}

#[test]
fn the_system_converges_to_what_the_originals_say_4() {
    stories(3);
}
